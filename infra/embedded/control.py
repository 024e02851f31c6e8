"""What the `up`, `down` and `status` commands do with a stack, without a word about how it is shown."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from infra.embedded.errors import StackError
from infra.embedded.leftovers import leftovers, stop_leftovers
from infra.embedded.stack import EmbeddedStack, StackOptions
from infra.embedded.state import StackRecord, StackState, StateFolder

Tell = Callable[[str], None]
Watch = Callable[[StackRecord], None]

_DETACHED_START_SECONDS = 1500.0  # the first start may build the Temporal server
_STOP_SECONDS = 60.0
_ROOT = Path(__file__).parents[2]


async def serve(options: StackOptions, tell: Tell, watch: Watch | None = None, ready: Watch | None = None) -> None:
    """Runs the stack until Ctrl-C, SIGTERM or SIGHUP; a second signal kills instead of waiting.

    Raises:
        StackError: it did not start.
    """
    stack = EmbeddedStack(options, tell, watch)
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            stack.kill()
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ask)
    starting, waiting = asyncio.create_task(stack.start()), asyncio.create_task(asked.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        tell("stopping before everything was up")
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        return
    try:
        await starting
        if ready is not None:
            ready(stack.record)
        await waiting
    finally:
        waiting.cancel()
    tell("stopping (once more to kill)")
    await stack.stop()


def start_detached(state: StateFolder, tell: Tell) -> StackRecord:
    """Starts a supervisor that outlives this process; returns once everything is up.

    Raises:
        StackError: it did not start; the message is the supervisor's.
    """
    state.create()
    log = state.log("supervisor")
    told = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        supervisor = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "infra.embedded.control", str(state.path)],
            cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    until = time.monotonic() + _DETACHED_START_SECONDS
    while time.monotonic() < until:
        ended = supervisor.poll() is not None
        with log.open(encoding="utf-8", errors="replace") as lines:
            lines.seek(told)
            for line in lines:
                tell(line.rstrip())
            told = lines.tell()
        if ended:
            raise StackError(f"the supervisor ended while starting; see {log}")
        record = state.read_record()
        if record and record.supervisor_pid == supervisor.pid and record.state is StackState.READY:
            return record
        time.sleep(0.1)
    raise StackError(f"not up after {_DETACHED_START_SECONDS:.0f} s; see {log}")


def current(state: StateFolder) -> StackRecord | None:
    """The record of the folder, marked stopped when its supervisor is gone; None when there never was one."""
    record = state.read_record()
    if record is None or record.supervisor() or record.state in (StackState.FAILED, StackState.STOPPED):
        return record
    alive = {name for name, _ in leftovers(record)}
    processes = tuple(
        process if process.name in alive else process.model_copy(update={"pid": None, "started": None})
        for process in record.processes
    )
    return record.model_copy(
        update={"state": StackState.STOPPED, "processes": processes, "error": "the supervisor is gone"}
    )


def down(state: StateFolder, tell: Tell, *, wipe: bool = False) -> bool:
    """Stops the stack of a folder and whatever of it is left; returns whether anything ran.

    Raises:
        StackError: the folder is not a state folder.
    """
    record = state.read_record()
    ran = False
    if record is not None:
        supervisor = record.supervisor()
        if supervisor is not None:
            ran = True
            tell(f"stopping the supervisor (pid {supervisor.pid}) and its processes")
            _end(supervisor)
        ran = bool(leftovers(record)) or ran
        stop_leftovers(record, tell)
    if wipe:
        state.wipe()
        tell(f"removed {state.path}")
    return ran


def _end(supervisor: psutil.Process) -> None:
    supervisor.send_signal(signal.SIGTERM)
    if psutil.wait_procs([supervisor], timeout=_STOP_SECONDS)[1]:
        supervisor.kill()
        supervisor.wait(timeout=5)


def main() -> int:
    """The detached supervisor: `python -m infra.embedded.control STATE_FOLDER`."""

    def tell(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    os.environ["PARLEY_HOME"] = sys.argv[1]
    try:
        asyncio.run(serve(StackOptions.from_environment(), tell))
    except StackError as error:
        tell(error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
