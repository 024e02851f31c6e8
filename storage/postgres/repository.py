"""What every repository is built on: the transaction's session and its tenant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storage.postgres.session import Session

if TYPE_CHECKING:
    from asyncpg import Record


class Repository:
    """Bound to one transaction of one tenant; `$1` of its statements is the tenant."""

    def __init__(self, session: Session, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def _row(self, sql: str, *args: object) -> "Record | None":
        return await self._session.row(sql, self._tenant_id, *args)

    async def _rows(self, sql: str, *args: object) -> "Sequence[Record]":
        return await self._session.rows(sql, self._tenant_id, *args)

    async def _value(self, sql: str, *args: object) -> Any:
        return await self._session.value(sql, self._tenant_id, *args)

    async def _execute(self, sql: str, *args: object) -> int:
        """Runs the statement and returns how many rows it touched."""
        return await self._session.execute(sql, self._tenant_id, *args)
