"""Field values in their layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from domain.errors import NotFound
from domain.values import FieldValue, Layer
from storage.postgres.repository import Repository

if TYPE_CHECKING:
    from asyncpg import Record

_COLUMNS = """
  tenant_id, id, conversation_id, revision, subject, subject_id, field_id, field_key, layer, kind, value, explanation,
  evidence, evidence_state, searched, evidence_revision, task_id, task_version, engine, model, input_hash, run_id,
  call_group, turns_read, turns_total, suspect_turns, stale, author, created_at, number_value
"""

_RECORD = """
  jsonb_to_recordset($2::jsonb) as v (
    id uuid, conversation_id uuid, revision integer, subject text, subject_id text, field_id uuid, field_key text,
    layer text, kind text, value jsonb, explanation text, evidence jsonb, evidence_state text, searched jsonb,
    evidence_revision integer, task_id uuid, task_version text, engine text, model text, input_hash text, run_id uuid,
    call_group text, turns_read integer, turns_total integer, suspect_turns jsonb, stale boolean, author text,
    created_at timestamptz
  )
"""

# One transaction at a time writes a conversation's values, and those who write several lock them in one order.
_LOCK = """
select id
from conversation
where tenant_id = $1
  and id = any ($2::uuid[])
order by id
for no key update
"""

_UNKNOWN_FIELD = f"""
select v.field_key
from {_RECORD}
where $1::text is not null  -- gives the parameter every statement has its type
  and not exists (select from custom_field f where f.id = v.field_id)
limit 1
"""  # noqa: S608 - constants of this module

# A value that is stored already is an older word repeated: it supersedes nothing.
_SUPERSEDE = f"""
update field_value old
set superseded_at = now()
from {_RECORD}
where old.tenant_id = $1
  and old.conversation_id = v.conversation_id
  and old.subject = v.subject
  and old.subject_id = v.subject_id
  and old.field_id = v.field_id
  and old.layer = v.layer
  and old.superseded_at is null
  and not exists (
    select
    from field_value known
    where known.tenant_id = $1
      and known.id = v.id
  )
"""  # noqa: S608

# JSON null is how an unknown value arrives; the column holds SQL null.
_INSERT = f"""
insert into field_value (
  tenant_id, id, conversation_id, revision, subject, subject_id, field_id, field_key, layer, kind, value,
  number_value, choice_value, choices_value, boolean_value, date_value,
  explanation, evidence, evidence_state, searched, evidence_revision, task_id, task_version, engine, model, input_hash,
  run_id, call_group, turns_read, turns_total, suspect_turns, stale, author, created_at
)
select $1, v.id, v.conversation_id, v.revision, v.subject, v.subject_id, v.field_id, v.field_key, v.layer, v.kind,
  nullif(v.value, 'null'),
  case when f.type in ('integer', 'decimal') then (v.value #>> '{{}}')::double precision end,
  case when f.type = 'choice' then v.value #>> '{{}}' end,
  case
    when f.type = 'multi_choice' and jsonb_typeof(v.value) = 'array'
    then array(select jsonb_array_elements_text(v.value))
  end,
  case when f.type = 'boolean' then (v.value #>> '{{}}')::boolean end,
  case when f.type = 'date' then (v.value #>> '{{}}')::date end,
  v.explanation, v.evidence, v.evidence_state, nullif(v.searched, 'null'), v.evidence_revision, v.task_id,
  v.task_version, v.engine, v.model, v.input_hash, v.run_id, v.call_group, v.turns_read, v.turns_total,
  array(select jsonb_array_elements_text(v.suspect_turns)::integer), v.stale, v.author, v.created_at
from {_RECORD}
join custom_field f on f.id = v.field_id
on conflict (tenant_id, id) do nothing
"""  # noqa: S608

_CURRENT = f"""
select {_COLUMNS}
from field_value
where tenant_id = $1
  and conversation_id = $2
  and superseded_at is null
  and ($3::text is null or layer = $3)
order by field_key, subject, subject_id, layer
"""  # noqa: S608

_EFFECTIVE = f"""
select distinct on (field_key, field_id, subject, subject_id) {_COLUMNS}
from field_value
where tenant_id = $1
  and conversation_id = $2
  and superseded_at is null
order by field_key, field_id, subject, subject_id, (layer = 'human') desc
"""  # noqa: S608

_EFFECTIVE_OF_SEVERAL = f"""
select distinct on (conversation_id, field_key, field_id, subject, subject_id) {_COLUMNS}
from field_value
where tenant_id = $1
  and conversation_id = any ($2::uuid[])
  and superseded_at is null
order by conversation_id, field_key, field_id, subject, subject_id, (layer = 'human') desc
"""  # noqa: S608

_HISTORY = f"""
select {_COLUMNS}
from field_value
where tenant_id = $1
  and conversation_id = $2
  and field_key = $3
order by created_at desc, id
"""  # noqa: S608

_MARK_STALE = """
update field_value
set stale = true
where tenant_id = $1
  and conversation_id = $2
  and revision < $3
  and layer = 'human'
  and superseded_at is null
  and not stale
"""


class PostgresValues(Repository):
    """See `storage.protocols.Values`."""

    async def put(self, values: Sequence[FieldValue]) -> None:
        """Repeatable by value id. Raises NotFound for a conversation or field the tenant does not have."""
        if not values:
            return
        conversations = {value.conversation_id for value in values}
        if len(await self._rows(_LOCK, list(conversations))) != len(conversations):
            raise NotFound("no such conversation")
        if (key := await self._value(_UNKNOWN_FIELD, values)) is not None:
            raise NotFound(f"no such field: {key}")
        await self._execute(_SUPERSEDE, values)
        await self._execute(_INSERT, values)

    async def current(self, conversation_id: str, layer: Layer | None = None) -> Sequence[FieldValue]:
        """None: what each layer says. EFFECTIVE: one value a field, the human's before the model's; `layer` tells
        whose it is."""
        if layer is Layer.EFFECTIVE:
            rows = await self._rows(_EFFECTIVE, conversation_id)
        else:
            rows = await self._rows(_CURRENT, conversation_id, layer)
        return [_value(row) for row in rows]

    async def effective(self, conversation_ids: Sequence[str]) -> Sequence[FieldValue]:
        return [_value(row) for row in await self._rows(_EFFECTIVE_OF_SEVERAL, list(conversation_ids))]

    async def history(self, conversation_id: str, field_key: str) -> Sequence[FieldValue]:
        """Newest first, superseded ones too."""
        return [_value(row) for row in await self._rows(_HISTORY, conversation_id, field_key)]

    async def mark_human_stale(self, conversation_id: str, revision: int) -> None:
        """Human values given for revisions before this one."""
        await self._execute(_MARK_STALE, conversation_id, revision)


def _value(row: "Record") -> FieldValue:
    values = dict(row)
    number = values.pop("number_value")
    # jsonb keeps whether a number was whole, but writes 1.5e17 as a whole number with other digits.
    if number is not None and values["value"] != number:
        values["value"] = number
    return FieldValue.model_validate(values)
