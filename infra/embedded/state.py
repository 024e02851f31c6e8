"""The one folder that holds everything the embedded stack keeps, and the record of what runs.

.parley/
  secrets/        keys and passwords, made on first start (0600)
  postgres/data   database (a link when it must live elsewhere)
  temporal.db     Temporal's file database
  meilisearch/    search index, when Meilisearch runs here
  content/        content store
  logs/           one log per process
  ready/          a file per worker that is polling
  stack.json      what runs where (0600)
  lock            held while a supervisor runs
"""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from domain.clock import utc_now
from infra.embedded.errors import StackError
from infra.embedded.postgres import EmbeddedPostgres, Passwords
from infra.embedded.process import ProcessId
from infra.secrets import new_key

_MARKER = "parley-state"
_LEFT_HERE = frozenset({"bench.json", "screens"})
"""What the bench and the tests leave in the usual folder, with or without a stack."""


class StackState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class ProcessState(StrEnum):
    WAITING = "waiting"  # for others to be ready
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    FAILED = "failed"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProcessRecord(_Record):
    """One supervised process. `started` is the start time of the pid, in seconds since the epoch."""

    name: str
    state: ProcessState
    pid: int | None = None
    started: float | None = None
    restarts: int = 0
    address: str | None = None
    log: Path
    note: str | None = None

    def identity(self) -> ProcessId | None:
        return None if self.pid is None or self.started is None else ProcessId(self.pid, self.started)


class SearchRecord(_Record):
    """Which search index serves, and why it was chosen."""

    backend: Literal["meilisearch", "postgres"]
    reason: str
    url: str | None = None


class StackRecord(_Record):
    """What `stack.json` says. `environment` is what a process of ours needs: references, no secrets."""

    state: StackState
    supervisor_pid: int
    supervisor_started: float
    updated: datetime
    processes: tuple[ProcessRecord, ...] = ()
    ports: dict[str, int] = {}
    addresses: dict[str, str] = {}
    search: SearchRecord | None = None
    environment: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    error: str | None = None

    def supervisor(self) -> psutil.Process | None:
        """The supervisor that wrote this, while it still keeps the stack running."""
        if self.state in (StackState.STOPPED, StackState.FAILED):
            return None
        return ProcessId(self.supervisor_pid, self.supervisor_started).process()


@dataclass(frozen=True)
class StateFolder:
    """Paths inside one state folder. `path` is absolute."""

    path: Path

    @classmethod
    def at(cls, home: Path) -> "StateFolder":
        return cls(home.expanduser().absolute())

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def content(self) -> Path:
        return self.path / "content"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def meilisearch(self) -> Path:
        return self.path / "meilisearch"

    @property
    def temporal_database(self) -> Path:
        return self.path / "temporal.db"

    @property
    def record_file(self) -> Path:
        return self.path / "stack.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def ready_file(self, name: str) -> Path:
        return self.path / "ready" / name

    def secret_file(self, name: str) -> Path:
        return self.secrets / name

    def create(self) -> None:
        """Makes the folder, readable to its owner only.

        Raises:
            StackError: there is already something else at this path.
        """
        if not (self.path / _MARKER).exists() and self._has_something_else():
            raise StackError(f"{self.path} exists and is not a state folder of Parley: choose another PARLEY_HOME")
        for folder in (self.path, self.secrets, self.logs, self.content, self.path / "ready", self.meilisearch):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
        (self.path / _MARKER).touch()
        _check_writable(self.path)
        self._make_secrets()

    def _has_something_else(self) -> bool:
        return self.path.exists() and any(entry.name not in _LEFT_HERE for entry in self.path.iterdir())

    def passwords(self) -> Passwords:
        def of(role: str) -> SecretStr:
            return SecretStr(self.secret_file(f"postgres-{role}.password").read_text(encoding="utf-8"))

        return Passwords(admin=of("admin"), owner=of("owner"), app=of("app"), platform=of("platform"))

    def write_secret(self, name: str, value: str) -> Path:
        """Stores a secret in a file of its own, 0600 from its first moment."""
        _write_private(self.secret_file(name), value)
        return self.secret_file(name)

    def write_record(self, record: StackRecord) -> None:
        _write_private(self.record_file, record.model_dump_json(indent=2))

    def read_record(self) -> StackRecord | None:
        """The last record written, None when there is none that can be read."""
        try:
            return StackRecord.model_validate_json(self.record_file.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    def wipe(self) -> None:
        """Removes the folder and what lives elsewhere for it. Nothing may run in it.

        Raises:
            StackError: the path is not a state folder.
        """
        if not self.path.exists():
            return
        if not (self.path / _MARKER).exists():
            raise StackError(f"{self.path} is not a state folder of Parley: nothing was removed")
        nobody = SecretStr("")
        EmbeddedPostgres(self.postgres, Passwords(nobody, nobody, nobody, nobody)).remove()
        shutil.rmtree(self.path)

    def _make_secrets(self) -> None:
        for role in ("admin", "owner", "app", "platform"):
            if not self.secret_file(f"postgres-{role}.password").exists():
                self.write_secret(f"postgres-{role}.password", secrets.token_urlsafe(24))
        for name in ("master.key", "codec.key", "meilisearch.key"):
            if not self.secret_file(name).exists():
                self.write_secret(name, new_key())


@dataclass(frozen=True)
class Lock:
    """A held lock. `taken_over_from` is the pid of a supervisor that died without releasing it."""

    taken_over_from: int | None


@contextmanager
def hold_lock(state: StateFolder) -> Iterator[Lock]:
    """One supervisor per state folder. The kernel releases the lock when its holder dies, however it dies.

    Raises:
        StackError: another live supervisor holds it; says which and since when.
    """
    path = state.path / "lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid, _, since = file.read().strip().partition(" ")
            raise StackError(
                f"already running: pid {pid or '?'} since {since or '?'} uses {state.path}. "
                "See `parley status`; stop it with `parley down`"
            ) from None
        file.seek(0)
        left = file.read().split()
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()} {utc_now():%Y-%m-%d %H:%M:%S} UTC\n")
        file.flush()
        try:
            yield Lock(int(left[0]) if left and left[0].isdigit() else None)
        finally:
            file.seek(0)
            file.truncate()


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, and never readable to others (`mkstemp` creates with 0600)."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(partial).replace(path)


def _check_writable(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StackError(f"{folder} cannot be written: {error.strerror}") from error
