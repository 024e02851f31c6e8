"""The connection of one transaction, as repositories use it: every failure comes out as a domain error."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from storage.postgres.errors import domain_errors

if TYPE_CHECKING:
    from asyncpg import Connection, Record
    from asyncpg.pool import PoolConnectionProxy

    AnyConnection: TypeAlias = Connection[Record] | PoolConnectionProxy[Record]


class Session:
    """uuid columns are texts, jsonb columns Python values (pydantic models are taken as they are).

    After a failed statement the transaction is lost, and Postgres answers a commit with a silent rollback: `failed`
    is how `tenant_tx` notices that somebody swallowed the error.
    """

    def __init__(self, connection: "AnyConnection") -> None:
        self._connection = connection
        self.failed = False

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            with domain_errors():
                yield
        except BaseException:
            self.failed = True
            raise

    async def rows(self, sql: str, *args: object) -> "Sequence[Record]":
        with self._watched():
            return await self._connection.fetch(sql, *args)

    async def row(self, sql: str, *args: object) -> "Record | None":
        """The first row, if there is one."""
        with self._watched():
            return await self._connection.fetchrow(sql, *args)

    async def value(self, sql: str, *args: object) -> Any:
        """The first column of the first row, or None."""
        with self._watched():
            return await self._connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: object) -> int:
        """How many rows the statement touched."""
        with self._watched():
            status = await self._connection.execute(sql, *args)
        return int(status.rsplit(" ", 1)[1])
