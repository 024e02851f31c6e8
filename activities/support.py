"""What every stage does alike: hold the lease, report its state, heartbeat on progress."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from temporalio import activity

from domain.contracts import RunRef
from domain.conversation import Stage, StageStatus
from engines.protocols import Progress
from storage.protocols import Database, TenantTx

BEAT_SECONDS = 1.0
"""How far apart heartbeats are at least. The first one waits as long, so that a short stage sends none: the server
counts its timeout from the start of the try, and the shortest is many times this."""


def heartbeat_on_progress(monotonic: Callable[[], float] = time.monotonic) -> Progress:
    """A progress callback that any thread may call; it heartbeats on the event loop the activity runs in."""
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    due = monotonic() + BEAT_SECONDS

    def beat(share: float) -> None:
        nonlocal due
        now = monotonic()
        if now >= due:
            due = now + BEAT_SECONDS
            loop.call_soon_threadsafe(context.copy().run, activity.heartbeat, round(share, 3))

    return beat


@asynccontextmanager
async def begin(database: Database, run: RunRef, stage: Stage) -> AsyncIterator[TenantTx]:
    """The stage's first transaction: the lease is held, the stage is running. Raises Superseded."""
    async with database.tenant_tx(run.tenant_id) as tx:
        await tx.runs.hold(run, stage, StageStatus.RUNNING, attempt=activity.info().attempt)
        yield tx


@asynccontextmanager
async def finish(database: Database, run: RunRef, stage: Stage) -> AsyncIterator[TenantTx]:
    """The stage's last transaction: it completes with what is written in it, and only while the lease still holds.
    Raises Superseded."""
    async with database.tenant_tx(run.tenant_id) as tx:
        await tx.runs.hold(run, stage, StageStatus.COMPLETED, attempt=activity.info().attempt)
        yield tx
