"""Setting up partners, tenants and API keys, for the operator and, for their own, partners.

These take no Idempotency-Key: a second partner or tenant of the same slug is refused anyway, and a key is shown once.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from api.auth import origin_of
from api.body import JsonBody, Received
from api.deps import AnyKey, PlatformConfigurer, PlatformOperator, Services
from api.schemas.platform import (
    ApiKeyIn,
    ApiKeyOut,
    MeOut,
    PartnerListOut,
    PartnerOut,
    PlatformStatusOut,
    TenantListOut,
    TenantOut,
)
from domain.ids import TENANT_ID_PATTERN
from domain.tenants import NewPartner, NewTenant, TenantChange

router = APIRouter(prefix="/v1", tags=["platform"])

_SMALL = 256 * 1024


@router.get("/me", response_model=MeOut)
async def who_am_i(principal: AnyKey) -> MeOut:
    """The key that asks, and what it may do."""
    return MeOut(
        key_id=principal.key_id,
        name=principal.name,
        level=principal.level,
        scopes=sorted(principal.scopes),
        tenant_id=principal.tenant_id,
        partner_id=principal.partner_id,
    )


@router.get("/platform/partners", response_model=PartnerListOut)
async def list_partners(principal: PlatformConfigurer, services: Services) -> PartnerListOut:
    found = await services.provision.partners(principal)
    return PartnerListOut(items=[PartnerOut(id=p.id, slug=p.slug, name=p.name) for p in found])


@router.post("/platform/partners", status_code=201, response_model=PartnerOut)
async def create_partner(
    principal: PlatformConfigurer,
    services: Services,
    body: Annotated[Received[NewPartner], Depends(JsonBody(NewPartner, limit=_SMALL))],
) -> PartnerOut:
    """409 when the slug is taken."""
    partner = await services.provision.create_partner(principal, body.value)
    return PartnerOut(id=partner.id, slug=partner.slug, name=partner.name)


@router.get("/platform/tenants", response_model=TenantListOut)
async def list_tenants(principal: PlatformConfigurer, services: Services) -> TenantListOut:
    """The tenants the key may act on."""
    found = await services.provision.tenants(principal)
    return TenantListOut(items=[_tenant(t) for t in found])


@router.post("/platform/tenants", status_code=201, response_model=TenantOut)
async def create_tenant(
    principal: PlatformConfigurer,
    services: Services,
    body: Annotated[Received[NewTenant], Depends(JsonBody(NewTenant, limit=_SMALL))],
) -> TenantOut:
    """Limits and retention are part of it: nothing is unlimited by accident. 409 when the slug is taken."""
    return _tenant(await services.provision.create_tenant(principal, body.value))


@router.patch("/platform/tenants/{tenant_id}", response_model=TenantOut)
async def change_tenant(
    request: Request,
    tenant_id: Annotated[str, Path(pattern=TENANT_ID_PATTERN, description="The tenant's id.")],
    principal: PlatformConfigurer,
    services: Services,
    body: Annotated[Received[TenantChange], Depends(JsonBody(TenantChange, limit=_SMALL))],
) -> TenantOut:
    """Name, time zone, languages, engines. Only what is given changes; in force within seconds."""
    changed = await services.provision.change_tenant(principal, tenant_id, body.value, origin=origin_of(request))
    return _tenant(changed)


@router.post("/platform/api-keys", status_code=201, response_model=ApiKeyOut)
async def create_api_key(
    principal: PlatformConfigurer,
    services: Services,
    body: Annotated[Received[ApiKeyIn], Depends(JsonBody(ApiKeyIn, limit=_SMALL))],
) -> ApiKeyOut:
    """The key is shown in this answer and never again. Nobody hands out a scope they do not have."""
    wanted = body.value
    issued = await services.provision.create_api_key(
        principal,
        wanted.name,
        scopes=wanted.scopes,
        tenant_id=wanted.tenant_id,
        partner_id=wanted.partner_id,
        expires_at=wanted.expires_at,
    )
    return ApiKeyOut(
        id=issued.id,
        key=issued.key.get_secret_value(),
        name=wanted.name,
        scopes=wanted.scopes,
        tenant_id=wanted.tenant_id,
        partner_id=wanted.partner_id,
        expires_at=wanted.expires_at,
    )


@router.get("/platform/status", response_model=PlatformStatusOut)
async def platform_status(principal: PlatformOperator, services: Services) -> PlatformStatusOut:
    """What waits where, what was given up and how far search is behind, over all tenants; for the platform's operators.

    A part that does not answer leaves its half out: `stored` without Postgres, `queues` without Temporal.
    """
    return PlatformStatusOut.of(await services.platform_status.of(principal))


def _tenant(tenant: object) -> TenantOut:
    return TenantOut.model_validate({name: getattr(tenant, name) for name in TenantOut.model_fields})
