"""What failed for good, kept until somebody enters it again."""

from collections.abc import Sequence

from domain.errors import NotFound
from storage.postgres.repository import Repository
from storage.protocols import DeadLetter, Page

_SELECT = """
select d.id, d.conversation_id, d.revision, d.entry, d.stage, d.error_type, d.detail, d.attempts, d.first_at, d.last_at,
  d.redriven_at, d.redriven_entry, d.event_id, s.slug as source
from dead_letter d
left join source_event e on e.tenant_id = d.tenant_id and e.id = d.event_id
left join source s on s.tenant_id = d.tenant_id and s.id = e.source_id
"""

# One open letter a stage. The same entry told twice is one failure; another entry's tries come on top. A letter that
# was re-driven and is told once more stays as it is.
_PUT = """
insert into dead_letter as d (
  tenant_id, id, conversation_id, revision, entry, stage, error_type, detail, attempts, first_at, last_at
)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
where not exists (
  select
  from dead_letter known
  where known.tenant_id = $1
    and known.id = $2
    and known.redriven_at is not null
)
on conflict (tenant_id, conversation_id, revision, stage) where redriven_at is null do update
  set entry = excluded.entry,
      error_type = excluded.error_type,
      detail = excluded.detail,
      attempts = case
        when d.entry = excluded.entry then greatest(d.attempts, excluded.attempts)
        else d.attempts + excluded.attempts
      end,
      last_at = greatest(d.last_at, excluded.last_at)
returning d.id
"""

# One open letter an event; each reading of it is a try.
_PUT_EVENT = """
insert into dead_letter as d (
  tenant_id, id, event_id, stage, error_type, detail, attempts, first_at, last_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (tenant_id, event_id) where redriven_at is null and event_id is not null do update
  set error_type = excluded.error_type,
      detail = excluded.detail,
      attempts = d.attempts + excluded.attempts,
      last_at = greatest(d.last_at, excluded.last_at)
returning d.id
"""


class PostgresDeadLetters(Repository):
    """See `storage.protocols.DeadLetters`."""

    async def put(self, letter: DeadLetter) -> str:
        if letter.event_id is not None:
            return await self._put_event(letter)
        kept = await self._value(
            _PUT,
            letter.id,
            letter.conversation_id,
            letter.revision,
            letter.entry,
            letter.stage,
            letter.error_type,
            letter.detail,
            letter.attempts,
            letter.first_at,
            letter.last_at,
        )
        return letter.id if kept is None else str(kept)

    async def _put_event(self, letter: DeadLetter) -> str:
        kept = await self._value(
            _PUT_EVENT,
            letter.id,
            letter.event_id,
            letter.stage,
            letter.error_type,
            letter.detail,
            letter.attempts,
            letter.first_at,
            letter.last_at,
        )
        return str(kept)

    async def get(self, dead_letter_id: str) -> DeadLetter:
        row = await self._row(f"{_SELECT} where d.tenant_id = $1 and d.id = $2", dead_letter_id)
        if row is None:
            raise NotFound("no such dead letter")
        return DeadLetter.model_validate(dict(row))

    async def list(self, *, open_only: bool, page: Page, source_id: str | None = None) -> Sequence[DeadLetter]:
        """Newest first by last_at; `page.after` is (last_at, id)."""
        after = "and (d.last_at, d.id) < ($2, $3)" if page.after else ""
        only = "and d.redriven_at is null" if open_only else ""
        args: list[object] = list(page.after or ())
        of_source = f"and e.source_id = ${len(args) + 2}" if source_id else ""
        rows = await self._rows(
            f"""
            {_SELECT}
            where d.tenant_id = $1
              {after}
              {only}
              {of_source}
            order by d.last_at desc, d.id desc
            limit {page.limit:d}
            """,
            *args,
            *([source_id] if source_id else ()),
        )
        return [DeadLetter.model_validate(dict(row)) for row in rows]

    async def of_conversation(self, conversation_id: str) -> Sequence[DeadLetter]:
        """The open ones, newest first."""
        rows = await self._rows(
            f"""
            {_SELECT}
            where d.tenant_id = $1
              and d.conversation_id = $2
              and d.redriven_at is null
            order by d.last_at desc, d.id desc
            """,
            conversation_id,
        )
        return [DeadLetter.model_validate(dict(row)) for row in rows]

    async def of_event(self, event_id: str) -> DeadLetter | None:
        row = await self._row(
            f"{_SELECT} where d.tenant_id = $1 and d.event_id = $2 and d.redriven_at is null", event_id
        )
        return None if row is None else DeadLetter.model_validate(dict(row))

    async def redriven(self, dead_letter_id: str, entry: int | None) -> None:
        touched = await self._execute(
            """
            update dead_letter
            set redriven_at = now(), redriven_entry = $3
            where tenant_id = $1
              and id = $2
            """,
            dead_letter_id,
            entry,
        )
        if not touched:
            raise NotFound("no such dead letter")
