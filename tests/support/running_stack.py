"""The whole service as `parley up` runs it, for end-to-end tests: its own processes, killed, hung and looked at."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import TupleRow
from pydantic import SecretStr

from cli.client import ParleyClient
from cli.connection import Connection, operator_key
from cli.demo.tenant import TENANT
from infra.embedded import control
from infra.embedded.postgres import ADMIN, DATABASE
from infra.embedded.process import Command, free_port, spawn, stop
from infra.embedded.state import ProcessRecord, ProcessState, StackRecord, StackState, StateFolder
from infra.embedded.supervisor import tail
from storage.postgres.provisioning import Provisioning
from tests.support.stack import ROOT, scratch_folder

START_SECONDS = 240.0
"""On a busy machine; alone it takes about ten."""

_POLL_SECONDS = 0.1
_OF_THE_CALLER = ("PARLEY_", "TEMPORAL_", "MEILI_")


@dataclass
class Finished:
    """A command that ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class RunningStack:
    """One stack and what tests do to it. Its tenants are made over the API."""

    state: StateFolder
    environment: Mapping[str, str]
    supervisor: subprocess.Popen[bytes]

    # -- what runs

    @property
    def record(self) -> StackRecord:
        found = self.state.read_record()
        assert found is not None
        return found

    @property
    def api(self) -> str:
        return self.record.addresses["api"]

    def process(self, name: str) -> ProcessRecord:
        return next(process for process in self.record.processes if process.name == name)

    def pids(self) -> dict[str, int | None]:
        return {process.name: process.pid for process in self.record.processes}

    def told(self) -> str:
        """What runs and the ends of the logs: what a failed wait shows."""
        return "\n".join(
            f"== {p.name}: {p.state.value}, {p.restarts} restarts, {p.note}\n{tail(p.log, 800)}"
            for p in self.record.processes
        )

    # -- faults

    def kill(self, name: str) -> None:
        """kill -9; returns once the process is gone."""
        process = self._alive(name)
        process.kill()
        until(lambda: not _runs(process), 20, self.told)

    def until_restarted(self, name: str, restarts: int, seconds: float = START_SECONDS) -> None:
        """Ready again, having been restarted at least `restarts` times in all."""

        def again() -> bool:
            now = self.process(name)
            return now.restarts >= restarts and now.state is ProcessState.READY

        until(again, seconds, self.told)

    @contextmanager
    def hung(self, name: str) -> Iterator[None]:
        """The process and all its children stand still inside the block: connections stay open, nothing answers."""
        process = self._alive(name)
        stopped = [process, *process.children(recursive=True)]
        for each in stopped:
            _signal(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in reversed(stopped):
                _signal(each, signal.SIGCONT)

    def _alive(self, name: str) -> psutil.Process:
        """The process, waited for when it is just being started again."""
        found: list[psutil.Process] = []

        def alive() -> bool:
            identity = self.process(name).identity()
            process = identity.process() if identity else None
            found.extend([process] if process else [])
            return bool(found)

        until(alive, START_SECONDS, self.told)
        return found[-1]

    @contextmanager
    def kept_down(self, name: str) -> Iterator[None]:
        """Killed, and whoever would start it again is held inside the block: connections are refused."""
        self._alive(name)
        restarts = self.process(name).restarts
        self.supervisor.send_signal(signal.SIGSTOP)
        try:
            self.kill(name)
            yield
        finally:
            self.supervisor.send_signal(signal.SIGCONT)
        self.until_restarted(name, restarts + 1)

    # -- ways in

    def client(self, tenant: str | None = None) -> ParleyClient:
        """With the operator's key; `tenant`: id or slug to act on."""
        return ParleyClient(Connection(self.api, operator_key(self.state), tenant))

    def key(self) -> SecretStr:
        return operator_key(self.state)

    def new_tenant(self, slug: str, tasks: Mapping[str, Mapping[str, Any]] | None = None, **changes: Any) -> str:
        """A tenant with these starter tasks active (all when None), each with what its spec is overridden by."""
        with self.client() as client:
            made = client.request("POST", "/v1/platform/tenants", json={**TENANT, "slug": slug, **changes})
            client.for_tenant(made["id"])
            for task in client.request("GET", "/v1/tasks")["items"]:
                if tasks is None or task["slug"] in tasks:
                    body = (tasks or {}).get(task["slug"], {})
                    client.request("POST", f"/v1/tasks/{task['slug']}/activation", json=body)
            return str(made["id"])

    async def provisioning(self, work: Callable[[Provisioning], Any]) -> None:
        """What an operator does with the owner's URL."""
        owner = self.state.secret_file("database-url.owner").read_text(encoding="utf-8").strip()
        async with Provisioning.connect(owner) as provisioning:
            await work(provisioning)

    def rows(self, query: str, *arguments: Any) -> list[TupleRow]:
        """Past row-level security: tests see everything that is stored."""
        password = self.state.passwords().of(ADMIN).get_secret_value()
        address = f"postgresql://{ADMIN}@{self.record.addresses['postgres']}/{DATABASE}"
        with psycopg.connect(address, password=password) as connection:
            return connection.execute(query, arguments).fetchall()

    def parley(self, *arguments: str, timeout: float = 120, **environment: str) -> Finished:
        """A `parley` command against this stack, as typed in another terminal."""
        return run_parley(arguments, {**self.environment, **environment}, timeout)


def run_parley(arguments: Sequence[str], environment: Mapping[str, str], timeout: float) -> Finished:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=ROOT, env=dict(environment), capture_output=True, text=True, timeout=timeout, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Finished(done.returncode, done.stdout, done.stderr)


def own_environment(home: Path, **more: str) -> dict[str, str]:
    """The caller's environment without what would lead elsewhere, and with ports nobody else wants."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_CALLER)}
    ports: dict[str, int] = {}
    for name in ("API", "TEMPORAL", "TEMPORAL_UI", "POSTGRES", "MEILISEARCH"):
        ports[f"PARLEY_{name}_PORT"] = free_port(taken=frozenset(ports.values()))
    return {
        **ours,
        **{name: str(port) for name, port in ports.items()},
        "PARLEY_HOME": str(home),
        "COLUMNS": "160",
        **more,
    }


@contextmanager
def running_stack(what: str, **environment: str) -> Iterator[RunningStack]:
    """`parley up` in a folder of its own; everything is ready. It ends with the block, however the block ends, and
    with this process, however that ends."""
    with state_home(what) as home, supervised(home, own_environment(home, **environment)) as stack:
        yield stack


@contextmanager
def state_home(what: str) -> Iterator[Path]:
    """A state folder to be, for one stack after another; nothing of it is left at the end, wherever it was put."""
    with scratch_folder(what) as folder:
        home = folder / "state"
        try:
            yield home
        finally:
            control.down(StateFolder.at(home), print, wipe=True)


@contextmanager
def supervised(home: Path, environment: Mapping[str, str]) -> Iterator[RunningStack]:
    """`parley up` on a state folder, which may have been used before."""
    state = StateFolder.at(home)
    said = home.parent / "supervisor.log"
    command = Command((sys.executable, "-m", "cli.main", "up"), environment, ROOT)
    with said.open("ab") as log:
        supervisor = spawn(command, log)
    stack = RunningStack(state, environment, supervisor)

    def is_up() -> bool:
        assert supervisor.poll() is None, said.read_text()[-3000:]
        record = state.read_record()
        return record is not None and record.supervisor_pid == supervisor.pid and record.state is StackState.READY

    try:
        until(is_up, START_SECONDS, lambda: said.read_text()[-3000:])
        yield stack
    finally:
        stop(supervisor, signal.SIGTERM, grace=60)


def until(condition: Callable[[], bool], seconds: float, told: Callable[[], str] = str) -> None:
    """Waits for a condition. Raises AssertionError when the time is up, with what `told` says."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s\n{told()}"
        time.sleep(_POLL_SECONDS)


def provision(stack: RunningStack, work: Callable[[Provisioning], Any]) -> None:
    """`stack.provisioning` from where there is no event loop."""
    asyncio.run(stack.provisioning(work))


def _runs(process: psutil.Process) -> bool:
    """A zombie that nobody has waited for does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
