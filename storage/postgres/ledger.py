"""Task runs, their answers, and every request made to an engine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from domain.contracts import RunRef
from domain.engine import EngineCall, Usage
from domain.errors import NotFound
from domain.ledger import TaskRun
from domain.values import FieldValue
from storage.postgres.repository import Repository
from storage.protocols import AnswerRecord, ChargedCall, UsageEvent

if TYPE_CHECKING:
    from asyncpg import Record

_RUN_COLUMNS = """
  r.id, r.conversation_id, r.revision, r.entry, r.task_id, r.task_slug, r.task_version, r.engine, r.input_hash,
  r.state, r.reason, r.detail, r.attempts, r.engine_calls, r.job_id, r.updated_at
"""

_RUN_RECORD = """
  jsonb_to_recordset($2::jsonb) as r (
    id uuid, conversation_id uuid, revision integer, entry integer, task_id uuid, task_slug text, task_version text,
    engine text, input_hash text, state text, reason text, detail text, attempts integer, engine_calls jsonb,
    job_id uuid
  )
"""

_CALLS_ARRAY = "array(select jsonb_array_elements_text(r.engine_calls)::uuid)"

_PLAN = f"""
insert into task_run (
  tenant_id, id, conversation_id, revision, entry, task_id, task_slug, task_version, engine, input_hash, state,
  reason, detail, attempts, engine_calls, job_id
)
select $1, id, conversation_id, revision, entry, task_id, task_slug, task_version, engine, input_hash, state,
  reason, detail, attempts, {_CALLS_ARRAY}, job_id
from {_RUN_RECORD}
order by id
on conflict do nothing
"""  # noqa: S608 - constants of this module

_RECORD_ANSWERS = f"""
with outcome as (
  update task_run t
  set state = r.state,
      reason = r.reason,
      detail = r.detail,
      attempts = r.attempts,
      engine = r.engine,
      engine_calls = {_CALLS_ARRAY},
      updated_at = now()
  from {_RUN_RECORD}
  where t.tenant_id = $1
    and t.id = r.id
  returning t.id
),
answer as (
  insert into task_answer (tenant_id, task_run_id, field_values)
  select $1, o.id, a.field_values
  from outcome o
  join unnest($3::uuid[], $4::jsonb[]) as a (id, field_values) using (id)
  on conflict (tenant_id, task_run_id) do update
    set field_values = excluded.field_values, recorded_at = now()
)
select count(*)
from outcome
"""  # noqa: S608

_CALL_COLUMNS = """
  id, request_hash, engine, model, outcome, requests, input_tokens, output_tokens, cached_tokens, thinking_tokens,
  cache_write_tokens, audio_ms, cost_usd, price_version, latency_ms, answer, error_code, parts
"""

# Calls with their usage events. A call that is recorded already brings no second event.
_RECORD_CALLS = """
with given as (
  select *
  from jsonb_to_recordset($3::jsonb) as g (
    id uuid, request_hash text, engine text, model text, outcome text, requests bigint, input_tokens bigint,
    output_tokens bigint, cached_tokens bigint, cache_write_tokens bigint, thinking_tokens bigint, audio_ms bigint,
    cost_usd double precision, price_version text, latency_ms bigint, answer text, error_code text, parts jsonb,
    events jsonb
  )
),
recorded as (
  insert into engine_call (
    tenant_id, conversation_id, id, request_hash, engine, model, outcome, requests, input_tokens, output_tokens,
    cached_tokens, cache_write_tokens, thinking_tokens, audio_ms, cost_usd, price_version, latency_ms, answer,
    error_code, parts
  )
  select $1, $2, id, request_hash, engine, model, outcome, requests, input_tokens, output_tokens, cached_tokens,
    cache_write_tokens, thinking_tokens, audio_ms, cost_usd, price_version, latency_ms, answer, error_code,
    array(select jsonb_array_elements_text(parts))
  from given
  order by request_hash, id
  on conflict do nothing
  returning id
),
used as (
  insert into usage_event (
    tenant_id, id, task_id, engine, at, requests, input_tokens, output_tokens, cached_tokens, cache_write_tokens,
    thinking_tokens, audio_ms, cost_usd, price_version
  )
  select $1, u.id, u.task_id, u.engine, u.at, u.requests, u.input_tokens, u.output_tokens, u.cached_tokens,
    u.cache_write_tokens, u.thinking_tokens, u.audio_ms, u.cost_usd, u.price_version
  from recorded
  join given using (id)
  cross join lateral jsonb_to_recordset(given.events) as u (
    id uuid, task_id uuid, engine text, at timestamptz, requests bigint, input_tokens bigint, output_tokens bigint,
    cached_tokens bigint, cache_write_tokens bigint, thinking_tokens bigint, audio_ms bigint,
    cost_usd double precision, price_version text
  )
  on conflict do nothing
)
select id
from recorded
"""

_FIND_CALL = f"""
select {_CALL_COLUMNS}
from engine_call
where tenant_id = $1
  and request_hash = $2
  and outcome = 'answered'
"""  # noqa: S608


class PostgresLedger(Repository):
    """See `storage.protocols.Ledger`."""

    async def plan(self, runs: Sequence[TaskRun]) -> None:
        if runs:
            await self._execute(_PLAN, runs)

    async def get(self, task_run_id: str) -> TaskRun:
        row = await self._row(
            f"select {_RUN_COLUMNS} from task_run r where r.tenant_id = $1 and r.id = $2",  # noqa: S608
            task_run_id,
        )
        if row is None:
            raise NotFound("no such task run")
        return TaskRun.model_validate(dict(row))

    async def of_entry(self, run: RunRef) -> Sequence[TaskRun]:
        """In the order of the tasks' names."""
        rows = await self._rows(
            f"""
            select {_RUN_COLUMNS}
            from task_run r
            where r.tenant_id = $1
              and r.conversation_id = $2
              and r.revision = $3
              and r.entry = $4
            order by r.task_slug, r.id
            """,  # noqa: S608
            run.conversation_id,
            run.revision,
            run.entry,
        )
        return [TaskRun.model_validate(dict(row)) for row in rows]

    async def of_conversation(self, conversation_id: str, revision: int) -> Sequence[TaskRun]:
        """All entries of the revision, newest entry first."""
        rows = await self._rows(
            f"""
            select {_RUN_COLUMNS}
            from task_run r
            where r.tenant_id = $1
              and r.conversation_id = $2
              and r.revision = $3
            order by r.entry desc, r.task_slug, r.id
            """,  # noqa: S608
            conversation_id,
            revision,
        )
        return [TaskRun.model_validate(dict(row)) for row in rows]

    async def record_answers(self, records: Sequence[AnswerRecord]) -> None:
        if not records:
            return
        runs = [record.task_run for record in records]
        ids = [run.id for run in runs]
        touched = await self._value(_RECORD_ANSWERS, runs, ids, [record.values for record in records])
        if touched != len(set(ids)):
            raise NotFound("no such task run")

    async def answers(self, run: RunRef) -> Sequence[AnswerRecord]:
        rows = await self._rows(
            f"""
            select {_RUN_COLUMNS}, a.field_values
            from task_run r
            join task_answer a on a.tenant_id = r.tenant_id and a.task_run_id = r.id
            where r.tenant_id = $1
              and r.conversation_id = $2
              and r.revision = $3
              and r.entry = $4
            order by r.task_slug, r.id
            """,  # noqa: S608
            run.conversation_id,
            run.revision,
            run.entry,
        )
        return [_answer(row) for row in rows]

    async def calls_of(self, conversation_id: str) -> Sequence[EngineCall]:
        """Oldest first."""
        rows = await self._rows(
            f"""
            select {_CALL_COLUMNS}
            from engine_call
            where tenant_id = $1
              and conversation_id = $2
            order by created_at, id
            """,  # noqa: S608
            conversation_id,
        )
        return [_call(row) for row in rows]

    async def find_call(self, request_hash: str) -> EngineCall | None:
        row = await self._row(_FIND_CALL, request_hash)
        return None if row is None else _call(row)

    async def record_call(self, call: EngineCall, conversation_id: str, usage: Sequence[UsageEvent] = ()) -> EngineCall:
        if call.id in await self._record([(call, usage)], conversation_id):
            return call
        return await self.find_call(call.request_hash) or call

    async def record_calls(self, calls: Sequence[ChargedCall], conversation_id: str) -> None:
        if calls:
            await self._record(calls, conversation_id)

    async def _record(self, calls: Sequence[ChargedCall], conversation_id: str) -> set[str]:
        """Ids of the calls that were new."""
        given = [
            {
                **call.model_dump(exclude={"usage"}),
                **call.usage.model_dump(),
                "events": list(events),
            }
            for call, events in calls
        ]
        return {row["id"] for row in await self._rows(_RECORD_CALLS, conversation_id, given)}


def _answer(row: "Record") -> AnswerRecord:
    values = dict(row)
    given = values.pop("field_values")
    return AnswerRecord(
        task_run=TaskRun.model_validate(values),
        values=tuple(FieldValue.model_validate(value) for value in given),
    )


def _call(row: "Record") -> EngineCall:
    values = dict(row)
    usage = {name: values.pop(name) for name in Usage.model_fields}
    return EngineCall(usage=Usage.model_validate(usage), **values)
