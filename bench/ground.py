"""What the bench stands on: the embedded stack's Postgres and Temporal, set up exactly so, and processes beside them.

Postgres keeps `fsync`; Temporal has its file database with the write-ahead log. Nothing here is shared with a stack
that runs already: folder, ports and keys are the bench's own and go at the end.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from domain.errors import ParleyError
from domain.ids import new_id
from infra.embedded.environment import Addresses, process_environment, stack_environment
from infra.embedded.meilisearch import SearchChoice
from infra.embedded.postgres import APP, OWNER, PLATFORM, EmbeddedPostgres
from infra.embedded.process import Command, free_port, spawn, stop
from infra.embedded.state import StateFolder
from infra.settings import Settings, default_config_dir
from storage.migrate import migrate
from storage.postgres.database import PostgresDatabase
from storage.protocols import Tenant
from tests.support.provisioned import install_library, provision
from tests.support.stack import scratch_folder, temporal_server

ROOT = Path(__file__).parents[1]
START_SECONDS = 120.0
AT_ONCE = 8
"""Requests or starts at the same time, on either side of every comparison."""

_SEARCH = SearchChoice("postgres", "the bench measures the search every installation has")


class BenchError(ParleyError):
    """Something the figures rest on is not as it must be. Says what."""

    code = "bench"
    title = "The bench cannot measure"


@dataclass(frozen=True)
class Process:
    """A child of the bench, with its log."""

    name: str
    child: subprocess.Popen[bytes]
    log: Path


@dataclass(frozen=True)
class Ground:
    """Servers that run. `environment` is a process's whole environment but its own ports."""

    state: StateFolder
    environment: Mapping[str, str]
    settings: Settings
    owner_url: str
    postgres: Process
    temporal: Process

    async def tenant(self, slug: str) -> Tenant:
        """A new tenant with the six starter tasks active."""
        async with self.database() as database:
            return await provision(database, slug)

    async def api_key(self, tenant_id: str, *scopes: str) -> str:
        """A key of the tenant."""
        async with self.database() as database:
            made = await database.platform.create_api_key("bench", scopes=scopes, tenant_id=tenant_id)
        return made.key.get_secret_value()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[PostgresDatabase]:
        opened = await PostgresDatabase.connect(
            self.settings.database_url.get_secret_value(), self.settings.platform_database_url.get_secret_value()
        )
        try:
            yield opened
        finally:
            await opened.close()

    @asynccontextmanager
    async def worker(self, module: str, role: str, profile: Path | None = None) -> AsyncIterator[Process]:
        """A worker process of a role, once it polls; stopped in order at the end. With a file: under a profiler."""
        ready = self.state.ready_file(f"{role}-{new_id()}")
        environment = process_environment(self.environment, metrics_port=free_port(), ready_file=ready)
        async with self._python(role, (module, role), environment, ready.exists, profile) as process:
            yield process

    @asynccontextmanager
    async def server(self, module: str, profile: Path | None = None) -> AsyncIterator[tuple[Process, str]]:
        """An HTTP server process and its address, once it answers. With a file: under a profiler."""
        port = free_port()
        own = {"PARLEY_API_PORT": str(port), "PARLEY_PUBLIC_URL": f"http://127.0.0.1:{port}"}
        environment = {**process_environment(self.environment, metrics_port=free_port()), **own}
        url = f"http://127.0.0.1:{port}"
        async with self._python(module, (module,), environment, lambda: _answers(url), profile) as process:
            yield process, url

    @asynccontextmanager
    async def _python(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        ready: Callable[[], bool],
        profile: Path | None,
    ) -> AsyncIterator[Process]:
        profiler = () if profile is None else ("bench.profile", str(profile))
        command = Command((sys.executable, "-m", *profiler, *arguments), environment, ROOT, stop_signal=signal.SIGTERM)
        log = self.state.log(f"{name}-{new_id()}")
        with log.open("wb") as output:
            process = Process(name, spawn(command, output), log)
        try:
            await _until_ready(process, ready)
            yield process
        finally:
            await asyncio.to_thread(stop, process.child, signal.SIGTERM, 35.0)


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """Postgres and Temporal, migrated, with the starter library. Raises BenchError, StackError."""
    with scratch_folder("bench") as folder:
        state = StateFolder.at(folder / "state")
        state.create()
        with _postgres(state) as (server, postgres), temporal_server(database=state.temporal_database) as temporal:
            for role, name in ((OWNER, "owner"), (APP, "app"), (PLATFORM, "platform")):
                state.write_secret(f"database-url.{name}", server.url(role))
            await asyncio.to_thread(migrate, server.url(OWNER))
            await install_library(server.url(OWNER))
            addresses = Addresses(
                api_port=free_port(), temporal=temporal.address, temporal_namespace=temporal.namespace,
                temporal_ui="", meilisearch=None,
            )  # fmt: skip
            environment = stack_environment(state, default_config_dir(), addresses, _SEARCH, {})
            yield Ground(
                state=state,
                environment=environment,
                settings=_settings(environment),
                owner_url=server.url(OWNER),
                postgres=Process("postgres", postgres, state.log("postgres")),
                temporal=Process("temporal", temporal.process, state.log("temporal")),
            )


@contextmanager
def _postgres(state: StateFolder) -> Iterator[tuple[EmbeddedPostgres, subprocess.Popen[bytes]]]:
    server = EmbeddedPostgres(state.postgres, state.passwords())
    command = server.prepare(free_port())
    with state.log("postgres").open("wb") as log:
        process = spawn(command, log)
    try:
        server.wait_ready(START_SECONDS, lambda: process.poll() is None)
        server.bootstrap()
        yield server, process
    finally:
        stop(process, signal.SIGQUIT, grace=5)  # nothing is kept
        server.remove()


def _settings(environment: Mapping[str, str]) -> Settings:
    return Settings.model_validate({name.removeprefix("PARLEY_").lower(): value for name, value in environment.items()})


async def _until_ready(process: Process, ready: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(ready):
                if process.child.poll() is not None:
                    raise BenchError(f"{process.name} ended while starting:\n{_tail(process.log)}")
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise BenchError(f"{process.name} was not ready in {START_SECONDS:.0f} s:\n{_tail(process.log)}") from None


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _answers(url: str) -> bool:
    try:
        return not httpx.get(f"{url}/healthz", timeout=2, trust_env=False).is_server_error
    except httpx.HTTPError:
        return False


class CpuMeter:
    """CPU seconds by process since the last `lap`: the process itself and all below it."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._roots = {process.name: psutil.Process(process.child.pid) for process in processes}
        self._own = psutil.Process()
        self._last = self._read()

    def lap(self) -> dict[str, float]:
        """Also under `bench`: what starting and waiting cost in this process."""
        now, before = self._read(), self._last
        self._last = now
        return {name: now[name] - before[name] for name in now}

    def _read(self) -> dict[str, float]:
        own = self._own.cpu_times()
        return {name: _tree_seconds(root) for name, root in self._roots.items()} | {"bench": own.user + own.system}


def _tree_seconds(root: psutil.Process) -> float:
    """User and system time of a process, of what runs below it, and of what ended below it."""
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:  # counted by its parent, as ended
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def http_client(url: str, key: str) -> httpx.AsyncClient:
    """A client with the key, at most eight connections."""
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits, trust_env=False)


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    """The answer's JSON. Raises BenchError for anything but success."""
    response = await client.post(path, json=body)
    if not response.is_success:
        raise BenchError(f"POST {path} was answered {response.status_code}: {response.text[:200]}")
    return response.json()
