"""What the whole platform is doing: what waits where, what was given up, and how far search is behind. For operators
only: it counts everybody's conversations."""

import asyncio
import logging
from collections import Counter

from domain.conversation import Frozen
from domain.errors import Forbidden, Unavailable
from domain.fields import Owner
from services.authenticate import Principal, Scope
from services.ports import Pollers, QueueInspector
from storage.protocols import Database, PlatformFigure

TENANTS = 20
"""How many tenants are told apart, those with the oldest backlog first; the others are counted together."""

_log = logging.getLogger(__name__)


class Waiting(Frozen):
    """Something that waits: how much, and since when at the longest, in seconds."""

    number: int = 0
    age_seconds: float = 0.0


class TenantBacklog(Waiting):
    """Conversations that were accepted and that no run has begun yet."""

    tenant_id: str


class StoredStatus(Frozen):
    """From Postgres. dead_letters: open ones by stage; parked: conversations by reason; due: entries that should have
    been started by now; backlog: over all tenants, and of those with the oldest."""

    search: Waiting
    events: Waiting
    due: Waiting
    dead_letters: dict[str, int]
    parked: dict[str, int]
    backlog: Waiting
    tenants: tuple[TenantBacklog, ...]


class PlatformStatus(Frozen):
    """stored, queues: None when Postgres, or Temporal, does not answer."""

    stored: StoredStatus | None
    queues: tuple[Pollers, ...] | None


class ReadPlatformStatus:
    """Needs the database and somebody who knows the task queues."""

    def __init__(self, database: Database, queues: QueueInspector) -> None:
        self._database = database
        self._queues = queues

    async def of(self, principal: Principal) -> PlatformStatus:
        """Raises Forbidden for anybody but the platform's operators."""
        principal.require(Scope.OPERATE)
        if principal.level is not Owner.OPERATOR:
            raise Forbidden("the platform's status is for its operators")
        return await self.read()

    async def read(self) -> PlatformStatus:
        """What can be seen now; a part that is away leaves its half out."""
        stored, queues = await asyncio.gather(self._stored(), self._waiting())
        return PlatformStatus(stored=stored, queues=queues)

    async def _stored(self) -> StoredStatus | None:
        try:
            return summed(list(await self._database.platform.figures()))
        except Unavailable as error:
            _log.warning("the platform's figures cannot be read: %s", error.message)
            return None

    async def _waiting(self) -> tuple[Pollers, ...] | None:
        try:
            return tuple(await self._queues.queues())
        except Unavailable as error:
            _log.warning("the task queues cannot be looked at: %s", error.message)
            return None


def summed(figures: list[PlatformFigure]) -> StoredStatus:
    """The figures of all tenants together."""
    tenants = [
        TenantBacklog(tenant_id=figure.name, number=figure.number, age_seconds=figure.age_seconds)
        for figure in figures
        if figure.what == "backlog"
    ]
    tenants.sort(key=lambda tenant: (-tenant.age_seconds, tenant.tenant_id))
    return StoredStatus(
        search=_waiting(figures, "search_outbox"),
        events=_waiting(figures, "event_outbox"),
        due=_waiting(figures, "due"),
        dead_letters=_by_name(figures, "dead_letters"),
        parked=_by_name(figures, "parked"),
        backlog=Waiting(
            number=sum(tenant.number for tenant in tenants),
            age_seconds=max((tenant.age_seconds for tenant in tenants), default=0.0),
        ),
        tenants=tuple(tenants[:TENANTS]),
    )


def _waiting(figures: list[PlatformFigure], what: str) -> Waiting:
    found = next((f for f in figures if f.what == what), None)
    return Waiting(number=found.number, age_seconds=found.age_seconds) if found else Waiting()


def _by_name(figures: list[PlatformFigure], what: str) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for figure in figures:
        if figure.what == what:
            counted[figure.name] += figure.number
    return dict(sorted(counted.items()))
