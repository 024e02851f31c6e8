"""What every stage does alike: hold the lease, report its state, heartbeat on progress."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from temporalio import activity

from domain.contracts import RunRef
from domain.conversation import Stage, StageStatus
from domain.errors import Unavailable
from engines.protocols import Progress
from storage.protocols import Database, TenantTx

BEAT_SECONDS = 1.0
"""How far apart heartbeats are at least. The first one waits as long, so that a short stage sends none: the server
counts its timeout from the start of the try, and the shortest is many times this."""

ALIVE_SECONDS = 5.0
"""How often a worker says that it lives while it waits for a provider: a few times within the stage's heartbeat."""

HELD_SECONDS = 60.0
"""How long a provider's answer is held while storage is away: as long as the stages' own tries bridge."""

T = TypeVar("T")


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
async def waiting_for_provider() -> AsyncIterator[None]:
    """Heartbeats while the block waits for a provider, which shows no progress until it answers.

    What is waited for has a bound of its own (the request's timeout), so this never keeps a stuck stage alive; it says
    that the process and its event loop run, and a killed worker is missed after seconds instead of minutes.
    """

    async def say() -> None:
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            activity.heartbeat()

    saying = asyncio.create_task(say())
    try:
        yield
    finally:
        saying.cancel()


async def held_while_away(work: Callable[[], Awaitable[T]], seconds: float = HELD_SECONDS) -> T:
    """What `work` gives; tries again while storage is away. For writing down what was paid for: letting go of it would
    mean paying for it again. `work` is repeatable. Raises Unavailable after `seconds`, and whatever else `work` raises.
    """
    clock = asyncio.get_running_loop().time
    until, pause = clock() + seconds, 0.5
    while True:
        try:
            return await work()
        except Unavailable:
            if clock() + pause > until:
                raise
        await asyncio.sleep(pause)
        pause = min(5.0, pause * 2)


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
