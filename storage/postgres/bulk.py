"""Many conversations at once: as few round trips for a batch as one conversation takes.

Everything goes by the order of ids, as everywhere where several rows are locked: two batches with the same
conversations wait for each other instead of dying in a deadlock.
"""

from collections.abc import Sequence

from domain.conversation import Lane, Stage
from storage.postgres.repository import Repository
from storage.protocols import AcceptOutcome, Known, NewConversation

_INSERT = """
with given as (
  select *
  from jsonb_to_recordset($2::jsonb) as g (
    id uuid, source text, external_id text, interaction_id text, channel text, started_at timestamptz,
    started_offset_minutes integer, ended_at timestamptz, direction text, queue text, team text, campaign text,
    language text, tags jsonb, dispositions jsonb, metadata jsonb, participants jsonb, notes jsonb, closed boolean,
    content_key text, content_hash text
  )
),
accepted as (
  insert into conversation (
    tenant_id, id, source, external_id, interaction_id, channel, started_at, started_offset_minutes, ended_at,
    direction, queue, team, campaign, language, tags, dispositions, metadata, participants, notes, closed,
    content_key, content_hash, entries, lane
  )
  select $1, id, source, external_id, interaction_id, channel, started_at, started_offset_minutes, ended_at,
    direction, queue, team, campaign, language,
    array(select jsonb_array_elements_text(tags)), array(select jsonb_array_elements_text(dispositions)),
    metadata, participants, notes, closed, content_key, content_hash, 1, $3
  from given
  order by id
  on conflict do nothing
  returning tenant_id, id, revision, channel, content_key, content_hash
),
first_revision as (
  insert into conversation_revision (tenant_id, conversation_id, revision, content_key, content_hash)
  select tenant_id, id, revision, content_key, content_hash
  from accepted
),
first_entry as (
  insert into conversation_entry (
    tenant_id, conversation_id, revision, entry, lane, channel, enter_at, task_ids, reason
  )
  select tenant_id, id, revision, 1, $3, channel, $4, '{}', $5
  from accepted
)
select id
from accepted
"""

_KNOWN = """
select given.position, c.id, c.channel, c.revision, c.closed,
  exists (
    select
    from conversation_revision r
    where r.tenant_id = $1
      and r.conversation_id = c.id
      and r.content_hash = given.content_hash
  ) as same,
  case
    when c.content_hash = given.content_hash and c.merged_into is null then jsonb_build_object(
      'direction', c.direction, 'queue', c.queue, 'team', c.team, 'campaign', c.campaign, 'language', c.language,
      'tags', c.tags, 'dispositions', c.dispositions, 'metadata', c.metadata
    )
  end as facts
from unnest($2::text[], $3::text[], $4::text[]) with ordinality
  as given (source, external_id, content_hash, position)
join conversation c on c.tenant_id = $1 and c.source = given.source and c.external_id = given.external_id
"""


class PostgresBulk(Repository):
    """See `storage.protocols.Bulk`."""

    async def insert(self, new: Sequence[NewConversation], lane: Lane) -> frozenset[str]:
        if not new:
            return frozenset()
        rows = await self._rows(_INSERT, [_given(one) for one in new], lane, Stage.INGEST, AcceptOutcome.CREATED)
        return frozenset(row["id"] for row in rows)

    async def known(self, keys: Sequence[tuple[str, str, str]]) -> Sequence[Known | None]:
        found: list[Known | None] = [None] * len(keys)
        if not keys:
            return found
        rows = await self._rows(_KNOWN, *(list(column) for column in zip(*keys, strict=True)))
        for row in rows:
            values = dict(row)
            position = values.pop("position")
            found[position - 1] = Known.model_validate(values)
        return found


def _given(new: NewConversation) -> dict[str, object]:
    intake = new.intake
    return {
        "id": new.id,
        "source": intake.source,
        "external_id": intake.external_id,
        "interaction_id": intake.interaction_id,
        "channel": intake.channel,
        "started_at": new.started_at,
        "started_offset_minutes": new.started_offset_minutes,
        "ended_at": new.ended_at,
        "direction": intake.direction,
        "queue": intake.queue,
        "team": intake.team,
        "campaign": intake.campaign,
        "language": intake.language,
        "tags": intake.tags,
        "dispositions": intake.dispositions,
        "metadata": intake.metadata,
        "participants": intake.participants,
        "notes": new.notes,
        "closed": new.closed,
        "content_key": new.content_key,
        "content_hash": new.content_hash,
    }
