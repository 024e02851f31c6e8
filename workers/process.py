"""One worker process: connects, serves its roles' queues, hosts what they host, ends in order."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from domain.errors import ParleyError, Unavailable
from infra.settings import Settings
from infra.telemetry.exposition import serve_metrics
from infra.temporal import policies, search_attributes
from infra.temporal.client import Connection, connect
from infra.temporal.failures import log_failures_in_one_line
from infra.temporal.queues import TemporalQueues
from infra.temporal.schedules import ensure_reconcile_schedule, keep_reconcile_schedule
from workers.roles import Hosted, RolesError, RoleSpec
from workers.serve import GRACEFUL_SHUTDOWN, Activity, Deployment, build_worker, polled

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

CONNECT_PAUSE_SECONDS = 1.0
RESTART_PAUSE_SECONDS = 5.0
POLLING_SECONDS = 60.0

_POLL_SECONDS = 0.1
_log = logging.getLogger(__name__)


class Wiring(Protocol):
    """What a worker process needs built: `infra.wiring` fulfils it."""

    def activities(self, names: Collection[str]) -> Mapping[str, Activity]:
        """The activities of these contracts, by name; nothing is built that only others need."""
        ...

    async def run_indexer(self, stop: asyncio.Event) -> None:
        """Drains the search outbox until `stop` is set."""
        ...

    async def run_folder(self, stop: asyncio.Event) -> None:
        """Folds rollups until `stop` is set."""
        ...

    async def run_dispatcher(self, stop: asyncio.Event) -> None:
        """Starts what waits in the backfill lane, paced, until `stop` is set."""
        ...


Work = Coroutine[None, None, None]

OpenWiring = Callable[[Settings, Client], AbstractAsyncContextManager[Wiring]]
"""Pools, stores and engines of one process, closed at the end."""


async def serve(
    settings: Settings, roles: Sequence[RoleSpec], open_wiring: OpenWiring, tracing: "Tracing | None" = None
) -> None:
    """Serves until SIGTERM or SIGINT; then gives running activities 30 s.

    Raises:
        ParleyError: the configuration is not valid, or Temporal cannot be made ready for Parley.
    """
    stop = _stop_on_signals()
    policies.install(settings.config_dir)
    log_failures_in_one_line()
    client = await _connect(settings, roles, stop, tracing)
    if client is None:
        return
    async with open_wiring(settings, client) as wiring:
        if any(Hosted.RECONCILER_SCHEDULE in role.hosts for role in roles):
            await search_attributes.register(client)
            await ensure_reconcile_schedule(client)
        workers = _workers(settings, roles, client, wiring)
        try:
            await _serve_until(stop, workers, _announce(settings, roles, client), _beside(roles, client, wiring, stop))
        finally:
            if settings.ready_file is not None:
                settings.ready_file.unlink(missing_ok=True)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def process_name(roles: Sequence[RoleSpec]) -> str:
    """What the process is called among others: in traces, metrics and logs."""
    return f"worker-{'+'.join(role.name for role in roles)}"


async def _connect(
    settings: Settings, roles: Sequence[RoleSpec], stop: asyncio.Event, tracing: "Tracing | None"
) -> Client | None:
    """Tries until Temporal answers, so that the order in which things start does not matter; None when stopped."""
    identity = f"{'+'.join(role.name for role in roles)}@{socket.gethostname()}:{os.getpid()}"
    connection = Connection.from_settings(settings, identity=identity, tracing=tracing)
    runtime = serve_metrics(settings, process_name(roles))
    while not stop.is_set():
        try:
            return await connect(connection, runtime=runtime)
        except Unavailable as error:
            _log.warning("%s; trying again", error.message)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), CONNECT_PAUSE_SECONDS)
    return None


def _workers(settings: Settings, roles: Sequence[RoleSpec], client: Client, wiring: Wiring) -> list[Worker]:
    specs = [spec for role in roles for spec in role.queues]
    activities = wiring.activities({name for spec in specs for name in spec.activities})
    deployment = _deployment(settings)
    return [build_worker(client, spec, activities, deployment) for spec in specs]


def _deployment(settings: Settings) -> Deployment | None:
    if not settings.worker_deployment:
        return None
    if not settings.worker_build_id:
        raise RolesError("PARLEY_WORKER_DEPLOYMENT needs PARLEY_WORKER_BUILD_ID")
    return Deployment(settings.worker_deployment, settings.worker_build_id)


async def _serve_until(stop: asyncio.Event, workers: Sequence[Worker], announce: Work, beside: Sequence[Work]) -> None:
    """Runs everything together. A worker that dies ends the process: whoever supervises starts it again."""
    try:
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run())
            for work in beside:
                group.create_task(work)
            announcing = group.create_task(announce)
            await stop.wait()
            _log.info("stopping: running activities get %d s", GRACEFUL_SHUTDOWN.total_seconds())
            announcing.cancel()
            await asyncio.gather(*(worker.shutdown() for worker in workers))
    except* ParleyError as problems:
        raise problems.exceptions[0] from None


def _beside(roles: Sequence[RoleSpec], client: Client, wiring: Wiring, stop: asyncio.Event) -> list[Work]:
    hosted = {
        Hosted.RECONCILER_SCHEDULE: lambda: keep_reconcile_schedule(client, stop),
        Hosted.SEARCH_INDEXER: lambda: wiring.run_indexer(stop),
        Hosted.ROLLUP_FOLDER: lambda: wiring.run_folder(stop),
        Hosted.DISPATCHER: lambda: wiring.run_dispatcher(stop),
    }
    wanted = [name for name in hosted if any(name in role.hosts for role in roles)]
    return [_keep_up(name.value, hosted[name], stop) for name in wanted]


async def _announce(settings: Settings, roles: Sequence[RoleSpec], client: Client) -> None:
    """Waits until the server sees this process poll every queue, then makes its build current and says it is ready.

    Raises:
        Unavailable: that does not happen within a minute.
    """
    try:
        async with asyncio.timeout(POLLING_SECONDS):
            await _until_polling(client, [pair for role in roles for spec in role.queues for pair in polled(spec)])
            if (deployment := _deployment(settings)) is not None:
                await make_current(client, deployment)
    except TimeoutError:
        raise Unavailable(f"the queues are not polled after {POLLING_SECONDS:.0f} s") from None
    if settings.ready_file is not None:
        settings.ready_file.touch()
    _log.info("ready: %s", ", ".join(role.name for role in roles))


async def _until_polling(client: Client, wanted: list[tuple[str, TaskQueueType.ValueType]]) -> None:
    queues = TemporalQueues(client, ())
    while wanted:
        with contextlib.suppress(Unavailable):
            while wanted and client.identity in await queues.pollers(*wanted[-1]):
                wanted.pop()
        await asyncio.sleep(_POLL_SECONDS)


async def make_current(client: Client, deployment: Deployment) -> None:
    """New runs begin on this build. The server knows a build only after its first poll, so this is tried until it
    does; without it a run would sit at two events for ever."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace,
        deployment_name=deployment.name,
        build_id=deployment.build_id,
        ignore_missing_task_queues=True,
    )
    while True:
        try:
            await client.workflow_service.set_worker_deployment_current_version(request)
        except RPCError as error:
            if error.status not in (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.NOT_FOUND):
                raise Unavailable(f"the build cannot be made current: {error.status.name.lower()}") from error
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return


async def _keep_up(name: str, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Runs a loop until `stop`, again and again: its trouble is not the queues' trouble."""
    while not stop.is_set():
        try:
            await work()
        except Exception as error:
            reason = error.message if isinstance(error, ParleyError) else type(error).__name__
            _log.error("%s stopped: %s; starting it again", name, reason)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RESTART_PAUSE_SECONDS)
