"""Limits and health of engines, shared by all processes: one function of the platform role a question."""

from typing import TYPE_CHECKING, Any

from storage.postgres.connections import transaction
from storage.protocols import Slice, SliceWanted

if TYPE_CHECKING:
    from asyncpg import Pool, Record

_SLICE = """
select at, starts_at, granted, held, failures, state, changed_at
from platform_engine_slice($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""


class PostgresEngineGate:
    """See `storage.protocols.EngineGate`."""

    def __init__(self, pool: "Pool[Record]") -> None:
        self._pool = pool

    async def slice(self, wanted: SliceWanted) -> Slice:
        async with transaction(self._pool) as session:
            row = await session.row(
                _SLICE,
                wanted.engine_id,
                wanted.holder,
                wanted.requests,
                wanted.tokens,
                wanted.correction,
                wanted.request_seconds,
                wanted.token_seconds,
                wanted.burst,
                wanted.horizon,
                wanted.wanted,
                wanted.busy,
                wanted.most,
                wanted.ttl,
            )
        assert row is not None
        return Slice.model_validate(dict(row))

    async def pause(self, engine_id: str, seconds: float) -> None:
        await self._value("select platform_engine_pause($1, $2)", engine_id, seconds)

    async def failed(self, engine_id: str, *, threshold: int, detail: str) -> None:
        await self._value("select platform_engine_failed($1, $2, $3)", engine_id, threshold, detail)

    async def answered(self, engine_id: str) -> None:
        await self._value("select platform_engine_answered($1)", engine_id)

    async def probe(self, engine_id: str, *, cool_down: float) -> bool:
        return bool(await self._value("select platform_engine_probe($1, $2)", engine_id, cool_down))

    async def tested(self, engine_id: str) -> None:
        await self._value("select platform_engine_tested($1)", engine_id)

    async def _value(self, sql: str, *args: object) -> Any:
        async with transaction(self._pool) as session:
            return await session.value(sql, *args)
