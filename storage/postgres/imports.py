"""Imports, their checkpoint, and the report row by row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from domain.conversation import Status
from domain.errors import NotFound
from domain.imports import Analysis, Import, ImportRow, RowOutcome
from storage.postgres.repository import Repository
from storage.protocols import Page

if TYPE_CHECKING:
    from asyncpg import Record

_COLUMNS = """
  id, source, source_named, format, media_type, name, dry_run, state, reason, detail, waits, entry, content_key, size,
  sha256, bytes_read, rows, volumes, worked_ms, created_at, started_at, ended_at
"""

_CREATE = """
insert into import (
  tenant_id, id, source, source_named, format, media_type, name, dry_run, content_key, size, sha256, rows, volumes,
  actor, created_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""

_GET = f"""
select {_COLUMNS}
from import
where tenant_id = $1
  and id = $2
"""  # noqa: S608 - constants of this module

_SAVE = """
update import
set state = $3,
    reason = $4,
    detail = $5,
    waits = $6,
    entry = $7,
    bytes_read = $8,
    rows = $9,
    volumes = $10,
    worked_ms = $11,
    started_at = $12,
    ended_at = $13,
    touched_at = now()
where tenant_id = $1
  and id = $2
"""

_ADD_ROWS = """
insert into import_row (
  tenant_id, import_id, number, part, name, outcome, conversation_id, revision, code, problems
)
select $1, $2, number, part, name, outcome, conversation_id, revision, code, problems
from jsonb_to_recordset($3::jsonb) as line (
  number integer, part integer, name text, outcome text, conversation_id uuid, revision integer, code text,
  problems jsonb
)
"""

_ANALYSIS = """
select c.status, count(*) as conversations
from (
  select distinct conversation_id
  from import_row
  where tenant_id = $1
    and import_id = $2
    and outcome in ('created', 'revised')
) made
join conversation c on c.tenant_id = $1 and c.id = made.conversation_id
group by c.status
"""


class PostgresImports(Repository):
    """See `storage.protocols.Imports`."""

    async def create(self, new: Import, actor: str) -> None:
        await self._execute(
            _CREATE,
            new.id,
            new.source,
            new.source_named,
            new.format,
            new.media_type,
            new.name,
            new.dry_run,
            new.content_key,
            new.size,
            new.sha256,
            new.rows,
            new.volumes,
            actor,
            new.created_at,
        )

    async def get(self, import_id: str) -> Import:
        return _import(await self._row(_GET, import_id))

    async def locked(self, import_id: str) -> Import:
        return _import(await self._row(f"{_GET} for no key update", import_id))

    async def list(self, page: Page) -> Sequence[Import]:
        after = "and (created_at, id) < ($2, $3)" if page.after else ""
        rows = await self._rows(
            f"""
            select {_COLUMNS}
            from import
            where tenant_id = $1
              {after}
            order by created_at desc, id desc
            limit {page.limit:d}
            """,  # noqa: S608 - no caller's text in it
            *(page.after or ()),
        )
        return [_import(row) for row in rows]

    async def save(self, changed: Import) -> None:
        touched = await self._execute(
            _SAVE,
            changed.id,
            changed.state,
            changed.reason,
            changed.detail,
            changed.waits,
            changed.entry,
            changed.bytes_read,
            changed.rows,
            changed.volumes,
            changed.worked_ms,
            changed.started_at,
            changed.ended_at,
        )
        if not touched:
            raise _unknown()

    async def add_rows(self, import_id: str, rows: Sequence[ImportRow]) -> None:
        if rows:
            await self._execute(_ADD_ROWS, import_id, [_line(row) for row in rows])

    async def rows(
        self, import_id: str, *, outcome: RowOutcome | None, after: tuple[int, int] | None, limit: int
    ) -> Sequence[ImportRow]:
        # The outcome stands in the statement, so that the index of the failed ones can be used.
        only = f"and outcome = '{outcome.value}'" if outcome else ""
        later = "and (number, part) > ($3, $4)" if after else ""
        rows = await self._rows(
            f"""
            select number, part, name, outcome, conversation_id, revision, code, coalesce(problems, '[]') as problems
            from import_row
            where tenant_id = $1
              and import_id = $2
              {only}
              {later}
            order by number, part
            limit {limit:d}
            """,  # noqa: S608 - no caller's text in it
            import_id,
            *(after or ()),
        )
        return [ImportRow.model_validate(dict(row)) for row in rows]

    async def analysis(self, import_id: str) -> Analysis:
        rows = await self._rows(_ANALYSIS, import_id)
        return {Status(row["status"]): row["conversations"] for row in rows}


def _line(row: ImportRow) -> dict[str, object]:
    return {**row.model_dump(exclude={"problems"}), "problems": row.problems or None}


def _import(row: "Record | None") -> Import:
    if row is None:
        raise _unknown()
    return Import.model_validate(dict(row))


def _unknown() -> NotFound:
    return NotFound("no such import")
