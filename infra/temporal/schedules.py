"""The reconciler's schedule: created once, kept as the configuration says."""

import asyncio
import contextlib
import logging
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import Priority

from domain.contracts import CONVERSATIONS_QUEUE, RECONCILE_WORKFLOW, ReconcileRequest
from domain.errors import ParleyError
from infra.temporal.rpc import RPC_TIMEOUT, bounded

RECONCILE_SCHEDULE = "parley-reconcile"
EVERY = timedelta(seconds=10)
CATCHUP_WINDOW = timedelta(seconds=30)
"""Rounds that were missed while Temporal was away are not made up for: one that comes now asks it all."""

KEEP_EVERY = timedelta(seconds=30)

_log = logging.getLogger(__name__)


async def ensure_reconcile_schedule(
    client: Client,
    *,
    request: ReconcileRequest | None = None,
    task_queue: str = CONVERSATIONS_QUEUE,
    schedule_id: str = RECONCILE_SCHEDULE,
) -> bool:
    """Creates the schedule, or brings an existing one up to date; a round starts at once either way. Idempotent.
    True when it was created. Raises Unavailable."""
    schedule = _schedule(request or ReconcileRequest(), task_queue, schedule_id)
    async with bounded("create the reconciler's schedule"):
        try:
            await client.create_schedule(schedule_id, schedule, trigger_immediately=True, rpc_timeout=RPC_TIMEOUT)
        except ScheduleAlreadyRunningError:
            handle = client.get_schedule_handle(schedule_id)
            await handle.update(lambda found: _updated(found, schedule), rpc_timeout=RPC_TIMEOUT)
            await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP, rpc_timeout=RPC_TIMEOUT)
            return False
    return True


async def keep_reconcile_schedule(client: Client, stop: asyncio.Event, task_queue: str = CONVERSATIONS_QUEUE) -> None:
    """Until `stop`: creates the schedule again should it vanish (a namespace made anew under running workers)."""
    while not stop.is_set():
        try:
            async with bounded("look at the reconciler's schedule"):
                await client.create_schedule(
                    RECONCILE_SCHEDULE,
                    _schedule(ReconcileRequest(), task_queue, RECONCILE_SCHEDULE),
                    trigger_immediately=True,
                    rpc_timeout=RPC_TIMEOUT,
                )
        except ScheduleAlreadyRunningError:
            pass
        except ParleyError as error:
            _log.warning("the reconciler's schedule cannot be kept for now: %s", error.message)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), KEEP_EVERY.total_seconds())


def _schedule(request: ReconcileRequest, task_queue: str, schedule_id: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            RECONCILE_WORKFLOW,
            request,
            id=schedule_id,
            task_queue=task_queue,
            execution_timeout=timedelta(minutes=5),
            priority=Priority(priority_key=1),
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCHUP_WINDOW),
    )


def _updated(found: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate:
    """The wanted action and times; whether an operator paused it stays as it is."""
    wanted.state = found.description.schedule.state
    return ScheduleUpdate(schedule=wanted)
