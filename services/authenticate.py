"""Who calls, and on which tenant they may act: API keys and their scopes."""

import re
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Forbidden, NotFound, Unauthenticated
from domain.fields import Owner
from domain.ids import is_tenant_id
from services.briefly import Briefly
from storage.api_keys import api_key_hash
from storage.protocols import ApiKeyRecord, Database, Tenant

CACHE_SECONDS = 5.0
"""How long a revoked key may still be answered."""

_KEY = re.compile(r"[!-~]{16,200}")


class Scope(StrEnum):
    """What a key may do. They do not include each other."""

    INGEST = "ingest"  # hand in and correct conversations
    READ = "read"  # look at results, in the redacted rendition
    CONFIGURE = "configure"  # activate tasks, make tenants and keys
    OPERATE = "operate"  # re-run, re-drive, look at engine answers, sensitive fields and originals


@dataclass(frozen=True)
class Principal:
    """A key that is known. It belongs to one tenant, to a partner, or (neither) to the platform's operator."""

    key_id: str
    name: str
    tenant_id: str | None
    partner_id: str | None
    scopes: frozenset[Scope]

    @property
    def level(self) -> Owner:
        if self.tenant_id is not None:
            return Owner.TENANT
        return Owner.PARTNER if self.partner_id is not None else Owner.OPERATOR

    @property
    def actor(self) -> str:
        """As it stands in the audit trail."""
        return f"key:{self.key_id}"

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    def require(self, *scopes: Scope) -> None:
        """Raises Forbidden naming what is missing."""
        missing = [scope.value for scope in scopes if scope not in self.scopes]
        if missing:
            raise Forbidden(f"this key lacks the scope {', '.join(missing)}")


class Authenticate:
    """Needs the database. Keys and tenants are remembered for a few seconds."""

    def __init__(self, database: Database, *, cache_seconds: float = CACHE_SECONDS) -> None:
        self._database = database
        self._keys: Briefly[bytes, ApiKeyRecord | None] = Briefly(cache_seconds)
        self._tenants: Briefly[str, Tenant | None] = Briefly(cache_seconds)

    async def principal(self, key: str) -> Principal:
        """Raises Unauthenticated, Unavailable."""
        if _KEY.fullmatch(key) is None:
            raise Unauthenticated("the API key is not valid")
        hashed = api_key_hash(key)
        record = await self._keys.get(hashed, lambda: self._database.platform.api_key(hashed))
        if record is None:
            raise Unauthenticated("the API key is not known, has expired or was revoked")
        return Principal(
            key_id=record.id,
            name=record.name,
            tenant_id=record.tenant_id,
            partner_id=record.partner_id,
            scopes=frozenset(Scope(scope) for scope in record.scopes),
        )

    async def tenant_for(self, principal: Principal, named: str | None, *, changes: bool) -> Tenant:
        """The tenant a request acts on: the key's own, or the one a partner or the operator names.

        `changes` is False for looking only: a tenant that is suspended or closing may still be looked at.
        Raises Forbidden, NotFound (absent, or of another partner).
        """
        tenant_id = self._tenant_id(principal, named)
        tenant = await self._tenants.get(tenant_id, lambda: self._tenant(tenant_id))
        if tenant is None or tenant.state == "erased":
            raise NotFound("no such tenant")
        if principal.partner_id is not None and tenant.partner_id != principal.partner_id:
            raise NotFound("no such tenant")
        if changes and tenant.state != "active":
            raise Forbidden(f"the tenant is {tenant.state}")
        return tenant

    @staticmethod
    def _tenant_id(principal: Principal, named: str | None) -> str:
        if principal.tenant_id is not None:
            if named is not None and named != principal.tenant_id:
                raise Forbidden("this key belongs to one tenant and acts on no other")
            return principal.tenant_id
        if named is None:
            raise Forbidden("a platform or partner key names the tenant it acts on in the header Parley-Tenant")
        if not is_tenant_id(named):
            raise NotFound("no such tenant")
        return named

    async def _tenant(self, tenant_id: str) -> Tenant | None:
        try:
            async with self._database.tenant_tx(tenant_id) as tx:
                return tx.tenant
        except NotFound:
            return None
