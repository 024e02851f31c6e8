"""Engines of a tenant, and under `/v1/platform` those of the operator or a partner, whose key asks."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from api.auth import Caller, origin_of
from api.body import JsonBody, Received
from api.deps import Configurer, IdempotencyKey, PlatformConfigurer, Reader, Services
from api.idempotency import once
from api.schemas.engines import CredentialsIn, EngineListOut, EngineOut, EngineTestOut
from domain.engine import EngineChange, NewEngine
from services.manage_engines import By

router = APIRouter(prefix="/v1", tags=["engines"])

_SMALL = 256 * 1024

EngineName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="The engine's name.")]
NewBody = Annotated[Received[NewEngine], Depends(JsonBody(NewEngine, limit=_SMALL))]
ChangeBody = Annotated[Received[EngineChange], Depends(JsonBody(EngineChange, limit=_SMALL))]
SecretBody = Annotated[Received[CredentialsIn], Depends(JsonBody(CredentialsIn, limit=_SMALL))]


@router.get("/engines", response_model=EngineListOut)
async def list_engines(caller: Reader, services: Services) -> EngineListOut:
    """The engines the tenant sees: its own, its partner's and the operator's."""
    found = await services.engines.seen(caller.tenant_id)
    return EngineListOut(items=[EngineOut.of(engine, caller.principal.level) for engine in found])


@router.post("/engines", status_code=201, response_model=EngineOut)
async def create_engine(
    request: Request, caller: Configurer, services: Services, body: NewBody, key: IdempotencyKey = None
) -> Response:
    """An engine of the tenant's own. It leaves the premises, needs credentials of its own (see below), and is at its
    provider's address or at a host the operator allowed. 409 when the name is taken, here or at a level above."""

    async def create() -> tuple[int, BaseModel]:
        made = await services.engines.create(caller.tenant_id, body.value, _by(caller))
        return 201, EngineOut.of(made, caller.principal.level)

    return await once(request, caller, body.raw, create)


@router.patch("/engines/{name}", response_model=EngineOut)
async def change_engine(name: EngineName, caller: Configurer, services: Services, body: ChangeBody) -> EngineOut:
    """Only what is given changes; in force for requests that begin from now on. 403 for a level above's."""
    changed = await services.engines.change(caller.tenant_id, name, body.value, _by(caller))
    return EngineOut.of(changed, caller.principal.level)


@router.put("/engines/{name}/credentials", response_model=EngineOut)
async def set_engine_credentials(
    name: EngineName, caller: Configurer, services: Services, body: SecretBody
) -> EngineOut:
    """Seals a secret for the engine, in the place of the one before. It is never shown again; running workers use it
    within ten seconds."""
    changed = await services.engines.set_credentials(caller.tenant_id, name, body.value.secret, _by(caller))
    return EngineOut.of(changed, caller.principal.level)


@router.post("/engines/{name}/test", response_model=EngineTestOut)
async def try_engine(
    request: Request, name: EngineName, caller: Configurer, services: Services, key: IdempotencyKey = None
) -> Response:
    """Sends a real small request and says what was seen. What the provider refuses is an answer too: `ok` is false."""

    async def test() -> tuple[int, BaseModel]:
        return 200, EngineTestOut.of(await services.engines.test(caller.tenant_id, name))

    return await once(request, caller, b"", test)


@router.get("/platform/engines", response_model=EngineListOut)
async def list_platform_engines(principal: PlatformConfigurer, services: Services) -> EngineListOut:
    """The engines of the caller's level, the operator's or a partner's."""
    found = await services.engines.seen_above(principal)
    return EngineListOut(items=[EngineOut.of(engine, principal.level) for engine in found])


@router.post("/platform/engines", status_code=201, response_model=EngineOut)
async def create_platform_engine(
    request: Request, principal: PlatformConfigurer, services: Services, body: NewBody
) -> EngineOut:
    """Seen by every tenant below, used by those that are set to it. 409 when the name is taken."""
    made = await services.engines.create_above(principal, body.value, origin_of(request))
    return EngineOut.of(made, principal.level)


@router.patch("/platform/engines/{name}", response_model=EngineOut)
async def change_platform_engine(
    request: Request, name: EngineName, principal: PlatformConfigurer, services: Services, body: ChangeBody
) -> EngineOut:
    changed = await services.engines.change_above(principal, name, body.value, origin_of(request))
    return EngineOut.of(changed, principal.level)


@router.put("/platform/engines/{name}/credentials", response_model=EngineOut)
async def set_platform_engine_credentials(
    request: Request, name: EngineName, principal: PlatformConfigurer, services: Services, body: SecretBody
) -> EngineOut:
    """As for a tenant's engine."""
    secret, origin = body.value.secret, origin_of(request)
    changed = await services.engines.set_credentials_above(principal, name, secret, origin)
    return EngineOut.of(changed, principal.level)


@router.post("/platform/engines/{name}/test", response_model=EngineTestOut)
async def try_platform_engine(name: EngineName, principal: PlatformConfigurer, services: Services) -> EngineTestOut:
    """As for a tenant's engine."""
    return EngineTestOut.of(await services.engines.test_above(principal, name))


def _by(caller: Caller) -> By:
    return By(caller.actor, caller.origin)
