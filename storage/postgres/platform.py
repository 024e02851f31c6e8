"""What can be asked before a tenant is known: the platform role's functions, and nothing else."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from domain.contracts import ImportRef, RunRef
from domain.engine import EngineConfig
from domain.errors import Conflict, NotFound
from domain.ids import new_id, new_tenant_id
from domain.tenants import NewPartner, NewTenant, TenantChange
from storage.api_keys import api_key_hash, new_api_key
from storage.postgres.configuration import ENGINE_COLUMNS, to_engine
from storage.postgres.connections import transaction
from storage.postgres.tenants import to_tenant
from storage.protocols import (
    ApiKeyRecord,
    DirtyConversation,
    NewApiKey,
    Partner,
    PlatformFigure,
    SealedSecret,
    Tenant,
)

if TYPE_CHECKING:
    from datetime import datetime

    from asyncpg import Pool, Record


_ENGINES_OF = "from platform_engines($1)"


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

    async def due_events(self, limit: int) -> Sequence[tuple[str, str]]:
        return [
            (row["tenant_id"], row["event_id"])
            for row in await self._rows("select * from platform_due_events($1)", limit)
        ]

    async def due_imports(self, limit: int, *, fresh_seconds: float, silent_seconds: float) -> Sequence[ImportRef]:
        rows = await self._rows("select * from platform_due_imports($1, $2, $3)", limit, fresh_seconds, silent_seconds)
        return [ImportRef.model_validate(dict(row)) for row in rows]

    async def paced_tenants(self) -> Sequence[str]:
        return [row["tenant_id"] for row in await self._rows("select * from platform_paced_tenants()")]

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

    async def figures(self) -> Sequence[PlatformFigure]:
        rows = await self._rows("select * from platform_figures()")
        return [PlatformFigure.model_validate(dict(row)) for row in rows]

    async def rollups_waiting(self, limit: int) -> Sequence[str]:
        return [str(row[0]) for row in await self._rows("select platform_rollups_waiting($1)", limit)]

    async def sign_in_try(self, tries: Sequence[tuple[bytes, int]]) -> float:
        keys, free = [key for key, _ in tries], [number for _, number in tries]
        return float(await self._value("select platform_sign_in_try($1, $2)", keys, free))

    async def signed_in(self, account: bytes, address: bytes) -> None:
        await self._value("select platform_signed_in($1, $2)", account, address)

    async def tenant_named(self, slug: str) -> Tenant | None:
        rows = await self._rows("select * from platform_tenant_named($1)", slug)
        return to_tenant(rows[0]) if rows else None

    async def tenants(self) -> Sequence[Tenant]:
        return [to_tenant(row) for row in await self._rows("select * from platform_tenants()")]

    async def partners(self) -> Sequence[Partner]:
        return [Partner.model_validate(dict(row)) for row in await self._rows("select * from platform_partners()")]

    async def create_partner(self, new: NewPartner) -> Partner:
        partner = Partner(id=new_tenant_id(), slug=new.slug, name=new.name)
        await self._value("select platform_create_partner($1, $2, $3)", partner.id, partner.slug, partner.name)
        return partner

    async def create_tenant(self, new: NewTenant) -> Tenant:
        rows = await self._rows("select * from platform_create_tenant($1, $2)", new_tenant_id(), new)
        return to_tenant(rows[0])

    async def change_tenant(self, tenant_id: str, change: TenantChange) -> Tenant:
        rows = await self._rows("select * from platform_change_tenant($1, $2)", tenant_id, change.given)
        if not rows:
            raise NotFound("no such tenant")
        return to_tenant(rows[0])

    async def create_api_key(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        tenant_id: str | None = None,
        partner_id: str | None = None,
        expires_at: "datetime | None" = None,
    ) -> NewApiKey:
        key, key_id = new_api_key(), new_id()
        await self._value(
            "select platform_create_api_key($1, $2, $3, $4, $5, $6, $7)",
            key_id,
            tenant_id,
            partner_id,
            name,
            api_key_hash(key),
            list(scopes),
            expires_at,
        )
        return NewApiKey(id=key_id, key=SecretStr(key))

    async def engines_of(self, owner_id: str) -> Sequence[EngineConfig]:
        return [to_engine(row) for row in await self._rows(f"select {ENGINE_COLUMNS} {_ENGINES_OF}", owner_id)]

    async def put_engine_of(self, owner_id: str, engine: EngineConfig) -> None:
        if not await self._value("select platform_put_engine($1, $2)", owner_id, engine):
            raise Conflict("an engine's name, family and owner never change")

    async def put_engine_secret(self, secret: SealedSecret) -> None:
        await self._value(
            "select platform_put_engine_secret($1, $2, $3, $4)",
            secret.owner_id,
            secret.name,
            secret.master_key_id,
            secret.sealed,
        )

    async def engine_secret(self, engine_id: str, name: str) -> SealedSecret | None:
        rows = await self._rows("select * from platform_engine_secret($1, $2)", engine_id, name)
        return SealedSecret.model_validate({**rows[0], "name": name}) if rows else None

    async def audit(
        self,
        owner_id: str,
        *,
        actor: str,
        action: str,
        subject: str,
        origin: str | None,
        before: object = None,
        after: object = None,
    ) -> None:
        await self._value(
            "select platform_audit($1, $2, $3, $4, $5, $6, $7)", owner_id, actor, action, subject, origin, before, after
        )

    async def search_documents(self) -> int:
        """Rows of the Postgres search index, of all tenants."""
        return int(await self._value("select platform_search_documents()"))

    async def search_clock(self) -> datetime:
        """The clock that stamps rows of the Postgres search index."""
        found: datetime = await self._value("select platform_search_clock()")
        return found

    async def search_sweep(self, before: datetime, most: int) -> int:
        """Takes rows away that were last indexed before; how many. 0 when none are left."""
        return int(await self._value("select platform_search_sweep($1, $2)", before, most))

    async def forget_idempotency_keys(self, limit: int) -> int:
        return int(await self._value("select platform_forget_idempotency_keys($1)", limit))

    async def _rows(self, sql: str, *args: object) -> "Sequence[Record]":
        async with transaction(self._pool) as session:
            return await session.rows(sql, *args)

    async def _value(self, sql: str, *args: object) -> Any:
        async with transaction(self._pool) as session:
            return await session.value(sql, *args)
