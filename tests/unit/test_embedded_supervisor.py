"""The supervisor with trivial children: restart, back-off, giving up, orderly and forced ends, no orphans."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from infra.embedded.errors import StackError
from infra.embedded.process import Command, ProcessId, free_port
from infra.embedded.state import ProcessRecord, ProcessState
from infra.embedded.supervisor import Child, Supervisor, Timing, rotate_log, tail
from tests.support.stack import ROOT

QUICK = Timing(first_backoff=0.02, largest_backoff=0.05, attempts_to_start=2)


class Watched:
    """A supervisor whose changes can be waited for."""

    def __init__(self, timing: Timing = QUICK) -> None:
        self._changed = asyncio.Event()
        self.supervisor = Supervisor(self._changed.set, timing)

    def record(self, name: str) -> ProcessRecord:
        return next(record for record in self.supervisor.processes if record.name == name)

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await self._changed.wait()
                self._changed.clear()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    one = Watched()
    yield one
    one.supervisor.kill()
    await one.supervisor.stop()


def child(folder: Path, name: str, what: str = "worker", grace: float = 5.0, start: float = 20.0) -> Child:
    ready = folder / f"{name}.ready"

    def prepare() -> Command:
        ready.unlink(missing_ok=True)
        environment = {**os.environ, "PARLEY_READY_FILE": str(ready)}
        return Command((sys.executable, "-m", "tests.support.stand_in", what), environment, ROOT)

    return Child(name, folder / f"{name}.log", prepare, ready.exists, grace_seconds=grace, start_seconds=start)


async def test_a_killed_child_is_started_again(watched: Watched, tmp_path: Path) -> None:
    await watched.supervisor.start([child(tmp_path, "one"), child(tmp_path, "two")])
    first = watched.record("one")
    other = watched.record("two").pid
    assert first.state is ProcessState.READY
    assert first.pid is not None
    for expected in (1, 2):
        pid = watched.record("one").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await watched.until(lambda n=expected: watched.record("one").restarts == n)  # type: ignore[misc]
        assert "SIGKILL" in (watched.record("one").note or "SIGKILL")
        await watched.until(lambda: watched.record("one").state is ProcessState.READY)
    assert watched.record("one").pid != first.pid
    assert watched.record("two").pid == other


async def test_a_child_that_never_starts_is_given_up_with_its_last_words(watched: Watched, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="exited with code 1") as caught:
        await watched.supervisor.start([child(tmp_path, "hopeless", "hopeless"), child(tmp_path, "fine")])
    assert "this process has a reason to end" in caught.value.message
    await watched.supervisor.stop()
    assert watched.record("hopeless").state is ProcessState.FAILED
    assert watched.record("fine").state is ProcessState.STOPPED


async def test_a_child_that_is_never_ready_is_killed(watched: Watched, tmp_path: Path) -> None:
    stuck = child(tmp_path, "stuck", start=0.5)
    stuck = Child(stuck.name, stuck.log, stuck.prepare, lambda: False, start_seconds=0.5)
    with pytest.raises(StackError, match="not ready within"):
        await watched.supervisor.start([stuck])


async def test_stop_goes_in_reverse_and_leaves_nothing(watched: Watched, tmp_path: Path) -> None:
    await watched.supervisor.start([child(tmp_path, "base")])
    await watched.supervisor.start([child(tmp_path, "top")])
    pids = {name: watched.record(name).pid for name in ("base", "top")}
    stopped: list[str] = []

    async def observe() -> None:
        while len(stopped) < 2:
            await watched.until(
                lambda: any(
                    record.state is ProcessState.STOPPED and record.name not in stopped
                    for record in watched.supervisor.processes
                )
            )
            stopped.extend(
                record.name
                for record in watched.supervisor.processes
                if record.state is ProcessState.STOPPED and record.name not in stopped
            )

    await asyncio.gather(observe(), watched.supervisor.stop())
    assert stopped == ["top", "base"]
    assert not any(pid and psutil.pid_exists(pid) for pid in pids.values())


async def test_what_outlives_its_grace_is_killed(watched: Watched, tmp_path: Path) -> None:
    await watched.supervisor.start([child(tmp_path, "deaf", "stubborn", grace=0.3)])
    pid = watched.record("deaf").pid
    assert pid is not None
    await watched.supervisor.stop()
    assert not psutil.pid_exists(pid)


async def test_a_failing_preparation_is_tried_again(watched: Watched, tmp_path: Path) -> None:
    good = child(tmp_path, "flaky")
    attempts = 0

    def prepare() -> Command:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise RuntimeError("not yet")
        return good.prepare()

    await watched.supervisor.start([Child("flaky", good.log, prepare, good.ready)])
    assert watched.record("flaky").restarts == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from infra.embedded.supervisor import Supervisor
        from tests.unit.test_embedded_supervisor import child

        async def main():
            supervisor = Supervisor(lambda: None)
            await supervisor.start([child(Path(sys.argv[1]), "one"), child(Path(sys.argv[1]), "two")])
            print(*[record.pid for record in supervisor.processes], flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        children = [psutil.Process(int(pid)) for pid in supervisor.stdout.readline().split()]
        assert len(children) == 2
        supervisor.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_a_pid_used_again_is_not_the_same_process() -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    assert me.process() is not None
    assert ProcessId(me.pid, me.started - 60).process() is None


def test_a_taken_port_is_passed_over() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    other = free_port()
    assert free_port(other) == other
    assert free_port(other, taken=frozenset({other})) != other


def test_logs_rotate_while_they_are_written(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(1, 5):
            writer.write(f"{number}".encode() * 200)
            rotate_log(log, limit=100, kept=2)
        writer.write(b"now")
    assert log.read_text() == "now"
    assert log.with_name("one.log.1").read_text() == "4" * 200
    assert log.with_name("one.log.2").read_text() == "3" * 200
    assert not log.with_name("one.log.3").exists()


def test_tail_starts_at_a_line(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_text("first line\nsecond line\n")
    assert tail(log, 15) == "second line\n"
    assert tail(log) == "first line\nsecond line\n"
    assert tail(tmp_path / "none.log") == ""
