"""Setting up partners, tenants and API keys: what a platform's or partner's key may do."""

from collections.abc import Sequence
from datetime import datetime

from domain.clock import Clock, utc_now
from domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from domain.fields import Owner
from domain.tenants import NewPartner, NewTenant, TenantChange
from services.authenticate import Principal, Scope
from storage.protocols import Database, NewApiKey, Partner, Tenant


class Provision:
    """Needs the database. Every method takes who asks, and raises Forbidden when that is beyond them.

    A partner acts on its own tenants only, and nobody hands out a scope they do not have.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def create_partner(self, principal: Principal, new: NewPartner) -> Partner:
        """Raises Conflict when the slug is taken."""
        _require_level(principal, Owner.OPERATOR)
        try:
            return await self._database.platform.create_partner(new)
        except Conflict:
            raise Conflict(f"there is a partner {new.slug} already") from None

    async def partners(self, principal: Principal) -> Sequence[Partner]:
        _require_level(principal, Owner.OPERATOR)
        return await self._database.platform.partners()

    async def create_tenant(self, principal: Principal, new: NewTenant) -> Tenant:
        """A partner's tenant is the partner's, whatever is said. Raises Conflict, InvalidInput (no such partner)."""
        _require_level(principal, Owner.OPERATOR, Owner.PARTNER)
        if principal.partner_id is not None:
            if new.partner_id not in (None, principal.partner_id):
                raise Forbidden("a partner makes tenants of its own only")
            new = new.model_copy(update={"partner_id": principal.partner_id})
        try:
            return await self._database.platform.create_tenant(new)
        except NotFound:
            raise InvalidInput.of("partner_id", "there is no such partner") from None
        except Conflict:
            raise Conflict(f"there is a tenant {new.slug} already") from None

    async def tenants(self, principal: Principal) -> Sequence[Tenant]:
        """Those the caller may act on."""
        _require_level(principal, Owner.OPERATOR, Owner.PARTNER)
        found = await self._database.platform.tenants()
        return [t for t in found if principal.partner_id in (None, t.partner_id)]

    async def change_tenant(
        self, principal: Principal, tenant_id: str, change: TenantChange, *, origin: str | None
    ) -> Tenant:
        """Audited. Raises NotFound (absent, or of another partner), InvalidInput (an engine there is not)."""
        _require_level(principal, Owner.OPERATOR, Owner.PARTNER)
        if not any(tenant.id == tenant_id for tenant in await self.tenants(principal)):
            raise NotFound("no such tenant")
        async with self._database.tenant_tx(tenant_id) as tx:
            unknown = change.engines - {engine.name for engine in await tx.catalog.engines()}
            if unknown:
                raise InvalidInput.of("engines", f"there is no engine {', '.join(sorted(unknown))}")
            before = {name: getattr(tx.tenant, name) for name in change.given}
            await tx.audit.record(
                actor=principal.actor,
                action="tenant.change",
                subject=tenant_id,
                origin=origin,
                before=before,
                after=change.given,
            )
        return await self._database.platform.change_tenant(tenant_id, change)

    async def create_api_key(
        self,
        principal: Principal,
        name: str,
        *,
        scopes: Sequence[Scope],
        tenant_id: str | None,
        partner_id: str | None,
        expires_at: datetime | None,
    ) -> NewApiKey:
        """A key of a tenant, of a partner, or (neither) of the platform. Raises InvalidInput, NotFound."""
        _require_level(principal, Owner.OPERATOR, Owner.PARTNER)
        principal.require(*scopes)
        if tenant_id is not None and partner_id is not None:
            raise InvalidInput.of("partner_id", "a key belongs to a tenant or to a partner, not to both")
        if expires_at is not None and expires_at <= self._clock():
            raise InvalidInput.of("expires_at", "is in the past")
        if principal.partner_id is not None:
            await self._require_own(principal, tenant_id, partner_id)
        return await self._database.platform.create_api_key(
            name,
            scopes=[scope.value for scope in scopes],
            tenant_id=tenant_id,
            partner_id=partner_id,
            expires_at=expires_at,
        )

    async def _require_own(self, principal: Principal, tenant_id: str | None, partner_id: str | None) -> None:
        if tenant_id is None:
            if partner_id != principal.partner_id:
                raise Forbidden("a partner makes keys for itself and for its own tenants only")
            return
        async with self._database.tenant_tx(tenant_id) as tx:
            if tx.tenant.partner_id != principal.partner_id:
                raise NotFound("no such tenant")


def _require_level(principal: Principal, *levels: Owner) -> None:
    if principal.level not in levels:
        raise Forbidden(f"this is for keys of the {' or '.join(level.value for level in levels)}")
