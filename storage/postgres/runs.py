"""Entries of a conversation into the workflow, the lease, and the states of the stages."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from domain.contracts import RunRef
from domain.conversation import Channel, Lane, Stage, StageState, StageStatus
from domain.errors import NotFound, Superseded
from storage.postgres.repository import Repository
from storage.protocols import RunEntry

if TYPE_CHECKING:
    from asyncpg import Record

_COLUMNS = """
  tenant_id, conversation_id, revision, entry, lane, channel, enter_at, task_ids, state, reason, not_before,
  created_at, transcription
"""

# The counter is in the conversation's row: whoever races waits for it and then counts on from the newest number.
_ENTER = f"""
with counted as (
  update conversation
  set entries = entries + 1, lane = $4
  where tenant_id = $1
    and id = $2
    and revision = $3
    and merged_into is null
  returning entries
),
overtaken as (
  update conversation_entry
  set state = 'closed', closed_at = now()
  where tenant_id = $1
    and conversation_id = $2
    and revision < $3
    and state = 'pending'
    and exists (select from counted)
)
insert into conversation_entry (
  tenant_id, conversation_id, revision, entry, lane, channel, enter_at, task_ids, reason, not_before, transcription
)
select $1, $2, $3, entries, $4, $5, $6, $7, $8, $9, $10
from counted
returning {_COLUMNS}
"""  # noqa: S608 - constants of this module

_KEY = """
where tenant_id = $1
  and conversation_id = $2
  and revision = $3
  and entry = $4
"""

# The conversation's row is locked first, as everywhere: a new revision cannot be accepted while this one writes, and
# transactions of one conversation wait for each other instead of dying in a deadlock.
_HELD = """
with current as (
  select id
  from conversation
  where tenant_id = $1
    and id = $2
    and revision <= $3
    and merged_into is null
  for no key update
),
held as (
  insert into conversation_lease as held (tenant_id, conversation_id, revision, entry)
  select $1, id, $3, $4
  from current
  on conflict (tenant_id, conversation_id) do update
    set revision = excluded.revision,
        entry = excluded.entry,
        held_at = case
          when (held.revision, held.entry) = (excluded.revision, excluded.entry) then held.held_at
          else now()
        end,
        confirmed_at = now(),
        released_at = null
    where (held.revision, held.entry) <= (excluded.revision, excluded.entry)
  returning 1
)
"""

_HOLD = f"""
{_HELD}
select 1
from held
"""  # noqa: S608 - constants of this module

_MARKED = """
insert into stage_state as s (
  tenant_id, conversation_id, revision, stage, entry, state, attempts, started_at, ended_at, last_error
)
select $1, $2, $3, $5, $4, $6, $7,
  case when $6 <> 'pending' then now() end,
  case when $6 in ('completed', 'skipped', 'parked', 'failed') then now() end,
  $8
"""

_MARK_CONFLICT = """
on conflict (tenant_id, conversation_id, revision, stage, entry) do update
  set state = excluded.state,
      attempts = excluded.attempts,
      started_at = coalesce(s.started_at, excluded.started_at),
      ended_at = excluded.ended_at,
      last_error = coalesce(excluded.last_error, s.last_error)
  where s.attempts <= excluded.attempts
"""

_STAGE = _MARKED + _MARK_CONFLICT

_HOLD_AT_STAGE = f"""
{_HELD},
marked as (
  {_MARKED}
  from held
  {_MARK_CONFLICT}
)
select 1
from held
"""  # noqa: S608

# The lease before the entry, as in `hold`: whoever locks both does it in this order. That the entry's row is looked at
# only when the lease has been updated is what the last condition is for.
_CLOSE = f"""
with released as (
  update conversation_lease
  set released_at = now()
  {_KEY}
    and released_at is null
  returning 1
)
update conversation_entry
set state = 'closed', closed_at = coalesce(closed_at, now())
{_KEY}
  and (select count(*) from released) >= 0
"""  # noqa: S608

_STAGES = """
select distinct on (stage) stage as name, state, attempts, started_at, ended_at, last_error
from stage_state
where tenant_id = $1
  and conversation_id = $2
  and revision = $3
order by stage, entry desc
"""

_BACKLOG_AGE = """
select coalesce(extract(epoch from now() - min(updated_at)), 0)::double precision
from conversation
where tenant_id = $1
  and status = 'received'
  and lane = 'live'
"""

_OPEN_PACED = """
select count(*)
from conversation_entry
where tenant_id = $1
  and state = 'started'
  and lane = 'backfill'
"""

_PACED = f"""
select {_COLUMNS}
from conversation_entry
where tenant_id = $1
  and state = 'pending'
  and lane = 'backfill'
  and coalesce(not_before, created_at) <= now()
order by coalesce(not_before, created_at)
limit $2
"""  # noqa: S608

_ORDER = {stage: position for position, stage in enumerate(Stage)}


class PostgresRuns(Repository):
    """See `storage.protocols.Runs`. Entries are numbered within their revision."""

    async def enter(
        self,
        conversation_id: str,
        revision: int,
        *,
        enter_at: Stage,
        lane: Lane,
        channel: Channel,
        reason: str,
        task_ids: Sequence[str] = (),
        not_before: datetime | None = None,
        transcription: str | None = None,
    ) -> RunEntry:
        """Raises Superseded when the conversation has moved on to a newer revision."""
        row = await self._row(
            _ENTER,
            conversation_id,
            revision,
            lane,
            channel,
            enter_at,
            list(task_ids),
            reason,
            not_before,
            transcription,
        )
        if row is None:
            raise await self._why_not(conversation_id, revision)
        return _entry(row)

    async def get(self, run: RunRef) -> RunEntry:
        row = await self._row(f"select {_COLUMNS} from conversation_entry {_KEY}", *_key(run))  # noqa: S608
        if row is None:
            raise NotFound("no such run")
        return _entry(row)

    async def list(self, conversation_id: str) -> Sequence[RunEntry]:
        """Oldest first."""
        rows = await self._rows(
            f"""
            select {_COLUMNS}
            from conversation_entry
            where tenant_id = $1
              and conversation_id = $2
            order by revision, entry
            """,  # noqa: S608
            conversation_id,
        )
        return [_entry(row) for row in rows]

    async def started(self, run: RunRef, temporal_run_id: str) -> None:
        """A run that has closed in the meantime stays closed."""
        touched = await self._execute(
            f"""
            update conversation_entry
            set state = case when state = 'closed' then state else 'started' end,
                started_at = coalesce(started_at, now()),
                temporal_run_id = $5
            {_KEY}
            """,  # noqa: S608
            *_key(run),
            temporal_run_id,
        )
        _require(touched)

    async def close(self, run: RunRef) -> None:
        """Also gives the lease back, when this run holds it."""
        _require(await self._execute(_CLOSE, *_key(run)))

    async def postpone(self, run: RunRef, not_before: datetime) -> None:
        touched = await self._execute(
            f"update conversation_entry set not_before = $5 {_KEY} and state = 'pending'",  # noqa: S608
            *_key(run),
            not_before,
        )
        _require(touched)

    async def hold(
        self,
        run: RunRef,
        stage: Stage | None = None,
        state: StageStatus = StageStatus.RUNNING,
        *,
        attempt: int = 1,
    ) -> None:
        """With a stage: also what `stage` does, in the same statement."""
        if stage is None:
            held = await self._value(_HOLD, *_key(run))
        else:
            held = await self._value(_HOLD_AT_STAGE, *_key(run), stage, state, attempt, None)
        if held is None:
            raise await self._why_not(run.conversation_id, run.revision)

    async def stage(
        self, run: RunRef, stage: Stage, state: StageStatus, *, attempt: int = 1, error: str | None = None
    ) -> None:
        """A late word of an earlier attempt changes nothing."""
        await self._execute(_STAGE, *_key(run), stage, state, attempt, error)

    async def stages(self, conversation_id: str, revision: int) -> Sequence[StageState]:
        rows = await self._rows(_STAGES, conversation_id, revision)
        states = [StageState.model_validate(dict(row)) for row in rows]
        return sorted(states, key=lambda state: _ORDER[state.name])

    async def backlog_age_seconds(self) -> float:
        return float(await self._value(_BACKLOG_AGE))

    async def open_paced(self) -> int:
        return int(await self._value(_OPEN_PACED))

    async def paced(self, limit: int) -> Sequence[RunEntry]:
        """In the order they were made."""
        return [_entry(row) for row in await self._rows(_PACED, limit)]

    async def _why_not(self, conversation_id: str, revision: int) -> NotFound | Superseded:
        row = await self._row(
            "select revision, merged_into from conversation where tenant_id = $1 and id = $2", conversation_id
        )
        if row is None or row["revision"] < revision:
            return NotFound("no such conversation or revision")
        if row["merged_into"] is not None:
            return Superseded(f"the conversation was merged into {row['merged_into']}")
        return Superseded("a newer revision or entry has taken the conversation over")


def _key(run: RunRef) -> tuple[str, int, int]:
    return run.conversation_id, run.revision, run.entry


def _require(touched: int) -> None:
    if not touched:
        raise NotFound("no such run, or it is not in a state for this")


def _entry(row: "Record") -> RunEntry:
    values = dict(row)
    run = {name: values.pop(name) for name in ("tenant_id", "conversation_id", "revision", "entry", "lane")}
    return RunEntry(run=RunRef.model_validate(run), **values)
