"""What can be asked before a tenant is known: the platform role's functions, and nothing else."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from domain.contracts import RunRef
from storage.postgres.errors import domain_errors
from storage.postgres.tenants import to_tenant
from storage.protocols import ApiKeyRecord, DirtyConversation, Tenant

if TYPE_CHECKING:
    from asyncpg import Pool, Record


class PostgresPlatform:
    """See `storage.protocols.Platform`. Every method raises Unavailable when the database is away."""

    def __init__(self, pool: "Pool[Record]") -> None:
        self._pool = pool

    async def api_key(self, key_hash: bytes) -> ApiKeyRecord | None:
        rows = await self._rows("select * from platform_api_key($1)", key_hash)
        return ApiKeyRecord.model_validate(dict(rows[0])) if rows else None

    async def due_entries(self, limit: int, *, older_than_seconds: float) -> Sequence[RunRef]:
        rows = await self._rows("select * from platform_due_entries($1, $2)", limit, older_than_seconds)
        return [RunRef.model_validate(dict(row)) for row in rows]

    async def stale_leases(self, limit: int, *, older_than_seconds: float) -> Sequence[RunRef]:
        rows = await self._rows("select * from platform_stale_leases($1, $2)", limit, older_than_seconds)
        return [RunRef.model_validate(dict(row)) for row in rows]

    async def lead(self, name: str, holder: str, ttl_seconds: float) -> bool:
        return bool(await self._value("select platform_lead($1, $2, $3)", name, holder, ttl_seconds))

    async def dirty(self, limit: int) -> Sequence[DirtyConversation]:
        rows = await self._rows("select * from platform_search_dirty($1)", limit)
        return [DirtyConversation.model_validate(dict(row)) for row in rows]

    async def clear(self, done: Sequence[DirtyConversation]) -> None:
        await self._value(
            "select platform_search_clear($1, $2, $3)",
            [item.tenant_id for item in done],
            [item.conversation_id for item in done],
            [item.mark for item in done],
        )

    async def defer(self, item: DirtyConversation, error: str) -> None:
        await self._value(
            "select platform_search_defer($1, $2, $3, $4)", item.tenant_id, item.conversation_id, item.mark, error
        )

    async def search_lag_seconds(self) -> float:
        return float(await self._value("select platform_search_lag_seconds()"))

    async def tenants(self) -> Sequence[Tenant]:
        return [to_tenant(row) for row in await self._rows("select * from platform_tenants()")]

    async def forget_idempotency_keys(self, limit: int) -> int:
        return int(await self._value("select platform_forget_idempotency_keys($1)", limit))

    async def _rows(self, sql: str, *args: object) -> "Sequence[Record]":
        with domain_errors():
            async with self._pool.acquire() as connection:
                return await connection.fetch(sql, *args)

    async def _value(self, sql: str, *args: object) -> Any:
        with domain_errors():
            async with self._pool.acquire() as connection:
                return await connection.fetchval(sql, *args)
