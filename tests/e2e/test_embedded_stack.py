"""The embedded stack with real Postgres and Temporal: up, killed parts, taken port, Ctrl-C, kill -9, wipe.

The service's own processes are stand-ins here: what they do is other tests' matter.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
import psycopg
import pytest

from infra.embedded import control
from infra.embedded.errors import StackError
from infra.embedded.meilisearch import ReleaseSource
from infra.embedded.process import free_port
from infra.embedded.stack import EmbeddedStack, Programs, StackOptions
from infra.embedded.state import ProcessRecord, ProcessState, StackRecord, StackState, StateFolder
from infra.embedded.temporal_binary import find_binary
from infra.secrets import SecretRef, resolve
from infra.settings import Settings
from tests.support.stack import ROOT, TEMPORAL_CONFIG, scratch_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STAND_INS = Programs(
    migrate=("-m", "infra.migrate"),
    api=("-m", "tests.support.stand_in", "api"),
    worker=("-m", "tests.support.stand_in", "worker"),
)


def options(home: Path, **changes: object) -> StackOptions:
    nowhere = ReleaseSource(f"http://127.0.0.1:{free_port()}/none")
    ports = {name: free_port() for name in ("api", "temporal", "temporal_ui", "postgres", "meilisearch")}
    base = StackOptions(home, TEMPORAL_CONFIG, release=nowhere, preferred_ports=ports, programs=STAND_INS)
    return StackOptions(**{**base.__dict__, **changes})


@pytest.fixture(scope="module", autouse=True)
def temporal_binary() -> None:
    """Built or found before any stack's own patience is counted."""
    find_binary(print)


@pytest.fixture
def home() -> Iterator[Path]:
    with scratch_folder("stack") as folder:
        yield folder / "state"
        control.down(StateFolder.at(folder / "state"), print, wipe=True)


class Running:
    """A stack in this process, whose record can be waited for."""

    def __init__(self, chosen: StackOptions) -> None:
        self.told: list[str] = []
        self._changed = asyncio.Event()
        self.stack = EmbeddedStack(chosen, self.told.append, lambda _: self._changed.set())

    def process(self, name: str) -> ProcessRecord:
        return next(process for process in self.stack.record.processes if process.name == name)

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await self._changed.wait()
                self._changed.clear()

    async def kill_and_wait(self, name: str) -> None:
        before = self.process(name)
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        await self.until(
            lambda: (
                self.process(name).restarts == before.restarts + 1 and self.process(name).state is ProcessState.READY
            )
        )
        assert self.process(name).pid != before.pid


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Running]:
    """One stack for the tests that only look at it or kill parts of it; the port Temporal wants is taken."""
    with scratch_folder("stack") as folder, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        chosen = options(folder / "state")
        wanted = {**chosen.preferred_ports, "temporal": taken.getsockname()[1]}
        one = Running(options(folder / "state", preferred_ports=wanted))
        async with one.stack:
            yield one
        control.down(one.stack.state, print, wipe=True)


async def test_every_killed_process_comes_back_and_data_stays(running: Running) -> None:
    record = running.stack.record
    assert record.state is StackState.READY
    url = resolve(SecretRef(record.environment["PARLEY_DATABASE_URL"])).get_secret_value()
    owner = resolve_owner(running.stack.state, record)
    with psycopg.connect(owner) as connection:
        connection.execute("create table public.kept as select 1 as one")

    for name in [process.name for process in record.processes]:
        await running.kill_and_wait(name)

    with psycopg.connect(owner) as connection:
        assert connection.execute("select one from public.kept").fetchone() == (1,)
    app = await asyncpg.connect(url)
    assert await app.fetchval("select current_user::text") == "parley_app"
    await app.close()
    assert httpx.get(record.addresses["temporal_ui"], follow_redirects=True, timeout=10).is_success


async def test_processes_are_told_where_everything_is(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    record = running.stack.record
    assert record.search is not None
    assert record.search.backend == "postgres"
    assert "ConnectError" in record.search.reason
    secrets = [file.read_text() for file in running.stack.state.secrets.iterdir()]
    written = running.stack.state.record_file.read_text()
    assert not [secret for secret in secrets if secret in written]
    for name, value in record.environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.temporal_address == record.addresses["temporal"]
    assert settings.content_url == running.stack.state.content.as_uri()
    assert settings.database_url.get_secret_value().startswith("postgresql://parley_app:")


async def test_a_taken_port_is_replaced_and_told(running: Running) -> None:
    told = [line for line in running.told if "is taken: temporal uses" in line]
    assert len(told) == 1
    assert str(running.stack.record.ports["temporal"]) in told[0]


async def test_a_second_supervisor_is_refused(running: Running) -> None:
    with pytest.raises(StackError, match="already running: pid"):
        await EmbeddedStack(options(running.stack.state.path), print).start()
    record = running.stack.state.read_record()
    assert record is not None
    assert record.state is StackState.READY


async def test_a_migration_that_fails_stops_everything(home: Path) -> None:
    failing = Programs(("-m", "tests.support.stand_in", "hopeless"), STAND_INS.api, STAND_INS.worker)
    one = Running(options(home, programs=failing))
    with pytest.raises(StackError, match="this process has a reason to end"):
        await one.stack.start()
    record = StateFolder.at(home).read_record()
    assert record is not None
    assert record.state is StackState.FAILED
    assert all(process.state is ProcessState.STOPPED for process in record.processes)


def test_ctrl_c_ends_everything(home: Path) -> None:
    with foreground(home) as supervisor:
        record = up(home, supervisor)
        processes = [process(each) for each in record.processes]
        supervisor.send_signal(signal.SIGINT)
        assert supervisor.wait(60) == 0
    assert not [each for each in processes if each.is_running()]
    after = StateFolder.at(home).read_record()
    assert after is not None
    assert after.state is StackState.STOPPED


def test_after_kill_9_nothing_is_left_and_the_next_start_takes_over(home: Path) -> None:
    with foreground(home) as supervisor:
        record = up(home, supervisor)
        processes = [process(each) for each in record.processes]
        supervisor.kill()
    gone = control.current(StateFolder.at(home))
    assert gone is not None
    assert gone.state is StackState.STOPPED
    if sys.platform == "linux":
        assert psutil.wait_procs(processes, timeout=30)[1] == []
    with foreground(home) as again:
        record = up(home, again)
        assert any("taking over" in note for note in record.notes)
        assert control.down(StateFolder.at(home), print, wipe=True)
        again.wait(60)
    assert not home.exists()
    assert not list(Path("/var/lib/parley").glob(f"*{home.parent.name}*"))


def resolve_owner(state: StateFolder, record: StackRecord) -> str:
    password = state.passwords().owner.get_secret_value()
    return f"postgresql://parley:{password}@{record.addresses['postgres']}/parley"


def process(record: ProcessRecord) -> psutil.Process:
    assert record.pid is not None
    return psutil.Process(record.pid)


@contextmanager
def foreground(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in a process of its own, as `parley up` runs it."""
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from infra.embedded import control
        from tests.e2e.test_embedded_stack import options

        def tell(line):
            print(line, flush=True)

        asyncio.run(control.serve(options(Path(sys.argv[1])), tell, ready=lambda record: tell("up")))
        """
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program, str(home)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield supervisor
    finally:
        supervisor.kill()
        supervisor.communicate()


def up(home: Path, supervisor: subprocess.Popen[str]) -> StackRecord:
    """Waits until the supervisor says that everything is up; the timer bounds the wait."""
    assert supervisor.stdout is not None
    timer = threading.Timer(120, supervisor.kill)
    timer.start()
    said: list[str] = []
    for line in supervisor.stdout:
        said.append(line)
        if line == "up\n":
            break
    timer.cancel()
    record = StateFolder.at(home).read_record()
    assert record is not None, "".join(said)
    assert record.state is StackState.READY, "".join(said)
    return record
