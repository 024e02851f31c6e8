"""The dispatcher: starts what waits in the backfill lane, so much at a time that live traffic does not notice.

Per tenant at most so many runs of the lane are open; more are started as those end. One process leads, the others wait
behind its lease.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from domain.clock import Clock, utc_now
from domain.conversation import Conversation
from domain.errors import ParleyError, Unavailable
from domain.ids import new_id
from services.accept_conversation import start_entry
from services.backlog import BacklogLimit
from services.leadership import Leadership
from services.ports import Orchestrator
from storage.protocols import Database, RunEntry

LEADER = "dispatcher"
OPEN_RUNS = 40
"""Runs of the backfill lane that a tenant may have open at the same time."""

POSTPONE = timedelta(minutes=5)
"""How long an entry that cannot be started is left alone, so that it does not stand in the others' way."""

_CONCURRENCY = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """Seconds: between rounds, before asking for the lead again, of the lease, after something was away."""

    every: float = 1.0
    follower: float = 5.0
    lease: float = 15.0
    away: float = 5.0


class Dispatcher:
    """Needs the database, the orchestration, and the limit that bulk goes by."""

    def __init__(
        self,
        database: Database,
        orchestrator: Orchestrator,
        backlog: BacklogLimit,
        *,
        open_runs: int = OPEN_RUNS,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._orchestrator = orchestrator
        self._backlog = backlog
        self._open_runs = open_runs
        self._clock = clock

    async def round(self) -> int:
        """Every tenant once; answers how many runs were started. Raises Unavailable."""
        started = 0
        for tenant_id in await self._database.platform.paced_tenants():
            started += await self.dispatch(tenant_id)
        return started

    async def dispatch(self, tenant_id: str) -> int:
        """As many of the tenant's as there is room for; none while its live traffic waits. Raises Unavailable."""
        if (await self._backlog.state(tenant_id)).full:
            return 0
        async with self._database.tenant_tx(tenant_id) as tx:
            room = self._open_runs - await tx.runs.open_paced()
            entries = await tx.runs.paced(room) if room > 0 else ()
            waiting = [(entry, await tx.conversations.get(entry.run.conversation_id)) for entry in entries]
        gate = asyncio.Semaphore(_CONCURRENCY)

        async def one(entry: RunEntry, conversation: Conversation) -> bool:
            async with gate:
                return await self._start(entry, conversation)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(*pair)) for pair in waiting]
        except* Unavailable as away:
            raise away.exceptions[0] from None
        return sum(task.result() for task in tasks)

    async def _start(self, entry: RunEntry, conversation: Conversation) -> bool:
        try:
            started = await start_entry(self._database, self._orchestrator, entry, conversation)
        except Unavailable:
            raise
        except Exception as error:  # one entry that cannot be started must not stop the others
            _log.warning("run %s is left for later: %s", entry.run.workflow_id, type(error).__name__)
            async with self._database.tenant_tx(entry.run.tenant_id) as tx:
                await tx.runs.postpone(entry.run, self._clock() + POSTPONE)
            return False
        if not started:
            raise Unavailable("Temporal does not answer: the round stops here")
        return True


async def run_dispatcher(
    database: Database,
    dispatcher: Dispatcher,
    stop: asyncio.Event,
    *,
    holder: str | None = None,
    pace: Pace | None = None,
) -> None:
    """Runs until `stop` is set. Never raises for a part that is away: it waits and tries again."""
    pace = pace or Pace()
    leadership = Leadership(database.platform, LEADER, holder or new_id(), pace.lease)
    while not stop.is_set():
        try:
            if not await leadership.renew():
                await _pause(stop, pace.follower)
                continue
            async with leadership.kept():
                while not stop.is_set() and leadership.sure:
                    await dispatcher.round()
                    await _pause(stop, pace.every)
        except ParleyError as error:
            _log.warning("dispatching waits: %s", error.message)
            await _pause(stop, pace.away)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
