"""The database: two pools, and `tenant_tx`, the one function that sets a tenant."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from domain.errors import NotFound
from domain.ids import is_tenant_id
from storage.postgres.audit import PostgresAudit
from storage.postgres.bulk import PostgresBulk
from storage.postgres.catalog import PostgresCatalog
from storage.postgres.connections import PoolUse, open_pool, transaction
from storage.postgres.conversations import PostgresConversations
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.engine_gate import PostgresEngineGate
from storage.postgres.errors import domain_errors
from storage.postgres.idempotency import PostgresIdempotency
from storage.postgres.imports import PostgresImports
from storage.postgres.ledger import PostgresLedger
from storage.postgres.legs import PostgresLegs
from storage.postgres.outbox import PostgresOutbox
from storage.postgres.platform import PostgresPlatform
from storage.postgres.renditions import PostgresRenditions
from storage.postgres.rollups import PostgresRollups
from storage.postgres.runs import PostgresRuns
from storage.postgres.session import Session
from storage.postgres.source_events import PostgresSourceEvents
from storage.postgres.tenants import to_tenant
from storage.postgres.threads import PostgresThreads
from storage.postgres.uploads import PostgresUploads
from storage.postgres.users import PostgresUsers
from storage.postgres.values import PostgresValues
from storage.protocols import (
    Audit,
    Bulk,
    Catalog,
    Conversations,
    DeadLetters,
    Idempotency,
    Imports,
    Ledger,
    Legs,
    Outbox,
    Renditions,
    Rollups,
    Runs,
    SourceEvents,
    Tenant,
    Threads,
    Uploads,
    Users,
    Values,
)

if TYPE_CHECKING:
    from asyncpg import Pool, Record


TENANT_FRESH_SECONDS = 2.0
"""How long a process takes a tenant's row as read: a changed setting or state is seen everywhere after that."""


class PostgresTenantTx:
    """See `storage.protocols.TenantTx`. `session` is for storage itself: nobody else writes SQL."""

    def __init__(self, session: Session, tenant: Tenant) -> None:
        self.session = session
        self.tenant = tenant
        self.conversations: Conversations = PostgresConversations(session, tenant.id)
        self.threads: Threads = PostgresThreads(session, tenant.id)
        self.events: SourceEvents = PostgresSourceEvents(session, tenant.id)
        self.runs: Runs = PostgresRuns(session, tenant.id)
        self.renditions: Renditions = PostgresRenditions(session, tenant.id)
        self.catalog: Catalog = PostgresCatalog(session, tenant)
        self.ledger: Ledger = PostgresLedger(session, tenant.id)
        self.values: Values = PostgresValues(session, tenant.id)
        self.rollups: Rollups = PostgresRollups(session, tenant)
        self.users: Users = PostgresUsers(session, tenant.id)
        self.outbox: Outbox = PostgresOutbox(session, tenant.id)
        self.dead_letters: DeadLetters = PostgresDeadLetters(session, tenant.id)
        self.uploads: Uploads = PostgresUploads(session, tenant.id)
        self.idempotency: Idempotency = PostgresIdempotency(session, tenant.id)
        self.audit: Audit = PostgresAudit(session, tenant.id)
        self.bulk: Bulk = PostgresBulk(session, tenant.id)
        self.legs: Legs = PostgresLegs(session, tenant.id)
        self.imports: Imports = PostgresImports(session, tenant.id)


class PostgresDatabase:
    """See `storage.protocols.Database`. One per process, made in the running loop."""

    def __init__(self, app: "Pool[Record]", platform: "Pool[Record]") -> None:
        self._app = app
        self._platform_pool = platform
        self._platform = PostgresPlatform(platform)
        self.engine_gate = PostgresEngineGate(platform)
        self._tenants: dict[str, tuple[float, Tenant]] = {}

    @classmethod
    async def connect(
        cls,
        app_url: str,
        platform_url: str,
        *,
        pool_min: int = 1,
        pool_max: int = 8,
        platform_pool_max: int = 3,
        timeout_seconds: float = 30.0,
        application_name: str = "parley",
    ) -> "PostgresDatabase":
        """Opens both pools. `timeout_seconds` bounds a statement. Raises Unavailable."""
        with domain_errors():
            app = await open_pool(
                app_url,
                minimum=pool_min,
                maximum=pool_max,
                timeout_seconds=timeout_seconds,
                application_name=application_name,
            )
            try:
                platform = await open_pool(
                    platform_url,
                    minimum=0,
                    maximum=platform_pool_max,
                    timeout_seconds=timeout_seconds,
                    application_name=f"{application_name} platform",
                )
            except BaseException:
                app.terminate()
                raise
        return cls(app, platform)

    async def close(self) -> None:
        """Waits for transactions that are under way, then closes every connection."""
        await self._app.close()
        await self._platform_pool.close()

    @property
    def platform(self) -> PostgresPlatform:
        return self._platform

    def pools(self) -> dict[str, PoolUse]:
        """How busy the pools are, by role."""
        return {"app": PoolUse.of(self._app), "platform": PoolUse.of(self._platform_pool)}

    async def ping(self) -> None:
        """Raises Unavailable."""
        async with transaction(self._app) as session:
            await session.value("select 1")

    @asynccontextmanager
    async def tenant_tx(self, tenant_id: str) -> AsyncIterator[PostgresTenantTx]:
        """One transaction of one tenant. Leaving the block commits, an exception rolls back.

        Raises NotFound for a tenant that does not exist, Unavailable when the database is away.
        """
        if not is_tenant_id(tenant_id):
            raise NotFound("no such tenant")
        # The id is 32 hex digits, and only so may it stand in the statement: with parameters it would be a round trip
        # of its own.
        begin = f"begin; select set_config('parley.tenant_id', '{tenant_id}', true)"
        async with transaction(self._app, begin) as session:
            yield PostgresTenantTx(session, await self._tenant(session, tenant_id))

    async def _tenant(self, session: Session, tenant_id: str) -> Tenant:
        known = self._tenants.get(tenant_id)
        if known is not None and time.monotonic() - known[0] < TENANT_FRESH_SECONDS:
            return known[1]
        row = await session.row("select * from tenant where id = $1", tenant_id)
        if row is None:
            raise NotFound("no such tenant")
        tenant = to_tenant(row)
        self._tenants[tenant_id] = (time.monotonic(), tenant)
        return tenant
