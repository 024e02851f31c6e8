"""Which messages lead to which conversation, and conversations that turned out to be one."""

from collections.abc import Sequence

from domain.conversation import Conversation
from domain.errors import ChangedMeanwhile
from storage.postgres.repository import Repository

_FIND = """
select distinct conversation_id
from thread_link
where tenant_id = $1
  and source = $2
  and link = any ($3::bytea[])
"""

# In one order, so that two who want several of them never wait for each other.
_LOCK = """
select pg_advisory_xact_lock(number)
from (
  select distinct hashtextextended(concat_ws('/', $1::text, $2::text, encode(link, 'hex')), 0) as number
  from unnest($3::bytea[]) link
  order by number
) wanted
"""

_LINK = """
insert into thread_link (tenant_id, source, link, conversation_id)
select distinct $1, $2, link, $4::uuid
from unnest($3::bytea[]) link
on conflict (tenant_id, source, link) do nothing
"""

# In the order of ids, as everybody who locks several.
_LOCK_ALL = """
select id, revision
from conversation
where tenant_id = $1
  and id = any ($2::uuid[])
  and merged_into is null
order by id
for no key update
"""

_MOVE_LINKS = """
update thread_link
set conversation_id = $3
where tenant_id = $1
  and conversation_id = $2
"""

_MOVE_MERGED = """
update conversation
set merged_into = $3
where tenant_id = $1
  and merged_into = $2
"""

# The lease before the entries, as everywhere: a run that is under way meets that it is superseded.
_RELEASE_LEASE = """
update conversation_lease
set released_at = now()
where tenant_id = $1
  and conversation_id = $2
  and released_at is null
"""

_CLOSE_ENTRIES = """
update conversation_entry
set state = 'closed', closed_at = now()
where tenant_id = $1
  and conversation_id = $2
  and state <> 'closed'
"""

_CLOSE_LETTERS = """
update dead_letter
set redriven_at = now()
where tenant_id = $1
  and conversation_id = $2
  and redriven_at is null
"""

_GO = """
update conversation
set merged_into = $3, searchable = false, status = 'completed', status_reason = 'merged', updated_at = now()
where tenant_id = $1
  and id = $2
"""

_TAKE_FACTS = """
update conversation c
set started_at = least(c.started_at, gone.started_at),
    started_offset_minutes = case
      when gone.started_at < c.started_at then gone.started_offset_minutes
      else c.started_offset_minutes
    end,
    interaction_id = coalesce(c.interaction_id, gone.interaction_id),
    direction = coalesce(c.direction, gone.direction),
    queue = coalesce(c.queue, gone.queue),
    team = coalesce(c.team, gone.team),
    campaign = coalesce(c.campaign, gone.campaign),
    language = coalesce(c.language, gone.language),
    tags = case when cardinality(c.tags) > 0 then c.tags else gone.tags end,
    dispositions = case when cardinality(c.dispositions) > 0 then c.dispositions else gone.dispositions end,
    metadata = gone.metadata || c.metadata,
    kept_notes = c.kept_notes || gone.kept_notes
from conversation gone
where c.tenant_id = $1
  and c.id = $3
  and gone.tenant_id = $1
  and gone.id = $2
"""


class PostgresThreads(Repository):
    """See `storage.protocols.Threads`."""

    async def find(self, source: str, links: Sequence[bytes]) -> Sequence[str]:
        return [row["conversation_id"] for row in await self._rows(_FIND, source, list(links))]

    async def lock(self, source: str, links: Sequence[bytes]) -> None:
        await self._rows(_LOCK, source, list(links))

    async def link(self, source: str, links: Sequence[bytes], conversation_id: str) -> None:
        await self._execute(_LINK, source, list(links), conversation_id)

    async def merge(self, gone: Sequence[Conversation], into: Conversation) -> None:
        everybody = (into, *gone)
        locked = {row["id"]: row["revision"] for row in await self._rows(_LOCK_ALL, [c.id for c in everybody])}
        if locked != {c.id: c.revision for c in everybody}:
            raise ChangedMeanwhile("one of the conversations has another revision by now")
        for conversation in gone:
            for statement in (_MOVE_LINKS, _MOVE_MERGED, _TAKE_FACTS, _GO):
                await self._execute(statement, conversation.id, into.id)
            for statement in (_RELEASE_LEASE, _CLOSE_ENTRIES, _CLOSE_LETTERS):
                await self._execute(statement, conversation.id)
