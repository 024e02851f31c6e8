"""How a child process is started, recognised again and stopped: the same for the supervisor and for tests.

A child gets its own session (a Ctrl-C in the terminal reaches only the supervisor, which stops everything
in order) and, on Linux, a signal from the kernel when its parent dies, however the parent died.
"""

import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

_PR_SET_PDEATHSIG = 1
_PORTS = range(20_000, 32_000)
"""Ports that systems do not give to outgoing connections: whatever is started again finds its port free."""

# Start times are counted from the boot time, which moves a little when the clock is corrected.
_CLOCK_TOLERANCE_SECONDS = 2.0
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """The system account a child runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """Everything needed to start one child. `env` is complete: nothing is inherited."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM


@dataclass(frozen=True)
class ProcessId:
    """A pid with its start time (seconds since the epoch): a pid alone is used again by the system."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """The identity of a live process, None when there is none."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def process(self) -> psutil.Process | None:
        """The very process this stands for, None when it has ended (also when its pid is in use again)."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.started) < _CLOCK_TOLERANCE_SECONDS
            alive = found.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return found if same and alive else None


def popen_options(command: Command) -> dict[str, Any]:
    """Keyword arguments for `subprocess.Popen` and `asyncio.create_subprocess_exec` alike."""
    options: dict[str, Any] = {
        "env": dict(command.env),
        "cwd": command.cwd,
        "stdin": subprocess.DEVNULL,
        "start_new_session": True,
        "preexec_fn": _die_with_parent(command.stop_signal),
    }
    if command.account is not None:
        options |= {"user": command.account.uid, "group": command.account.gid, "extra_groups": []}
    return options


def spawn(command: Command, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Starts a child whose output goes to `log`."""
    return subprocess.Popen(  # noqa: S603 - the argument list is ours
        command.argv, stdout=log, stderr=subprocess.STDOUT, **popen_options(command)
    )


def stop(child: subprocess.Popen[bytes], stop_signal: signal.Signals, grace: float) -> None:
    """Asks a child to end, waits up to `grace` seconds, then kills what is left of its group."""
    if child.poll() is None:
        child.send_signal(stop_signal)
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    kill_group(child.pid)


def kill_group(pgid: int) -> None:
    """Kills whatever is left of a child's process group (the child was its leader, so pgid is its pid)."""
    try:
        os.killpg(pgid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def free_port(*preferred: int, taken: frozenset[int] = frozenset()) -> int:
    """A free port on 127.0.0.1 that is not in `taken`: the first of `preferred` that is, else any."""
    for port in (*preferred, *secrets.SystemRandom().sample(_PORTS, 50), 0):
        if port in taken:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers do: a port in TIME_WAIT from the last run counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
        if found not in taken:
            return found
    raise OSError("no free port on 127.0.0.1")


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What runs in the child between fork and exec; None where the kernel has no such signal.

    It must stay this small: after a fork only async-signal-safe work is allowed. It runs after the change
    of account, which would reset the signal.
    """
    if _libc is None:
        return None
    prctl, parent, number = _libc.prctl, os.getpid(), int(death_signal)

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # the parent was gone before the kernel was asked
            os._exit(1)

    return ask_kernel
