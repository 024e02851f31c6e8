"""Fields and tasks: the catalogue, and what a tenant activates of it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from api.body import JsonBody, Received
from api.deps import Configurer, IdempotencyKey, Reader, Services, TaskSlug
from api.idempotency import once
from api.schemas.catalogue import ActivationIn, CustomFieldOut, FieldCatalogueOut, TaskCatalogueOut, TaskOut

router = APIRouter(prefix="/v1", tags=["catalogue"])

_MAX_SPEC = 512 * 1024


@router.get("/fields", response_model=FieldCatalogueOut)
async def list_fields(caller: Reader, services: Services) -> FieldCatalogueOut:
    """The Custom Fields the tenant sees: its own, its partner's and the operator's."""
    return FieldCatalogueOut(items=[CustomFieldOut.of(f) for f in await services.catalogue.fields(caller.tenant_id)])


@router.get("/tasks", response_model=TaskCatalogueOut)
async def list_tasks(caller: Reader, services: Services) -> TaskCatalogueOut:
    """The AI Tasks the tenant sees, and which of them are active."""
    return TaskCatalogueOut(items=[TaskOut.of(task) for task in await services.catalogue.tasks(caller.tenant_id)])


@router.post("/tasks/{slug}/activation", response_model=TaskOut)
async def activate_task(
    request: Request,
    slug: TaskSlug,
    caller: Configurer,
    services: Services,
    body: Annotated[Received[ActivationIn], Depends(JsonBody(ActivationIn, limit=_MAX_SPEC, optional=True))],
    key: IdempotencyKey = None,
) -> Response:
    """Let a task run for the tenant. 409 when another active task fills one of its fields."""

    async def activate() -> tuple[int, BaseModel]:
        listing = await services.catalogue.activate(
            caller.tenant_id,
            slug,
            version=body.value.version,
            override=body.value.override,
            actor=caller.actor,
            origin=caller.origin,
        )
        return 200, TaskOut.of(listing)

    return await once(request, caller, body.raw, activate)


@router.delete("/tasks/{slug}/activation", response_model=TaskOut)
async def deactivate_task(slug: TaskSlug, caller: Configurer, services: Services) -> TaskOut:
    """The task runs no more for the tenant; its values stay."""
    listing = await services.catalogue.deactivate(caller.tenant_id, slug, actor=caller.actor, origin=caller.origin)
    return TaskOut.of(listing)
