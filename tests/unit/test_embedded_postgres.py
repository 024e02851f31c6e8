"""Embedded Postgres after a crash, with a stale lock, as root with an unreachable wheel, and its removal."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from infra.embedded import postgres as embedded
from infra.embedded.postgres import APP, OWNER, EmbeddedPostgres, Passwords
from infra.embedded.process import free_port, spawn, stop
from tests.support.stack import scratch_folder

PASSWORDS = Passwords(*(SecretStr(f"it's-{role}/@:") for role in ("admin", "owner", "app", "platform")))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="what root has to do differently")


class Server:
    """One embedded server that can be started, killed and started again on the same data."""

    def __init__(self, folder: Path, system: Path) -> None:
        self.postgres = EmbeddedPostgres(folder / "postgres", PASSWORDS, {"fsync": "off"}, system)
        self.told: list[str] = []
        self._log = folder / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        command = self.postgres.prepare(free_port(), self.told.append)
        with self._log.open("ab") as log:
            process = self.process = spawn(command, log)
        self.postgres.wait_ready(30, lambda: process.poll() is None)
        self.postgres.bootstrap()
        return process

    def run(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.postgres.url(OWNER)) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder("crash") as one:
        yield one


@pytest.fixture
def system(folder: Path) -> Iterator[Path]:
    """Where root's data goes: a folder every account can reach, of this test's own."""
    path = Path(f"/var/lib/parley-{folder.name}") if os.geteuid() == 0 else folder / "system"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def server(folder: Path, system: Path) -> Iterator[Server]:
    one = Server(folder, system)
    yield one
    if one.process is not None:
        stop(one.process, signal.SIGQUIT, 5)
    one.postgres.remove()


def test_data_survives_kill_9_and_passwords_hold(server: Server) -> None:
    process = server.start()
    server.run("create table kept as select 1 as one")
    process.kill()
    process.wait()
    server.start()
    assert server.run("select one from kept") == [(1,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.postgres.url(APP), password="guess")


def test_a_server_left_running_is_stopped_first(server: Server) -> None:
    left = server.start()
    server.run("create table kept as select 1 as one")
    server.start()
    left.wait(10)
    assert server.told == ["stopping a Postgres server left over from an earlier run"]
    assert server.run("select one from kept") == [(1,)]


def test_a_lock_whose_pid_is_somebody_else_is_removed(server: Server, folder: Path) -> None:
    process = server.start()
    lock = folder / "postgres" / "data" / "postmaster.pid"
    text = lock.read_text()
    stop(process, signal.SIGINT, 20)
    assert not lock.exists()
    with subprocess.Popen(["sleep", "60"]) as other:
        lock.write_text(text.replace(str(process.pid), str(other.pid), 1))
        server.start()
        assert other.poll() is None
        other.kill()


def test_roles_are_set_right_again(server: Server) -> None:
    server.start()
    with psycopg.connect(server.postgres.url(embedded.ADMIN, "postgres"), autocommit=True) as admin:
        admin.execute("alter role parley_app bypassrls createdb password 'weak'")
    server.postgres.bootstrap()
    with psycopg.connect(server.postgres.url(APP)) as app:
        row = app.execute("select rolbypassrls, rolcreatedb from pg_roles where rolname = current_user").fetchone()
    assert row == (False, False)


def test_logs_hold_no_values(server: Server, folder: Path) -> None:
    server.start()
    server.run("create table person (mail text primary key)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        server.run("insert into person values ('ann@example.org'), ('ann@example.org')")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        server.run("select 'secret-value'::int")
    log = (folder / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "ann@example.org" not in log
    assert "secret-value" not in log


@as_root
def test_root_runs_it_as_another_account_in_a_folder_of_its_own(server: Server, folder: Path, system: Path) -> None:
    before = folder.stat().st_mode, folder.parent.stat().st_mode
    process = server.start()
    data = (folder / "postgres" / "data").resolve()
    assert data.parent == system
    assert data.stat().st_mode & 0o077 == 0
    assert data.stat().st_uid != 0
    assert Path(f"/proc/{process.pid}").stat().st_uid == data.stat().st_uid
    assert (folder.stat().st_mode, folder.parent.stat().st_mode) == before
    stop(process, signal.SIGINT, 20)
    server.postgres.remove()
    assert list(system.iterdir()) == []


@as_root
def test_an_unreachable_wheel_is_copied_once(
    server: Server, folder: Path, system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = embedded._runs
    monkeypatch.setattr(
        embedded, "_runs", lambda binaries, account: system in binaries.parents and real(binaries, account)
    )
    server.start()
    copies = [path.name for path in system.iterdir() if path.name.startswith("postgresql-")]
    assert len(copies) == 1
    assert server.run("select 1") == [(1,)]


@as_root
def test_data_of_a_deleted_state_folder_is_removed_by_the_next_start(
    server: Server, folder: Path, system: Path
) -> None:
    process = server.start()
    old = (folder / "postgres" / "data").resolve()
    stop(process, signal.SIGINT, 20)
    shutil.rmtree(folder / "postgres")
    server.start()
    assert not old.exists()
    assert server.told == [f"removing {old}: its state folder was deleted"]
    assert len([path for path in system.iterdir() if path.is_dir()]) == 1
