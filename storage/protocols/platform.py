"""What there is beyond one tenant: the platform, the database itself, engines' shared state, the content store."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from pydantic import SecretStr

from domain.contracts import ImportRef, RunRef
from domain.engine import EngineConfig
from domain.fields import Owner
from domain.tenants import NewPartner, NewTenant, TenantChange
from storage.protocols.records import (
    ApiKeyRecord,
    DirtyConversation,
    NewApiKey,
    Partner,
    PlatformFigure,
    SealedSecret,
    Slice,
    SliceWanted,
    Tenant,
)
from storage.protocols.repositories import (
    TenantTx,
)


class Platform(Protocol):
    """Before a tenant is known: ids and leases only, through definer functions."""

    async def api_key(self, key_hash: bytes) -> ApiKeyRecord | None: ...
    async def due_entries(self, limit: int, *, older_than_seconds: float) -> Sequence[RunRef]:
        """Pending entries of the live lane whose not_before has passed and that are older than the grace given."""
        ...

    async def stale_leases(self, limit: int, *, older_than_seconds: float) -> Sequence[RunRef]: ...
    async def due_events(self, limit: int) -> Sequence[tuple[str, str]]:
        """(tenant, event) of accepted events that nobody reads."""
        ...

    async def due_imports(self, limit: int, *, fresh_seconds: float, silent_seconds: float) -> Sequence[ImportRef]:
        """Imports that nobody has begun after `fresh_seconds`, or that run and were silent for `silent_seconds`."""
        ...

    async def paced_tenants(self) -> Sequence[str]:
        """Ids of tenants with entries of the backfill lane that may be started now."""
        ...

    async def lead(self, name: str, holder: str, ttl_seconds: float) -> bool:
        """Become or stay the one leader of a job. False when somebody else is."""
        ...

    async def dirty(self, limit: int) -> Sequence[DirtyConversation]: ...
    async def clear(self, done: Sequence[DirtyConversation]) -> None: ...
    async def defer(self, item: DirtyConversation, error: str) -> None: ...
    async def search_lag_seconds(self) -> float: ...
    async def figures(self) -> Sequence[PlatformFigure]:
        """What waits, is parked or was given up: a look at every tenant, so not for every request."""
        ...

    async def rollups_waiting(self, limit: int) -> Sequence[str]:
        """Ids of tenants with deltas that are not folded."""
        ...

    async def sign_in_try(self, tries: Sequence[tuple[bytes, int]]) -> float:
        """Counts a try under each (key of 32 bytes, free tries), and answers 0; or counts nothing and answers for how
        many seconds no try is taken."""
        ...

    async def signed_in(self, account: bytes, address: bytes) -> None:
        """Forgets the account's tries and takes back the address's last one."""
        ...

    async def tenant_named(self, slug: str) -> Tenant | None: ...
    async def tenants(self) -> Sequence[Tenant]: ...
    async def partners(self) -> Sequence[Partner]: ...
    async def create_partner(self, new: NewPartner) -> Partner:
        """Raises Conflict when the slug is taken."""
        ...

    async def create_tenant(self, new: NewTenant) -> Tenant:
        """Raises Conflict when the slug is taken, NotFound without the partner."""
        ...

    async def change_tenant(self, tenant_id: str, change: TenantChange) -> Tenant:
        """Raises NotFound."""
        ...

    async def create_api_key(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        tenant_id: str | None = None,
        partner_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> NewApiKey:
        """Without tenant and partner: a key of the platform. Raises NotFound without the tenant or partner."""
        ...

    async def engines_of(self, owner_id: str) -> Sequence[EngineConfig]:
        """The operator's or a partner's, in the order of their names."""
        ...

    async def put_engine_of(self, owner_id: str, engine: EngineConfig) -> None:
        """By id, at the operator's or a partner's level. Raises Conflict as `Catalog.put_engine` does."""
        ...

    async def put_engine_secret(self, secret: SealedSecret) -> None: ...
    async def engine_secret(self, engine_id: str, name: str) -> SealedSecret | None:
        """The secret of this name at the engine's own level."""
        ...

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
        """What was changed at the operator's or a partner's level."""
        ...

    async def forget_idempotency_keys(self, limit: int) -> int:
        """Removes up to `limit` keys older than 48 hours; answers how many."""
        ...


class EngineSecrets(Protocol):
    """Engines' secrets, sealed with the key of whom they belong to."""

    async def seal(self, level: Owner, owner_id: str, name: str, secret: SecretStr) -> SealedSecret:
        """Raises Unavailable."""
        ...

    async def secret(self, engine_id: str, name: str) -> SecretStr:
        """The secret of this name at the engine's own level. Raises NotFound, Unavailable (also when it cannot be
        opened)."""
        ...


class EngineGate(Protocol):
    """Limits and health of engines, shared by all processes. Every method raises Unavailable."""

    async def slice(self, wanted: SliceWanted) -> Slice: ...
    async def pause(self, engine_id: str, seconds: float) -> None:
        """Nobody asks the engine for so long."""
        ...

    async def failed(self, engine_id: str, *, threshold: int, detail: str) -> None:
        """One more failure in a row; the breaker opens at `threshold`, or when it was being tried."""
        ...

    async def answered(self, engine_id: str) -> None:
        """The breaker closes."""
        ...

    async def probe(self, engine_id: str, *, cool_down: float) -> bool:
        """Whether this caller is the one that tries an engine whose breaker has been open for `cool_down` seconds."""
        ...

    async def tested(self, engine_id: str) -> None:
        """Somebody tested the engine just now."""
        ...


class Database(Protocol):
    def tenant_tx(self, tenant_id: str) -> AbstractAsyncContextManager[TenantTx]: ...

    @property
    def platform(self) -> Platform: ...

    async def ping(self) -> None:
        """Raises Unavailable."""
        ...


class ContentStore(Protocol):
    """Raw content, encrypted with the tenant's key. Keys start with the tenant id.

    Raises ContentMissing, ContentDamaged, Unavailable.
    """

    async def put(self, tenant_id: str, key: str, data: bytes) -> None: ...
    async def put_stream(
        self, tenant_id: str, key: str, chunks: AsyncIterator[bytes], *, limit: int
    ) -> tuple[int, str]:
        """Stores as it comes, memory bounded; answers (size, sha256 of the plain bytes). TooLarge past `limit`;
        nothing is left behind then."""
        ...

    async def get(self, tenant_id: str, key: str) -> bytes: ...
    def get_stream(self, tenant_id: str, key: str) -> AsyncIterator[bytes]:
        """Pieces of up to 1 MiB, memory bounded. Damage may show only after some pieces have come."""
        ...

    async def delete(self, tenant_id: str, key: str) -> None:
        """What is not there is deleted already."""
        ...

    async def ping(self) -> None: ...
