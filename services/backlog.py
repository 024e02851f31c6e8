"""Whether a tenant may hand in more: decided on the age of what waits, not on how fast it comes.

A sender may come in bursts of any size as long as what it sent is being taken up. Once the oldest conversation has
waited too long, more would only wait longer, so the sender is told to come back later.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from domain.errors import LimitExceeded
from services.briefly import Briefly
from storage.protocols import Database

LIMIT_SECONDS = 900.0

BULK_LIMIT_SECONDS = 30.0
"""Bulk goes on only while no live conversation of its tenant has waited longer than this."""

CACHE_SECONDS = 2.0
_RETRY_SECONDS = (5.0, 120.0)


class BacklogAge(Protocol):
    """How long the tenant's oldest conversation that nobody has taken up yet has waited, in seconds; 0 for none."""

    async def seconds(self, tenant_id: str) -> float: ...


class StoredBacklogAge:
    """From Postgres: live conversations that are accepted and that no run has begun, whatever the reason."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seconds(self, tenant_id: str) -> float:
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.runs.backlog_age_seconds()


@dataclass(frozen=True)
class BacklogState:
    """age and limit in seconds."""

    age: float
    limit: float

    @property
    def remaining(self) -> float:
        return max(0.0, self.limit - self.age)

    @property
    def full(self) -> bool:
        return self.age > self.limit

    @property
    def retry_after(self) -> float:
        """When to look again, in seconds: a tenth of the excess and more, so that senders do not all come at once."""
        low, high = _RETRY_SECONDS
        return min(high, max(low, math.ceil((self.age - self.limit) / 10)))

    def require_room(self) -> None:
        """Raises LimitExceeded when the backlog is too old."""
        if self.full:
            raise LimitExceeded(
                f"the oldest conversation has waited {self.age:.0f} s to be taken up; more are accepted once that is "
                f"below {self.limit:.0f} s",
                self.retry_after,
            )


class BacklogLimit:
    """Needs a measure of the backlog's age; remembers what it says for a moment."""

    def __init__(
        self, ages: BacklogAge, *, limit_seconds: float = LIMIT_SECONDS, cache_seconds: float = CACHE_SECONDS
    ) -> None:
        self._ages = ages
        self._limit = limit_seconds
        self._kept: Briefly[str, float] = Briefly(cache_seconds)

    async def state(self, tenant_id: str) -> BacklogState:
        age = await self._kept.get(tenant_id, lambda: self._ages.seconds(tenant_id))
        return BacklogState(age=age, limit=self._limit)
