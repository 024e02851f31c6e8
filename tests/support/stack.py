"""Real servers for tests: Postgres with a database per module, and a Temporal dev server in memory."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from pydantic import SecretStr

from infra.embedded import temporal
from infra.embedded.postgres import (
    ADMIN,
    APP,
    DATABASE,
    OWNER,
    PLATFORM,
    AdminConnection,
    EmbeddedPostgres,
    Passwords,
)
from infra.embedded.process import ProcessId, free_port, spawn, stop
from infra.embedded.temporal_binary import find_binary
from storage.migrate import migrate

ROOT = Path(__file__).parents[2]
TEMPORAL_CONFIG = ROOT / "temporal-config"
TEMPLATE = "parley_template"

# A test database need not survive a power cut; everything else is as in the embedded stack.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
_START_SECONDS = 60.0


@dataclass(frozen=True)
class DatabaseUrls:
    """One database, as each role reaches it."""

    name: str
    owner: str
    app: str
    platform: str
    admin: str


class PostgresServer:
    """The session's server. `new_database()` copies the migrated template."""

    def __init__(self, server: EmbeddedPostgres, process: subprocess.Popen[bytes]) -> None:
        self.server = server
        self.process = process
        self._numbers = count(1)

    def urls(self, database: str) -> DatabaseUrls:
        of = self.server.url
        return DatabaseUrls(
            database, of(OWNER, database), of(APP, database), of(PLATFORM, database), of(ADMIN, database)
        )

    def new_database(self, *, template: str = TEMPLATE) -> DatabaseUrls:
        """A fresh database; `template="template0"` gives one without any table."""
        name = f"test_{next(self._numbers)}"
        with self._admin() as admin:
            self.server.create_database(name, admin, template)
        return self.urls(name)

    def drop_database(self, name: str) -> None:
        with self._admin() as admin:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _admin(self) -> AdminConnection:
        return psycopg.connect(self.server.url(ADMIN, "postgres"), autocommit=True)


@dataclass(frozen=True)
class TemporalServer:
    """The session's Temporal server, in memory, with the switches and search attributes of the product."""

    address: str
    namespace: str
    ports: temporal.TemporalPorts
    process: subprocess.Popen[bytes]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Starts Postgres, creates roles, migrates the template; removes everything at the end."""
    with scratch_folder("postgres") as folder:
        passwords = Passwords(*(SecretStr(f"test-{role}") for role in ("admin", "owner", "app", "platform")))
        server = EmbeddedPostgres(folder / "postgres", passwords, _FAST)
        command = server.prepare(free_port())
        with (folder / "postgres.log").open("wb") as log:
            process = spawn(command, log)
        try:
            server.wait_ready(_START_SECONDS, lambda: process.poll() is None)
            server.bootstrap()
            migrate(server.url(OWNER))
            with psycopg.connect(server.url(ADMIN, "postgres"), autocommit=True) as admin:
                admin.execute(
                    sql.SQL("alter database {} rename to {}").format(sql.Identifier(DATABASE), sql.Identifier(TEMPLATE))
                )
            yield PostgresServer(server, process)
        finally:
            stop(process, signal.SIGQUIT, grace=5)  # nothing is kept: no checkpoint on the way out
            server.remove()


@contextmanager
def temporal_server(
    *, ui: bool = False, grpc_port: int | None = None, database: Path | None = None
) -> Iterator[TemporalServer]:
    """Starts the dev server, in memory unless a file is given, and kills it at the end."""
    binary = find_binary(print).path
    with scratch_folder("temporal") as folder:
        ports = temporal.TemporalPorts(grpc_port or free_port(), free_port(), free_port())
        command = temporal.start_dev_command(binary, ports, TEMPORAL_CONFIG, database=database, cwd=folder, ui=ui)
        log_path = folder / "temporal.log"
        with log_path.open("wb") as log:
            process = spawn(command, log)
        try:
            until = time.monotonic() + _START_SECONDS
            while not temporal.is_ready(ports):
                assert process.poll() is None, log_path.read_text()[-2000:]
                assert time.monotonic() < until, log_path.read_text()[-2000:]
                time.sleep(0.03)
            yield TemporalServer(f"127.0.0.1:{ports.grpc}", "default", ports, process)
        finally:
            stop(process, signal.SIGKILL, grace=5)


@contextmanager
def scratch_folder(what: str) -> Iterator[Path]:
    """A folder for one server; folders of test runs that were killed are removed first."""
    base = Path(tempfile.gettempdir()) / f"parley-tests-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    _sweep(base)
    me = psutil.Process()
    folder = Path(tempfile.mkdtemp(prefix=f"{me.pid}-{me.create_time():.2f}-{what}-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(base: Path) -> None:
    for folder in base.iterdir():
        pid, _, rest = folder.name.partition("-")
        started = rest.partition("-")[0]
        if ProcessId(int(pid), float(started)).process() is None:
            for home in (folder, folder / "state"):  # a server of its own, or a whole stack's
                EmbeddedPostgres(home / "postgres", Passwords(*[SecretStr("")] * 4)).remove()
            shutil.rmtree(folder, ignore_errors=True)
