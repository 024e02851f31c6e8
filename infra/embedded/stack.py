"""The embedded stack as a whole: which processes, in which order, on which ports.

    async with EmbeddedStack(StackOptions.from_environment(), tell=print) as stack:
        ...                      # everything is up; stack.record says where

Order: Postgres and Temporal and the search choice side by side, then migration, then workers and API.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from domain.clock import utc_now
from infra.embedded import meilisearch, temporal, temporal_binary
from infra.embedded.environment import Addresses, process_environment, stack_environment
from infra.embedded.errors import StackError
from infra.embedded.leftovers import stop_leftovers
from infra.embedded.meilisearch import ReleaseSource, SearchChoice
from infra.embedded.ports import Ports
from infra.embedded.postgres import APP, OWNER, PLATFORM, EmbeddedPostgres
from infra.embedded.process import Command, ProcessId, popen_options
from infra.embedded.roles import WorkerProcess, worker_processes
from infra.embedded.state import SearchRecord, StackRecord, StackState, StateFolder, hold_lock
from infra.embedded.supervisor import Child, Supervisor, Timing, tail
from infra.settings import default_config_dir

Tell = Callable[[str], None]

_ROOT = Path(__file__).parents[2]
_MIGRATION_SECONDS = 120.0
_WORKER_GRACE_SECONDS = 35.0  # a worker gives its activities 30


@dataclass(frozen=True)
class Programs:
    """The modules that make up the service; tests of the stack itself put others in their place."""

    migrate: tuple[str, ...] = ("-m", "infra.migrate")
    api: tuple[str, ...] = ("-m", "api")
    worker: tuple[str, ...] = ("-m", "workers")


@dataclass(frozen=True)
class StackOptions:
    """What the caller may decide. Empty addresses mean: the stack brings its own."""

    home: Path
    config: Path
    temporal_address: str = ""
    temporal_namespace: str = "default"
    temporal_ui_url: str = ""
    meili_url: str = ""
    release: ReleaseSource = field(default_factory=ReleaseSource)
    preferred_ports: Mapping[str, int] = field(default_factory=dict)
    programs: Programs = field(default_factory=Programs)
    timing: Timing = field(default_factory=Timing)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """From the variables a person sets before `parley up`.

        Raises:
            StackError: a port is not a number.
        """
        preferred = {}
        for name in ("api", "temporal", "temporal_ui", "postgres", "meilisearch"):
            if text := environ.get(f"PARLEY_{name.upper()}_PORT", ""):
                if not text.isdigit() or not 0 < int(text) < 65536:
                    raise StackError(f"PARLEY_{name.upper()}_PORT is not a port number")
                preferred[name] = int(text)
        release = environ.get("PARLEY_MEILI_RELEASE_URL", "")
        return cls(
            home=Path(environ.get("PARLEY_HOME") or ".parley"),
            config=Path(environ.get("PARLEY_CONFIG_DIR") or default_config_dir()).absolute(),
            temporal_address=environ.get("TEMPORAL_ADDRESS", ""),
            temporal_namespace=environ.get("TEMPORAL_NAMESPACE") or "default",
            temporal_ui_url=environ.get("PARLEY_TEMPORAL_UI_URL", ""),
            meili_url=environ.get("MEILI_URL", ""),
            release=ReleaseSource(metadata_url=release) if release else ReleaseSource(),
            preferred_ports=preferred,
            environment=environ,
        )


class EmbeddedStack:
    """Starts, watches and stops the stack of one state folder, from within one event loop."""

    def __init__(
        self, options: StackOptions, tell: Tell, on_change: Callable[[StackRecord], None] | None = None
    ) -> None:
        self._options = options
        self._state = StateFolder.at(options.home)
        self._tell = tell
        self._on_change = on_change
        self._held = ExitStack()
        self._supervisor = Supervisor(self._changed, options.timing)
        me = ProcessId.of(os.getpid())
        self._record = StackRecord(
            state=StackState.STARTING,
            supervisor_pid=os.getpid(),
            supervisor_started=me.started if me else 0.0,
            updated=utc_now(),
        )

    @property
    def state(self) -> StateFolder:
        return self._state

    @property
    def record(self) -> StackRecord:
        """What runs where, as `stack.json` has it."""
        return self._record

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Brings everything up; on any failure, or when cancelled, takes everything down again.

        Raises:
            StackError: what did not start, and why.
        """
        self._state.create()
        lock = self._held.enter_context(hold_lock(self._state))
        try:
            previous = self._state.read_record()
            if lock.taken_over_from is not None:
                self._note(f"taking over: the supervisor with pid {lock.taken_over_from} is gone without a goodbye")
            if previous is not None:
                await asyncio.to_thread(stop_leftovers, previous, self._note)
            await self._bring_up(Ports(previous.ports if previous else {}, self._options.preferred_ports, self._note))
        except BaseException as error:
            await self._supervisor.stop()
            if isinstance(error, asyncio.CancelledError):
                self._update(state=StackState.STOPPED)
            else:
                reason = error.message if isinstance(error, StackError) else type(error).__name__
                self._update(state=StackState.FAILED, error=reason)
            self._held.close()
            raise

    async def stop(self) -> None:
        """Ends every process in reverse order and releases the folder."""
        self._update(state=StackState.STOPPING)
        await self._supervisor.stop()
        self._update(state=StackState.STOPPED)
        self._held.close()

    def kill(self) -> None:
        """Ends every process at once; `stop` is then quick."""
        self._supervisor.kill()

    async def _bring_up(self, ports: Ports) -> None:
        postgres = EmbeddedPostgres(self._state.postgres, self._state.passwords())
        search, temporal_child = await asyncio.gather(self._choose_search(), self._choose_temporal(ports))
        self._tell(f"search: {search.backend} ({search.reason})")
        infrastructure = [self._postgres(postgres, ports)]
        if temporal_child is not None:
            infrastructure.append(temporal_child)
        if search.binary is not None:
            infrastructure.append(self._meilisearch(search.binary, ports))
        environment = self._environment(search, ports)
        services = self._services(environment, ports)
        self._update(
            search=SearchRecord(
                backend=search.backend, reason=search.reason, url=environment["PARLEY_MEILI_URL"] or None
            ),
            environment=environment,
            ports=ports.chosen,
            addresses=self._addresses(environment, ports),
        )
        await self._supervisor.start(infrastructure)
        await self._migrate(environment)
        await self._supervisor.start(services)
        self._update(state=StackState.READY)

    # -- the parts Parley stands on

    async def _choose_search(self) -> SearchChoice:
        return await asyncio.to_thread(meilisearch.choose, self._options.meili_url, self._options.release, self._tell)

    async def _choose_temporal(self, ports: Ports) -> Child | None:
        """Our own server, or None when TEMPORAL_ADDRESS names one."""
        if self._options.temporal_address:
            await asyncio.to_thread(_require_reachable, self._options.temporal_address)
            self._tell(f"Temporal server: {self._options.temporal_address}, from TEMPORAL_ADDRESS")
            return None
        binary = await temporal_binary.ensure(self._tell)
        self._tell(f"Temporal server: {binary.path} ({binary.origin}; {binary.version})")
        return self._temporal(binary.path, ports)

    def _postgres(self, postgres: EmbeddedPostgres, ports: Ports) -> Child:
        port = ports.choose("postgres")

        def on_ready() -> None:
            postgres.bootstrap()
            for role, name in ((OWNER, "owner"), (APP, "app"), (PLATFORM, "platform")):
                self._state.write_secret(f"database-url.{name}", postgres.url(role))

        return Child(
            name="postgres",
            log=self._state.log("postgres"),
            prepare=lambda: postgres.prepare(port, self._note),
            ready=postgres.is_ready,
            on_ready=on_ready,
            address=f"127.0.0.1:{port}",
            grace_seconds=20.0,
        )

    def _temporal(self, binary: Path, ports: Ports) -> Child:
        own = temporal.TemporalPorts(
            grpc=ports.choose("temporal"), http=ports.choose("temporal_http"), ui=ports.choose("temporal_ui")
        )
        command = temporal.start_dev_command(
            binary, own, self._options.config, database=self._state.temporal_database, cwd=self._state.path,
            namespace=self._options.temporal_namespace,
        )  # fmt: skip
        return Child(
            name="temporal",
            log=self._state.log("temporal"),
            prepare=lambda: command,
            ready=lambda: temporal.is_ready(own, self._options.temporal_namespace),
            address=f"127.0.0.1:{own.grpc}",
        )

    def _meilisearch(self, binary: Path, ports: Ports) -> Child:
        port = ports.choose("meilisearch")
        key = self._state.secret_file("meilisearch.key")
        return Child(
            name="meilisearch",
            log=self._state.log("meilisearch"),
            prepare=lambda: meilisearch.command(binary, port, self._state.meilisearch, key),
            ready=lambda: meilisearch.is_ready(port),
            address=f"http://127.0.0.1:{port}",
        )

    async def _migrate(self, environment: Mapping[str, str]) -> None:
        """Runs the migration as a process of its own: the only one that is given the owner's URL."""
        log, owner = self._state.log("migrate"), self._state.secret_file("database-url.owner")
        command = self._python(
            self._options.programs.migrate,
            {**os.environ, **environment, "PARLEY_MIGRATION_DATABASE_URL": f"file:{owner}"},
        )
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command.argv, stdout=output, stderr=asyncio.subprocess.STDOUT, **popen_options(command)
            )
        try:
            await asyncio.wait_for(process.wait(), _MIGRATION_SECONDS)
        except TimeoutError:
            raise StackError(f"the migration did not finish within {_MIGRATION_SECONDS:.0f} s; see {log}") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise StackError(f"the migration failed (log: {log}):\n{tail(log)}")

    # -- the service itself

    def _services(self, environment: Mapping[str, str], ports: Ports) -> list[Child]:
        workers = [self._worker(process, environment, ports) for process in worker_processes(self._options.config)]
        return [*workers, self._api(environment, ports)]

    def _worker(self, process: WorkerProcess, environment: Mapping[str, str], ports: Ports) -> Child:
        ready = self._state.ready_file(process.name)
        metrics = ports.choose(f"metrics_{process.name}")

        def prepare() -> Command:
            ready.unlink(missing_ok=True)
            return self._python(
                (*self._options.programs.worker, process.role),
                process_environment(environment, metrics_port=metrics, ready_file=ready),
            )

        return Child(
            name=process.name,
            log=self._state.log(process.name),
            prepare=prepare,
            ready=ready.exists,
            address=f"http://127.0.0.1:{metrics}/metrics",
            grace_seconds=_WORKER_GRACE_SECONDS,
        )

    def _api(self, environment: Mapping[str, str], ports: Ports) -> Child:
        url = environment["PARLEY_URL"]
        process = process_environment(environment, metrics_port=ports.choose("metrics_api"))
        return Child(
            name="api",
            log=self._state.log("api"),
            prepare=lambda: self._python(self._options.programs.api, process),
            ready=lambda: _answers(f"{url}/healthz"),
            address=url,
        )

    def _python(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Command:
        return Command((sys.executable, *arguments), environment, _ROOT, stop_signal=signal.SIGTERM)

    # -- the record

    def _environment(self, search: SearchChoice, ports: Ports) -> dict[str, str]:
        external = self._options.temporal_address
        own_search = f"http://127.0.0.1:{ports.choose('meilisearch')}" if search.binary else None
        addresses = Addresses(
            api_port=ports.choose("api"),
            temporal=external or f"127.0.0.1:{ports.choose('temporal')}",
            temporal_namespace=self._options.temporal_namespace,
            temporal_ui=self._options.temporal_ui_url
            if external
            else f"http://127.0.0.1:{ports.choose('temporal_ui')}",
            meilisearch=own_search or search.url,
        )
        return stack_environment(self._state, self._options.config, addresses, search, self._options.environment)

    def _addresses(self, environment: Mapping[str, str], ports: Ports) -> dict[str, str]:
        url = environment["PARLEY_URL"]
        found = {
            "api": url,
            "api_docs": f"{url}/docs",
            "api_metrics": f"http://127.0.0.1:{ports.choose('metrics_api')}/metrics",
            "temporal": environment["PARLEY_TEMPORAL_ADDRESS"],
            "temporal_ui": environment["PARLEY_TEMPORAL_UI_URL"],
            "postgres": f"127.0.0.1:{ports.choose('postgres')}",
            "meilisearch": environment["PARLEY_MEILI_URL"],
        }
        return {name: address for name, address in found.items() if address}

    def _note(self, text: str) -> None:
        self._tell(text)
        self._record = self._record.model_copy(update={"notes": (*self._record.notes, text)[-20:]})

    def _changed(self) -> None:
        self._update()

    def _update(self, **changes: object) -> None:
        now = {"updated": utc_now(), "processes": self._supervisor.processes, **changes}
        self._record = self._record.model_copy(update=now)
        self._state.write_record(self._record)
        if self._on_change is not None:
            self._on_change(self._record)


def _answers(url: str) -> bool:
    """Whether the API serves. It listens once its pools are open; only a server error says that it cannot."""
    try:
        return not httpx.get(url, timeout=2, trust_env=False).is_server_error
    except httpx.HTTPError:
        return False


def _require_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return
    except (OSError, ValueError):
        raise StackError(f"TEMPORAL_ADDRESS is {address}, and nothing answers there") from None
