"""Which conversations others have to hear of: the search index and subscribers."""

from storage.postgres.repository import Repository

# Waiting since the first change not seen yet; due at once even when the last try was put off.
_SEARCH_DIRTY = """
insert into search_outbox (tenant_id, conversation_id)
values ($1, $2)
on conflict (tenant_id, conversation_id) do update
  set mark = nextval('outbox_mark'),
      due_at = clock_timestamp(),
      attempts = 0,
      last_error = null
"""

_EVENT = """
insert into event_outbox (tenant_id, conversation_id, kind)
values ($1, $2, $3)
on conflict (tenant_id, conversation_id, kind) do update
  set mark = nextval('outbox_mark'),
      due_at = clock_timestamp(),
      attempts = 0,
      last_error = null
"""


class PostgresOutbox(Repository):
    """See `storage.protocols.Outbox`."""

    async def search_dirty(self, conversation_id: str) -> None:
        await self._execute(_SEARCH_DIRTY, conversation_id)

    async def event(self, kind: str, conversation_id: str) -> None:
        await self._execute(_EVENT, conversation_id, kind)
