"""Imports over real servers: an API, worker processes that come and go, and what one tenant imports."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from infra.settings import default_config_dir
from tests.support.api_server import ApiServer, Tenant, api_server, api_settings
from tests.support.rows import chat_row, ndjson
from tests.support.stack import ROOT, DatabaseUrls

PATIENCE = 150.0
"""Seconds that anything may take, with processes that start and are missed on a machine that is busy with others."""

ROWS = 1000
BAD = {17: b"{", 500: b'{"external_id": "x"}', 502: b"[]x", 999: b"\xff"}
"""Lines that no conversation can be made of, by number."""


def file_of(prefix: str) -> bytes:
    return ndjson([BAD.get(n, chat_row(f"{prefix}-{n:04}")) for n in range(1, ROWS + 1)])


async def until(condition: Callable[[], Awaitable[bool] | bool], what: str) -> None:
    """Waits until the condition holds; fails the test when it does not within reason."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        await asyncio.sleep(0.05)


@dataclass
class Ground:
    """An API, and worker processes that come and go."""

    api: ApiServer
    database: DatabaseUrls
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, *roles: str) -> subprocess.Popen[bytes]:
        given, number = self.api.settings, len(self.running)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "TEMPORAL_"))},
            "PARLEY_PROFILE": "embedded",
            "PARLEY_HOME": str(self.folder),
            "PARLEY_DATABASE_URL": given.database_url.get_secret_value(),
            "PARLEY_PLATFORM_DATABASE_URL": given.platform_database_url.get_secret_value(),
            "PARLEY_CONTENT_URL": given.content_url,
            "PARLEY_MASTER_KEY": str(given.master_key),
            "PARLEY_CODEC_KEY": str(given.codec_key),
            "PARLEY_TEMPORAL_ADDRESS": given.temporal_address,
            "PARLEY_CONFIG_DIR": str(self.folder / "config"),
            "PARLEY_READY_FILE": str(self.folder / f"ready-{number}"),
        }
        command = [sys.executable, "-m", "tests.support.import_worker_main", str(self.folder), *(roles or ("imports",))]
        with (self.folder / f"log-{number}").open("wb") as log:
            self.running.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
        return self.running[-1]

    def worker(self, *roles: str) -> subprocess.Popen[bytes]:
        """One that runs already, or else a new one: starting one takes longest."""
        alive = [process for process in self.running if process.poll() is None]
        return alive[0] if alive else self.start_worker(*roles)

    async def ready(self) -> None:
        number = len(self.running) - 1

        def there() -> bool:
            assert self.running[number].poll() is None, (self.folder / f"log-{number}").read_text()
            return (self.folder / f"ready-{number}").exists()

        await until(there, "the worker is ready")

    async def end(self, process: subprocess.Popen[bytes], how: int) -> None:
        process.send_signal(how)
        await asyncio.to_thread(process.wait, PATIENCE)

    def end_all(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()

    def hold(self) -> None:
        (self.folder / "held").unlink(missing_ok=True)
        (self.folder / "hold").touch()

    async def held(self) -> None:
        await until((self.folder / "held").exists, "the reader is in the middle of the file")

    def let_go(self) -> None:
        (self.folder / "hold").unlink(missing_ok=True)

    def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.admin) as connection:
            return connection.execute(query.encode(), arguments).fetchall()


@dataclass
class Sender:
    """One tenant and what it imports."""

    ground: Ground
    tenant: Tenant
    client: httpx.Client

    def hand_in(self, body: bytes, **params: Any) -> str:
        answer = self.client.post("/v1/imports", content=body, params=params)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def shown(self, import_id: str) -> dict[str, Any]:
        return dict(self.client.get(f"/v1/imports/{import_id}").raise_for_status().json())

    async def until_state(self, import_id: str, state: str) -> dict[str, Any]:
        await until(lambda: self.shown(import_id)["state"] == state, f"the import is {state}")
        return self.shown(import_id)

    def check(self, import_id: str, prefix: str) -> None:
        """Nothing lost, nothing doubled, and every row answered for."""
        numbers = [n for n in range(1, ROWS + 1) if n not in BAD]
        stored = self.ground.rows(
            """
            select external_id, revision,
              (select count(*) from conversation_revision where (tenant_id, conversation_id) = (c.tenant_id, c.id)),
              (select count(*) from conversation_entry where (tenant_id, conversation_id) = (c.tenant_id, c.id))
            from conversation c
            where tenant_id = %s and external_id like %s
            """,
            self.tenant.id,
            f"{prefix}-%",
        )
        assert Counter(stored) == Counter((f"{prefix}-{n:04}", 1, 1, 1) for n in numbers)
        lines = self.ground.rows(
            "select number, part, outcome, problems is not null from import_row where import_id = %s", import_id
        )
        assert Counter(lines) == Counter(
            (n, 1, "failed" if n in BAD else "created", n in BAD) for n in range(1, ROWS + 1)
        )
        shown = self.shown(import_id)["rows"]
        assert shown == {"read": ROWS, "created": ROWS - 4, "unchanged": 0, "revised": 0, "failed": 4}
        kept = Path(self.ground.api.settings.content_url.removeprefix("file://")) / self.tenant.id
        assert not list((kept / "imports").glob("*"))


@contextmanager
def import_ground(database: DatabaseUrls, folder: Path, temporal_address: str) -> Iterator[Ground]:
    """The API and no worker yet. A killed worker is missed after four seconds instead of fifteen."""
    shutil.copytree(default_config_dir(), folder / "config")
    policies = folder / "config" / "policies.toml"
    shorter = re.sub(r"(\[import_rows\][^\[]*?heartbeat = )\d+", r"\g<1>4", policies.read_text())
    policies.write_text(shorter)
    settings = api_settings(database, folder, temporal_address=temporal_address)
    with api_server(settings, database) as api:
        made = Ground(api, database, folder)
        try:
            yield made
        finally:
            made.end_all()


@contextmanager
def sender_of(ground: Ground, slug: str) -> Iterator[Sender]:
    """A tenant of its own; nothing is held at the end."""
    tenant = ground.api.tenant(slug)
    with ground.api.client(tenant.key) as client:
        try:
            yield Sender(ground, tenant, client)
        finally:
            ground.let_go()
