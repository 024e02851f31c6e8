"""The connection of one transaction, as repositories use it: every failure comes out as a domain error."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from storage.postgres.errors import domain_errors

if TYPE_CHECKING:
    from asyncpg import Connection, Record
    from asyncpg.pool import PoolConnectionProxy

    AnyConnection: TypeAlias = Connection[Record] | PoolConnectionProxy[Record]


class Session:
    """uuid columns are texts, jsonb columns Python values (pydantic models are taken as they are).

    After a failed statement the transaction is lost: its error must leave `tenant_tx`.
    """

    def __init__(self, connection: "AnyConnection") -> None:
        self._connection = connection

    async def rows(self, sql: str, *args: object) -> "Sequence[Record]":
        with domain_errors():
            return await self._connection.fetch(sql, *args)

    async def row(self, sql: str, *args: object) -> "Record | None":
        """The first row, if there is one."""
        with domain_errors():
            return await self._connection.fetchrow(sql, *args)

    async def value(self, sql: str, *args: object) -> Any:
        """The first column of the first row, or None."""
        with domain_errors():
            return await self._connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: object) -> int:
        """How many rows the statement touched."""
        with domain_errors():
            status = await self._connection.execute(sql, *args)
        return int(status.rsplit(" ", 1)[1])
