"""Conversations: acceptance, lists, late facts."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from domain.contracts import RunRef
from domain.conversation import Conversation, Lane, Note, Participant, Stage, StageState, Status
from domain.errors import ChangedMeanwhile, Conflict, MergedAway, NotFound
from domain.intake import ConversationIn, ConversationPatch
from domain.threads import bounded_participants, join_participants
from storage.postgres.repository import Repository
from storage.protocols import Accepted, AcceptOutcome, ConversationFilter, NewConversation, Page, RunEntry

if TYPE_CHECKING:
    from asyncpg import Record

_COLUMNS = """
  c.tenant_id, c.id, c.source, c.external_id, c.interaction_id, c.channel, c.revision, c.status, c.status_reason,
  c.searchable, c.started_at, c.started_offset_minutes, c.ended_at, c.received_at, c.duration_ms, c.direction,
  c.queue, c.team, c.campaign, c.language, c.tags, c.dispositions, c.metadata, c.participants, c.notes, c.closed,
  c.merged_into, c.content_key, c.content_hash, c.created_at, c.updated_at
"""

# The newest state of each stage of the current revision.
_STAGES = """
  (
    select coalesce(jsonb_agg(to_jsonb(s)), '[]')
    from (
      select distinct on (stage) stage as name, state, attempts, started_at, ended_at, last_error
      from stage_state
      where tenant_id = c.tenant_id
        and conversation_id = c.id
        and revision = c.revision
      order by stage, entry desc
    ) s
  ) as stages
"""

_INSERT = f"""
with accepted as (
  insert into conversation as c (
    tenant_id, id, source, external_id, interaction_id, channel, started_at, started_offset_minutes, ended_at,
    direction, queue, team, campaign, language, tags, dispositions, metadata, participants, notes, closed,
    content_key, content_hash, entries, kept_notes, lane
  )
  values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
    case when $23::text is null then 0 else 1 end, $26, coalesce($23::text, 'live')
  )
  on conflict do nothing
  returning {_COLUMNS}
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
  select tenant_id, id, revision, 1, $23, channel, $24, '{{}}', $25
  from accepted
  where $23::text is not null
  returning created_at
)
select accepted.*, first_entry.created_at as entry_created_at
from accepted
left join first_entry on true
"""  # noqa: S608 - constants of this module

# Whether the conversation has had this content, of whichever revision.
_HAD = """
  exists (
    select
    from conversation_revision r
    where r.tenant_id = c.tenant_id
      and r.conversation_id = c.id
      and r.content_hash = $2
  ) as known
"""

_FIND = f"""
select {_COLUMNS}, {_HAD}
from conversation c
where c.tenant_id = $1
  and c.source = $3
  and c.external_id = $4
"""  # noqa: S608

_FIND_BY_ID = f"""
select {_COLUMNS}, {_HAD}
from conversation c
where c.tenant_id = $1
  and c.id = $3
"""  # noqa: S608

# What the new revision does not say keeps its value. A start that is only derived from the content never moves later.
_REVISE = f"""
with revised as (
  update conversation c
  set revision = c.revision + 1,
      entries = 0,
      status = 'received',
      status_reason = null,
      started_at = case when $4 then $5 else least(c.started_at, $5) end,
      started_offset_minutes = case when $4 or $5 < c.started_at then $6 else c.started_offset_minutes end,
      ended_at = coalesce($7, c.ended_at),
      interaction_id = coalesce($8, c.interaction_id),
      direction = coalesce($9, c.direction),
      queue = coalesce($10, c.queue),
      team = coalesce($11, c.team),
      campaign = coalesce($12, c.campaign),
      language = coalesce($13, c.language),
      tags = case when cardinality($14::text[]) > 0 then $14 else c.tags end,
      dispositions = case when cardinality($15::text[]) > 0 then $15 else c.dispositions end,
      metadata = c.metadata || $16,
      participants = $17,
      notes = $18 || c.kept_notes || new_notes.kept,
      kept_notes = c.kept_notes || new_notes.kept,
      closed = $19,
      content_key = $20,
      content_hash = $3,
      updated_at = now()
  from (
    select coalesce(jsonb_agg(note), '[]') as kept
    from conversation known
    cross join jsonb_array_elements($21::jsonb) note
    where known.tenant_id = $1
      and known.id = $2
      and not known.kept_notes @> jsonb_build_array(note)
      and jsonb_array_length(known.kept_notes) < 100
  ) new_notes
  where c.tenant_id = $1
    and c.id = $2
    and not exists (
      select
      from conversation_revision r
      where r.tenant_id = c.tenant_id
        and r.conversation_id = c.id
        and r.content_hash = $3
    )
  returning {_COLUMNS}
),
next_revision as (
  insert into conversation_revision (tenant_id, conversation_id, revision, content_key, content_hash)
  select tenant_id, id, revision, content_key, content_hash
  from revised
)
select *
from revised
"""  # noqa: S608

_LOCK = """
select 1
from conversation
where tenant_id = $1
  and id = $2
for no key update
"""

_GET = f"""
select {_COLUMNS}, {_STAGES}
from conversation c
where c.tenant_id = $1
  and c.id = $2
"""  # noqa: S608

_SET_CLOSED = """
update conversation
set closed = true
where tenant_id = $1
  and id = $2
"""

_SET_STATUS = """
update conversation
set status = $3, status_reason = $4, updated_at = now()
where tenant_id = $1
  and id = $2
"""

# In the order of ids, as everybody who locks several: so that two indexers do not wait for each other.
_SET_SEARCHABLE = """
update conversation c
set searchable = true
from (
  select id
  from conversation
  where tenant_id = $1
    and id = any ($2::uuid[])
    and not searchable
    and merged_into is null
  order by id
  for no key update
) chosen
where c.tenant_id = $1
  and c.id = chosen.id
"""

_SET_MEASURED = """
update conversation c
set ended_at = coalesce($3, ended_at),
    language = coalesce($4, language),
    duration_ms = coalesce($5, duration_ms),
    notes = notes || (
      select coalesce(jsonb_agg(note), '[]')
      from jsonb_array_elements($6::jsonb) note
      where not c.notes @> jsonb_build_array(note)
    ),
    updated_at = now()
where tenant_id = $1
  and id = $2
"""

_PATCH = f"""
update conversation c
set ended_at = $3,
    direction = $4,
    queue = $5,
    team = $6,
    campaign = $7,
    language = $8,
    tags = $9,
    dispositions = $10,
    metadata = $11,
    participants = $12,
    updated_at = now()
where c.tenant_id = $1
  and c.id = $2
returning {_COLUMNS}, {_STAGES}
"""  # noqa: S608

_STAGE_ORDER = {stage: position for position, stage in enumerate(Stage)}


class PostgresConversations(Repository):
    """See `storage.protocols.Conversations`."""

    async def accept(self, new: NewConversation, lane: Lane | None = None) -> Accepted:
        if new.based_on:
            return await self._extend(new, new.based_on)
        created = await self._insert(new, lane)
        if created is not None:
            return created
        if new.based_on == 0:
            raise ChangedMeanwhile("somebody else has made this conversation")
        found = await self._find_known(new)
        if not found["known"]:
            # Locked by a statement of its own: only the next one sees revisions committed while this one waited.
            await self._row(_LOCK, found["id"])
            anew = new.intake.started_at is not None
            revised = await self._revise(found["id"], new, new.intake, started_anew=anew)
            if revised is not None:
                return revised
            found = await self._find_known(new)  # somebody else brought the same content in the meantime
        return Accepted(conversation=_conversation(found, leave_out=("known",)), outcome=AcceptOutcome.UNCHANGED)

    async def _insert(self, new: NewConversation, lane: Lane | None) -> Accepted | None:
        """None when the conversation is there already."""
        intake = new.intake
        created = await self._row(
            _INSERT,
            new.id,
            intake.source,
            intake.external_id,
            intake.interaction_id,
            intake.channel,
            new.started_at,
            new.started_offset_minutes,
            new.ended_at,
            intake.direction,
            intake.queue,
            intake.team,
            intake.campaign,
            intake.language,
            intake.tags,
            intake.dispositions,
            intake.metadata,
            intake.participants,
            (*new.notes, *new.kept_notes),
            new.closed,
            new.content_key,
            new.content_hash,
            lane,
            Stage.INGEST,
            AcceptOutcome.CREATED,
            new.kept_notes,
        )
        if created is None:
            return None
        conversation = _conversation(created, leave_out=("entry_created_at",))
        entry = None if lane is None else _first_entry(conversation, lane, created["entry_created_at"])
        return Accepted(conversation=conversation, outcome=AcceptOutcome.CREATED, entry=entry)

    async def _find_known(self, new: NewConversation) -> "Record":
        row = await self._row(_FIND, new.content_hash, new.intake.source, new.intake.external_id)
        if row is None:
            raise Conflict("another conversation has this id, or this one was erased at the same moment")
        if row["channel"] != new.intake.channel.value:
            raise Conflict(f"this conversation is a {row['channel']}, not a {new.intake.channel.value}")
        if row["merged_into"] is not None:
            raise MergedAway.to(row["merged_into"])
        return row

    async def _extend(self, new: NewConversation, based_on: int) -> Accepted:
        """The next revision of the conversation, made from `based_on`."""
        await self._row(_LOCK, new.id)
        row = await self._row(_FIND_BY_ID, new.content_hash, new.id)
        if row is None or row["revision"] != based_on or row["merged_into"] is not None:
            raise ChangedMeanwhile("the conversation has another revision by now")
        known = _conversation(row, leave_out=("known",))
        if row["known"]:
            return Accepted(conversation=known, outcome=AcceptOutcome.UNCHANGED)
        people = {p.id: p for p in (*known.participants, *new.intake.participants)}
        if not new.replaces_people:
            people = {p.id: p for p in join_participants(known.participants, new.intake.participants)}
        kept = bounded_participants(_all(people), new.writers)
        says = new.intake.model_copy(update={"participants": kept})
        if new.fills:
            says = _filling(says, known)
        revised = await self._revise(new.id, new, says, started_anew=False)
        assert revised is not None  # the row is locked, and its content is not known
        return revised

    async def _revise(
        self,
        conversation_id: str,
        new: NewConversation,
        says: ConversationIn,
        *,
        started_anew: bool,
    ) -> Accepted | None:
        """None when the content was known after all. The conversation is locked."""
        row = await self._row(
            _REVISE,
            conversation_id,
            new.content_hash,
            started_anew,
            new.started_at,
            new.started_offset_minutes,
            new.ended_at,
            says.interaction_id,
            says.direction,
            says.queue,
            says.team,
            says.campaign,
            says.language,
            says.tags,
            says.dispositions,
            says.metadata,
            says.participants,
            new.notes,
            new.closed,
            new.content_key,
            new.kept_notes,
        )
        return None if row is None else Accepted(conversation=_conversation(row), outcome=AcceptOutcome.REVISED)

    async def get(self, conversation_id: str) -> Conversation:
        return _conversation(_found(await self._row(_GET, conversation_id)))

    async def find(self, source: str, external_id: str) -> Conversation | None:
        row = await self._row(
            f"""
            select {_COLUMNS}, {_STAGES}
            from conversation c
            where c.tenant_id = $1
              and c.source = $2
              and c.external_id = $3
            """,  # noqa: S608
            source,
            external_id,
        )
        return None if row is None else _conversation(row)

    async def list(self, where: ConversationFilter, page: Page) -> Sequence[Conversation]:
        """Newest first, without stages, and without those that are a part of another one."""
        conditions, args = _conditions(where, page)
        rows = await self._rows(
            f"""
            select {_COLUMNS}
            from conversation c
            where c.tenant_id = $1
              and c.merged_into is null
              {" ".join(f"and {condition}" for condition in conditions)}
            order by c.started_at desc, c.id desc
            limit {page.limit:d}
            """,  # noqa: S608 - conditions are constants, values are parameters
            *args,
        )
        return [_conversation(row) for row in rows]

    async def patch(self, conversation_id: str, patch: ConversationPatch) -> Conversation:
        """Keys that were not given stay; participants are replaced by id; a null metadata value removes its key."""
        await self._row(_LOCK, conversation_id)
        now = await self.get(conversation_id)
        if now.merged_into is not None:
            raise MergedAway.to(now.merged_into)
        given = {name: getattr(patch, name) for name in patch.model_fields_set}
        metadata = {**now.metadata, **(patch.metadata or {})}
        participants = {p.id: p for p in (*now.participants, *(patch.participants or ()))}
        row = await self._row(
            _PATCH,
            conversation_id,
            given.get("ended_at", now.ended_at),
            given.get("direction", now.direction),
            given.get("queue", now.queue),
            given.get("team", now.team),
            given.get("campaign", now.campaign),
            given.get("language", now.language),
            now.tags if patch.tags is None else patch.tags,
            now.dispositions if patch.dispositions is None else patch.dispositions,
            {key: value for key, value in metadata.items() if value is not None},
            _all(participants),
        )
        return _conversation(_found(row))

    async def set_status(self, conversation_id: str, status: Status, reason: str | None = None) -> None:
        if not await self._execute(_SET_STATUS, conversation_id, status, reason):
            raise NotFound("no such conversation")

    async def set_closed(self, conversation_id: str) -> None:
        if not await self._execute(_SET_CLOSED, conversation_id):
            raise NotFound("no such conversation")

    async def set_searchable(self, conversation_ids: Sequence[str]) -> None:
        await self._execute(_SET_SEARCHABLE, conversation_ids)

    async def set_measured(
        self,
        conversation_id: str,
        *,
        ended_at: datetime | None = None,
        language: str | None = None,
        duration_ms: int | None = None,
        notes: Sequence[Note] = (),
    ) -> None:
        if not await self._execute(_SET_MEASURED, conversation_id, ended_at, language, duration_ms, tuple(notes)):
            raise NotFound("no such conversation")


def _all(participants: dict[str, Participant]) -> tuple[Participant, ...]:
    return tuple(participants.values())


def _filling(says: ConversationIn, known: Conversation) -> ConversationIn:
    """What is said where nothing is known. Of the direction an older piece knows more: it is the first message's."""
    facts = ("interaction_id", "queue", "team", "campaign", "language")
    update = {name: value for name in facts if (value := getattr(known, name)) is not None}
    update |= {name: value for name in ("tags", "dispositions") if (value := getattr(known, name))}
    return says.model_copy(update={**update, "metadata": {**says.metadata, **known.metadata}})


def _conditions(where: ConversationFilter, page: Page) -> tuple[list[str], list[object]]:
    """SQL conditions and their parameters; `$1` is the tenant."""
    chosen: list[tuple[str, object]] = [
        ("c.channel = ${}", where.channel),
        ("c.status = ${}", where.status),
        ("c.source = ${}", where.source),
        ("c.started_at >= ${}", where.started_from),
        ("c.started_at < ${}", where.started_to),
    ]
    given = [(text, value) for text, value in chosen if value is not None]
    conditions = [text.format(number) for number, (text, _) in enumerate(given, start=2)]
    args = [value for _, value in given]
    if page.after is not None:
        conditions.append(f"(c.started_at, c.id) < (${len(args) + 2}, ${len(args) + 3})")
        args += page.after
    return conditions, args


def _found(row: "Record | None") -> "Record":
    if row is None:
        raise NotFound("no such conversation")
    return row


def _first_entry(conversation: Conversation, lane: Lane, created_at: datetime) -> RunEntry:
    return RunEntry(
        run=RunRef(
            tenant_id=conversation.tenant_id,
            conversation_id=conversation.id,
            revision=conversation.revision,
            entry=1,
            lane=lane,
        ),
        channel=conversation.channel,
        enter_at=Stage.INGEST,
        task_ids=(),
        state="pending",
        reason=AcceptOutcome.CREATED.value,
        not_before=None,
        created_at=created_at,
    )


def _conversation(row: "Record", leave_out: Sequence[str] = ()) -> Conversation:
    values = {name: value for name, value in row.items() if name not in leave_out}
    if "stages" in values:
        stages = [StageState.model_validate(stage) for stage in values["stages"]]
        values["stages"] = sorted(stages, key=lambda stage: _STAGE_ORDER[stage.name])
    return Conversation.model_validate(values)
