"""The reconciler's round: starts what was accepted and never started, settles what ended without a conclusion, and
reads raw events whose reader died.

Postgres is the truth. An entry stays `pending` until Temporal has its run; a lease that nobody confirms for a while
is held against what Temporal knows of the run. Every step is repeatable: two rounds side by side do no harm.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum

from domain.clock import Clock, utc_now
from domain.contracts import (
    LOST_REASON,
    ConcludeRequest,
    Conclusion,
    ReconcileRequest,
    ReconcileResult,
    RunRef,
)
from domain.conversation import Stage, StageStatus
from domain.errors import Superseded, Unavailable
from domain.sources import EventState
from services.accept_conversation import start_entry
from services.conclude_run import conclude_run
from services.ports import Orchestrator
from services.receive_events import ReceiveEvents
from storage.protocols import Database, RunEntry, TenantTx

POSTPONE = timedelta(minutes=5)
"""How long an entry that cannot be started is left alone, so that it does not stand in the others' way."""

EVENT_SECONDS = 20.0
"""How long a round goes on taking raw events: the next round begins in seconds, and starts runs first."""

TELL_SECONDS = 3.0
"""How often a round says that it lives while it reads one."""

_CONCURRENCY = 4
_RUNNING, _UNKNOWN = "running", "unknown"
_log = logging.getLogger(__name__)


class Done(StrEnum):
    """What a round did with one entry; the names are the fields of ReconcileResult."""

    STARTED = "started"
    RESTARTED = "restarted"
    DEAD_LETTERED = "dead_lettered"
    DEFERRED = "deferred"
    NOTHING = "nothing"


class Reconciler:
    """Needs the database and the orchestration."""

    def __init__(
        self,
        database: Database,
        orchestrator: Orchestrator,
        clock: Clock = utc_now,
        *,
        events: ReceiveEvents | None = None,
    ) -> None:
        """Without `events` raw events are left alone."""
        self._database = database
        self._orchestrator = orchestrator
        self._clock = clock
        self._events = events

    async def round(self, request: ReconcileRequest, progress: Callable[[], None] = lambda: None) -> ReconcileResult:
        """One bounded round; `progress` is called after each entry. Raises Unavailable when Postgres or Temporal is
        away: the next round asks the same questions again."""
        platform = self._database.platform
        due = await platform.due_entries(request.entries, older_than_seconds=request.grace)
        done = await self._each(due, self._start, progress)
        stale = await platform.stale_leases(request.leases, older_than_seconds=request.stale)
        done += await self._each(stale, self._settle, progress)
        counted = {kind.value: done.count(kind) for kind in Done if kind is not Done.NOTHING}
        return ReconcileResult(**counted, events=await self._read_events(request.entries, progress))

    # -- raw events nobody reads any more -----------------------------------------------------------------

    async def _read_events(self, most: int, progress: Callable[[], None]) -> int:
        """How many were read to their end. One after the other: they are bodies of up to many megabytes."""
        if self._events is None:
            return 0
        clock = asyncio.get_running_loop().time
        done, until = 0, clock() + EVENT_SECONDS
        for tenant_id, event_id in await self._database.platform.due_events(most):
            async with _telling(progress):
                state = await self._events.finish(tenant_id, event_id)
            done += state in (EventState.RECEIVED, EventState.DEAD_LETTERED)
            if clock() > until:
                break
        return done

    async def _each(
        self, runs: Sequence[RunRef], handle: Callable[[RunRef], Awaitable[Done]], progress: Callable[[], None]
    ) -> list[Done]:
        gate = asyncio.Semaphore(_CONCURRENCY)

        async def one(run: RunRef) -> Done:
            async with gate:
                try:
                    return await handle(run)
                except Unavailable:
                    raise
                except Exception as error:  # one entry that cannot be handled must not stop the others
                    _log.warning("run %s is left for later: %s", run.workflow_id, type(error).__name__)
                    return Done.DEFERRED
                finally:
                    progress()

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(run)) for run in runs]
        except* Unavailable as away:
            raise away.exceptions[0] from None
        return [task.result() for task in tasks]

    # -- entries nobody started ---------------------------------------------------------------------------

    async def _start(self, run: RunRef) -> Done:
        try:
            async with self._database.tenant_tx(run.tenant_id) as tx:
                entry = await tx.runs.get(run)
                conversation = await tx.conversations.get(run.conversation_id)
            if entry.state != "pending":
                return Done.NOTHING
            started = await start_entry(self._database, self._orchestrator, entry, conversation)
        except Unavailable:
            raise
        except Exception:
            await self._postpone(run)
            raise
        if not started:
            raise Unavailable("Temporal does not answer: the round stops here")
        return Done.STARTED

    async def _postpone(self, run: RunRef) -> None:
        async with self._database.tenant_tx(run.tenant_id) as tx:
            await tx.runs.postpone(run, self._clock() + POSTPONE)

    # -- runs nobody has heard of for a while -------------------------------------------------------------

    async def _settle(self, run: RunRef) -> Done:
        status = (await self._orchestrator.inspect(run)).status
        async with self._database.tenant_tx(run.tenant_id) as tx:
            entry = await _confirm(tx, run)
            if entry is None or status == _RUNNING:
                return Done.NOTHING
            if status != _UNKNOWN:
                await conclude_run(tx, await _lost(tx, run, status))
                return Done.DEAD_LETTERED
            conversation = await tx.conversations.get(run.conversation_id)
        # Temporal has never heard of it, or forgot: the same entry begins again, its recorded calls are kept.
        if not await start_entry(self._database, self._orchestrator, entry, conversation):
            raise Unavailable("Temporal does not answer: the round stops here")
        return Done.RESTARTED


@asynccontextmanager
async def _telling(progress: Callable[[], None]) -> AsyncIterator[None]:
    async def tell() -> None:
        while True:
            progress()
            await asyncio.sleep(TELL_SECONDS)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


async def _confirm(tx: TenantTx, run: RunRef) -> RunEntry | None:
    """Confirms the lease for the run, which also puts it at the end of the line; None when there is nothing left to
    settle, because the run closed by itself or a newer one took over."""
    try:
        await tx.runs.hold(run)
    except Superseded:
        return None
    entry = await tx.runs.get(run)
    if entry.state == "closed":
        await tx.runs.close(run)  # gives the lease back that `hold` has just taken
        return None
    return entry


async def _lost(tx: TenantTx, run: RunRef, status: str) -> ConcludeRequest:
    """The conclusion of a run that Temporal ended: terminated by an operator, timed out, failed by a defect."""
    stages = list(await tx.runs.stages(run.conversation_id, run.revision))
    last = next((s for s in reversed(stages) if s.state is StageStatus.RUNNING), stages[-1] if stages else None)
    return ConcludeRequest(
        run=run,
        conclusion=Conclusion.FAILED,
        stage=last.name if last else Stage.INGEST,
        reason=LOST_REASON,
        detail=f"Temporal ended the run: {status}",
        attempts=last.attempts if last else 0,
    )
