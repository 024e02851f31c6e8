"""Looking through what failed for good. Re-driving is `services.rerun`."""

from dataclasses import dataclass
from datetime import datetime

from storage.protocols import Database, DeadLetter, Page


@dataclass(frozen=True)
class DeadLetterList:
    """One page, newest first. `next_after` is where the next page begins, None on the last."""

    items: tuple[DeadLetter, ...]
    next_after: tuple[datetime, str] | None


class ReadDeadLetters:
    """Needs the database. Raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self,
        tenant_id: str,
        *,
        open_only: bool,
        limit: int,
        after: tuple[datetime, str] | None = None,
        source: str | None = None,
    ) -> DeadLetterList:
        """`source`: slug; only those about its events. Raises NotFound when there is no such source."""
        page = Page(limit=limit + 1, after=after)
        async with self._database.tenant_tx(tenant_id) as tx:
            source_id = None if source is None else (await tx.catalog.find_source(source)).id
            found = await tx.dead_letters.list(open_only=open_only, page=page, source_id=source_id)
        items = tuple(found[:limit])
        more = len(found) > limit
        return DeadLetterList(items, (items[-1].last_at, items[-1].id) if more else None)

    async def get(self, tenant_id: str, dead_letter_id: str) -> DeadLetter:
        """Raises NotFound."""
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.dead_letters.get(dead_letter_id)
