"""What failed for good, kept until somebody enters it again."""

from collections.abc import Sequence

from domain.errors import NotFound
from storage.postgres.repository import Repository
from storage.protocols import DeadLetter, Page

_COLUMNS = """
  id, conversation_id, revision, entry, stage, error_type, detail, attempts, first_at, last_at, redriven_at,
  redriven_entry
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


class PostgresDeadLetters(Repository):
    """See `storage.protocols.DeadLetters`."""

    async def put(self, letter: DeadLetter) -> str:
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

    async def get(self, dead_letter_id: str) -> DeadLetter:
        row = await self._row(
            f"select {_COLUMNS} from dead_letter where tenant_id = $1 and id = $2",  # noqa: S608
            dead_letter_id,
        )
        if row is None:
            raise NotFound("no such dead letter")
        return DeadLetter.model_validate(dict(row))

    async def list(self, *, open_only: bool, page: Page) -> Sequence[DeadLetter]:
        """Newest first by last_at; `page.after` is (last_at, id)."""
        after = "and (last_at, id) < ($2, $3)" if page.after else ""
        only = "and redriven_at is null" if open_only else ""
        rows = await self._rows(
            f"""
            select {_COLUMNS}
            from dead_letter
            where tenant_id = $1
              {after}
              {only}
            order by last_at desc, id desc
            limit {page.limit:d}
            """,  # noqa: S608 - no caller's text in it
            *(page.after or ()),
        )
        return [DeadLetter.model_validate(dict(row)) for row in rows]

    async def of_conversation(self, conversation_id: str) -> Sequence[DeadLetter]:
        """The open ones, newest first."""
        rows = await self._rows(
            f"""
            select {_COLUMNS}
            from dead_letter
            where tenant_id = $1
              and conversation_id = $2
              and redriven_at is null
            order by last_at desc, id desc
            """,  # noqa: S608
            conversation_id,
        )
        return [DeadLetter.model_validate(dict(row)) for row in rows]

    async def redriven(self, dead_letter_id: str, entry: int) -> None:
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
