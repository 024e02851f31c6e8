"""Ends what an earlier supervisor left running. A recorded pid counts only with its recorded start time."""

import os
import signal
from collections.abc import Callable

import psutil

from infra.embedded.process import kill_group
from infra.embedded.state import StackRecord

_GRACE_SECONDS = 5.0


def leftovers(record: StackRecord) -> list[tuple[str, psutil.Process]]:
    """Processes of the record that still run: name and process."""
    found = []
    for recorded in record.processes:
        identity = recorded.identity()
        process = identity.process() if identity else None
        if process is not None:
            found.append((recorded.name, process))
    return found


def stop_leftovers(record: StackRecord, tell: Callable[[str], None]) -> None:
    """Asks them to end and kills what does not, group by group."""
    found = leftovers(record)
    for name, process in found:
        tell(f"stopping {name} (pid {process.pid}), left over from an earlier run")
        # SIGINT is Postgres' fast shutdown; SIGTERM would wait for its clients.
        _signal(process, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs([process for _, process in found], timeout=_GRACE_SECONDS)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)
    for _, process in found:
        if process.pid != os.getpid():
            kill_group(process.pid)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
