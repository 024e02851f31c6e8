"""What sources sent in their own form, and how far it was read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from domain.errors import NotFound
from domain.sources import EventState, SourceHealth
from storage.postgres.repository import Repository
from storage.protocols import SourceEvent

if TYPE_CHECKING:
    from asyncpg import Record

_COLUMNS = """
  id, source_id, dedupe, content_key, media_type, size, state, attempts, received_at, claimed_until, finished_at,
  error_type, error, outcomes
"""

_PUT = f"""
insert into source_event (
  tenant_id, id, source_id, dedupe, content_key, media_type, size, state, attempts, received_at, claimed_until
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (tenant_id, source_id, dedupe) do nothing
returning {_COLUMNS}
"""  # noqa: S608 - constants of this module

_FIND = f"""
select {_COLUMNS}
from source_event
where tenant_id = $1
  and source_id = $2
  and dedupe = $3
"""  # noqa: S608

_GET = f"""
select {_COLUMNS}
from source_event
where tenant_id = $1
  and id = $2
"""  # noqa: S608

_CLAIM = f"""
update source_event
set state = 'accepted',
    attempts = case when state = 'dead_lettered' then 1 else attempts + 1 end,
    claimed_until = now() + make_interval(secs => $3)
where tenant_id = $1
  and id = $2
  and ((state = 'accepted' and claimed_until <= now()) or ($4 and state = 'dead_lettered'))
returning {_COLUMNS}
"""  # noqa: S608

# What was away is no fault of the event: the attempt does not count.
_RELEASE = """
update source_event
set attempts = greatest(1, attempts - 1), claimed_until = now() + make_interval(secs => $3)
where tenant_id = $1
  and id = $2
  and state = 'accepted'
"""

_FINISH = """
update source_event
set state = $3, finished_at = now(), error_type = $4, error = $5, outcomes = $6
where tenant_id = $1
  and id = $2
"""

_HEALTH = """
select s.id as source_id, counted.*, failed.*
from source s
cross join lateral (
  select count(*) filter (where e.state = 'accepted') as accepted,
    count(*) filter (where e.state = 'received') as received,
    count(*) filter (where e.state = 'dead_lettered') as dead_lettered
  from source_event e
  where e.tenant_id = s.tenant_id
    and e.source_id = s.id
    and e.received_at > now() - interval '24 hours'
) counted
left join lateral (
  select e.received_at as last_error_at, e.error_type as last_error_type, e.error as last_error
  from source_event e
  where e.tenant_id = s.tenant_id
    and e.source_id = s.id
    and e.state = 'dead_lettered'
  order by e.received_at desc
  limit 1
) failed on true
where s.tenant_id = $1
  and ($2::uuid is null or s.id = $2)
"""


class PostgresSourceEvents(Repository):
    """See `storage.protocols.SourceEvents`."""

    async def put(self, event: SourceEvent) -> SourceEvent:
        """Raises NotFound without the source."""
        row = await self._row(
            _PUT,
            event.id,
            event.source_id,
            event.dedupe,
            event.content_key,
            event.media_type,
            event.size,
            event.state,
            event.attempts,
            event.received_at,
            event.claimed_until,
        )
        if row is None:
            row = await self._row(_FIND, event.source_id, event.dedupe)
        return _event(row)

    async def get(self, event_id: str) -> SourceEvent:
        return _event(await self._row(_GET, event_id))

    async def claim(self, event_id: str, seconds: float, *, again: bool = False) -> SourceEvent | None:
        row = await self._row(_CLAIM, event_id, seconds, again)
        return None if row is None else _event(row)

    async def release(self, event_id: str, seconds: float) -> None:
        await self._execute(_RELEASE, event_id, seconds)

    async def finish(self, event: SourceEvent) -> None:
        assert event.state is not EventState.ACCEPTED
        touched = await self._execute(_FINISH, event.id, event.state, event.error_type, event.error, event.outcomes)
        if not touched:
            raise NotFound("no such event")

    async def health(self, source_id: str | None = None) -> Sequence[SourceHealth]:
        return [SourceHealth.model_validate(dict(row)) for row in await self._rows(_HEALTH, source_id)]


def _event(row: "Record | None") -> SourceEvent:
    if row is None:
        raise NotFound("no such event")
    return SourceEvent.model_validate(dict(row))
