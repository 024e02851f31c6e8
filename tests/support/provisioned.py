"""A tenant with the starter library active, made as the product makes it."""

from collections.abc import Sequence

from domain.engine import EngineConfig
from domain.starter import STARTER_TASKS
from domain.tasks import TaskSpec
from domain.tenants import Limit, NewPartner, NewTenant, Retention, TenantLimits
from services import starter_library
from storage.postgres.provisioning import Provisioning
from storage.protocols import Database, Tenant

AMPLE = Limit(warn_at=1e9, stop_at=2e9)
LIMITS = TenantLimits(conversations=AMPLE, audio_minutes=AMPLE, requests=AMPLE, tokens=AMPLE, cost_usd=AMPLE)
RETENTION = Retention(audio_days=30, text_days=365, insight_days=730)


def new_tenant(slug: str, **changes: object) -> NewTenant:
    base: dict[str, object] = {
        "slug": slug,
        "name": slug.title(),
        "limits": LIMITS,
        "retention": RETENTION,
        "time_zone": "Europe/London",
        "languages": ("en",),
    }
    return NewTenant.model_validate(base | changes)


async def install_library(owner_url: str, engines: Sequence[EngineConfig] | None = None) -> None:
    """The operator's level: starter fields, tasks and engines."""
    async with Provisioning.connect(owner_url) as provisioning, provisioning.configuration() as configuration:
        if engines is None:
            await starter_library.install(configuration)
        else:
            await starter_library.install(configuration, engines)


async def provision(database: Database, slug: str, *, activate: bool = True, **changes: object) -> Tenant:
    """A partner's tenant with all starter tasks active."""
    partner = next((p for p in await database.platform.partners() if p.slug == "partner"), None)
    if partner is None:
        partner = await database.platform.create_partner(NewPartner(slug="partner", name="Partner"))
    tenant = await database.platform.create_tenant(new_tenant(slug, partner_id=partner.id, **changes))
    if activate:
        async with database.tenant_tx(tenant.id) as tx:
            for starter in STARTER_TASKS:
                await tx.catalog.activate(starter.task.id, starter.spec.version_id())
    return tenant


async def change_tasks(database: Database, tenant: Tenant, **changes: object) -> None:
    """The tenant's starter tasks, each with an override: `fuse=False` asks every one in a call of its own."""
    async with database.tenant_tx(tenant.id) as tx:
        for starter in STARTER_TASKS:
            override = TaskSpec.model_validate(starter.spec.model_dump() | changes)
            await tx.catalog.activate(starter.task.id, starter.spec.version_id(), override)
