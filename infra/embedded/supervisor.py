"""Keeps a set of child processes running: start order, readiness, restart with back-off, logs, orderly stop.

It knows nothing of what the children do. `stack.py` says which they are.
"""

import asyncio
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.errors import ParleyError
from infra.embedded.errors import StackError
from infra.embedded.process import Command, ProcessId, kill_group, popen_options
from infra.embedded.state import ProcessRecord, ProcessState

_READY_POLL_SECONDS = 0.05
_TAIL_BYTES = 2000


@dataclass(frozen=True)
class Timing:
    """How patient the supervisor is, in seconds; how large a log may grow, in bytes."""

    first_backoff: float = 0.2
    largest_backoff: float = 10.0
    calm: float = 30.0
    """A child that ran this long begins again with the first back-off."""
    attempts_to_start: int = 4
    """A child that was never ready is given up after so many tries; one that was ready never is."""
    log_check: float = 20.0
    log_bytes: int = 10_000_000
    logs_kept: int = 3


@dataclass(frozen=True)
class Child:
    """One process to keep running.

    `prepare` is called in a thread before every start and returns the command; `ready` is asked in a thread
    until it says yes; `on_ready` runs in a thread after each start, before the child counts as ready.
    """

    name: str
    log: Path
    prepare: Callable[[], Command]
    ready: Callable[[], bool]
    on_ready: Callable[[], None] | None = None
    address: str | None = None
    start_seconds: float = 60.0
    grace_seconds: float = 10.0


class Supervisor:
    """Runs children in one event loop. `start` groups in order; `stop` ends the groups in reverse."""

    def __init__(self, on_change: Callable[[], None], timing: Timing | None = None) -> None:
        self._on_change = on_change
        self._timing = timing or Timing()
        self._groups: list[list[_Kept]] = []
        self._rotation: asyncio.Task[None] | None = None

    @property
    def processes(self) -> tuple[ProcessRecord, ...]:
        return tuple(kept.record for kept in self._all())

    async def start(self, children: Sequence[Child]) -> None:
        """Starts a group together; returns when every one of it is ready.

        Raises:
            StackError: one of them does not start; the message ends with its last words.
        """
        if self._rotation is None:
            self._rotation = asyncio.create_task(self._rotate())
        group = [_Kept(child, self._timing, self._on_change) for child in children]
        self._groups.append(group)
        for kept in group:
            kept.begin()
        await asyncio.gather(*(kept.first_ready for kept in group))

    async def stop(self) -> None:
        """Asks each child to end, the youngest group first, and kills what outlives its grace."""
        if self._rotation is not None:
            self._rotation.cancel()
        for group in reversed(self._groups):
            await asyncio.gather(*(kept.stop() for kept in group))

    def kill(self) -> None:
        """Kills every child now: the answer to a second Ctrl-C. `stop` then finds nothing to wait for."""
        for kept in self._all():
            kept.kill()

    def _all(self) -> "list[_Kept]":
        return [kept for group in self._groups for kept in group]

    async def _rotate(self) -> None:
        while True:
            await asyncio.sleep(self._timing.log_check)
            for kept in self._all():
                await asyncio.to_thread(rotate_log, kept.child.log, self._timing.log_bytes, self._timing.logs_kept)


class _Kept:
    """One child and the loop that keeps it running."""

    def __init__(self, child: Child, timing: Timing, on_change: Callable[[], None]) -> None:
        self.child = child
        self.record = ProcessRecord(name=child.name, state=ProcessState.WAITING, log=child.log, address=child.address)
        self.first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timing = timing
        self._on_change = on_change
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._stop_signal = signal.SIGTERM
        self._loop: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._loop = asyncio.create_task(self._keep_running(), name=f"keep {self.child.name} running")

    async def stop(self) -> None:
        self._stopping.set()
        self._signal(self._stop_signal)
        if self._loop is None:
            return
        ended, _ = await asyncio.wait({self._loop}, timeout=self.child.grace_seconds)
        if not ended:
            self.kill()
            await self._loop

    def kill(self) -> None:
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _keep_running(self) -> None:
        clock = asyncio.get_running_loop().time
        backoff, failures = self._timing.first_backoff, 0
        while not self._stopping.is_set():
            started = clock()
            try:
                ending = await self._live_once()
            except Exception as error:  # whatever goes wrong with one child, the others are still kept
                ending = error.message if isinstance(error, ParleyError) else f"{type(error).__name__}: {error}"
            if self._stopping.is_set():
                break
            failures += 1
            if not self.first_ready.done() and failures >= self._timing.attempts_to_start:
                self._tell(ProcessState.FAILED, note=ending, pid=None, started=None)
                self.first_ready.set_exception(
                    StackError(f"{self.child.name} does not start: {ending}\n{tail(self.child.log)}")
                )
                return
            if clock() - started > self._timing.calm:
                backoff = self._timing.first_backoff
            self._tell(ProcessState.RESTARTING, note=ending, restarts=self.record.restarts + 1, pid=None)
            await self._pause(backoff)
            backoff = min(backoff * 2, self._timing.largest_backoff)
        self._tell(ProcessState.STOPPED, note=None, pid=None, started=None)
        if not self.first_ready.done():
            self.first_ready.set_exception(StackError(f"{self.child.name} was stopped while it was starting"))

    async def _live_once(self) -> str:
        """Starts the process and returns, when it has ended, how."""
        command = await asyncio.to_thread(self.child.prepare)
        if self._stopping.is_set():
            return "stopped"
        self._stop_signal = command.stop_signal
        with self.child.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command.argv, stdout=log, stderr=asyncio.subprocess.STDOUT, **popen_options(command)
            )
        self._process = process
        identity = ProcessId.of(process.pid)
        self.record = self.record.model_copy(
            update={"pid": process.pid, "started": identity.started if identity else None}
        )
        self._tell(ProcessState.STARTING)
        if self._stopping.is_set():  # asked to stop in the middle of being started
            self._signal(self._stop_signal)
        ended = asyncio.ensure_future(process.wait())
        try:
            if await self._becomes_ready(ended):
                self._tell(ProcessState.READY, note=None)
                if not self.first_ready.done():
                    self.first_ready.set_result(None)
            elif not ended.done():
                return f"not ready within {self.child.start_seconds:.0f} s"
            await ended
        finally:
            kill_group(process.pid)
            await ended
        return _how_it_ended(process.returncode)

    async def _becomes_ready(self, ended: asyncio.Future[int]) -> bool:
        clock = asyncio.get_running_loop().time
        until = clock() + self.child.start_seconds
        while not ended.done() and clock() < until:
            if await asyncio.to_thread(self.child.ready):
                if self.child.on_ready is not None:
                    await asyncio.to_thread(self.child.on_ready)
                return not ended.done()
            await asyncio.wait({ended}, timeout=_READY_POLL_SECONDS)
        return False

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            try:
                self._process.send_signal(number)
            except ProcessLookupError:
                return

    def _tell(self, state: ProcessState, **changes: object) -> None:
        self.record = self.record.model_copy(update={"state": state, **changes})
        self._on_change()


def rotate_log(log: Path, limit: int, kept: int) -> None:
    """Copies a log over `limit` bytes to `log.1` and empties it, keeping `kept` older ones.

    The child goes on writing to the same file (it is open for appending), so it need not know.
    """
    if not log.exists() or log.stat().st_size <= limit:
        return
    for number in range(kept - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    with log.open("r+b") as file:
        file.truncate()


def tail(log: Path, size: int = _TAIL_BYTES) -> str:
    """The last whole lines of a log, at most `size` bytes."""
    try:
        with log.open("rb") as file:
            length = file.seek(0, 2)
            file.seek(max(0, length - size))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return text.partition("\n")[2] if length > size else text


def _how_it_ended(returncode: int | None) -> str:
    if returncode is None:
        return "ended"
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exited with code {returncode}"
