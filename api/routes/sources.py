"""Sources: how each connector's own form is to be taken, and raw events in that form."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from api.body import JsonBody, Received, read_body
from api.deps import Configurer, EventId, IdempotencyKey, Ingester, IngesterWithRoom, Operator, Services, SourceName
from api.idempotency import once
from api.schemas.sources import EventOut, SourceListOut, SourceOut, SourceRedrivenOut, TriedOut
from domain.sources import NewSource, SourceChange

router = APIRouter(prefix="/v1/sources", tags=["sources"])

_MAX_SETTINGS = 512 * 1024
_RAW = {"x-bytes": ["application/json", "message/rfc822", "text/csv", "application/octet-stream"]}


@router.get("", response_model=SourceListOut)
async def list_sources(caller: Configurer, services: Services) -> SourceListOut:
    """Every source of the tenant, those made on first sight too, and how they fare."""
    return SourceListOut(items=[SourceOut.of(seen) for seen in await services.sources.list(caller.tenant_id)])


@router.post("", status_code=201, response_model=SourceOut)
async def create_source(
    request: Request,
    caller: Configurer,
    services: Services,
    body: Annotated[Received[NewSource], Depends(JsonBody(NewSource, limit=_MAX_SETTINGS))],
    key: IdempotencyKey = None,
) -> Response:
    """Say how a connector's own form is to be taken. 409 when there is a source with the slug: change that."""

    async def create() -> tuple[int, BaseModel]:
        made = await services.sources.create(caller.tenant_id, body.value, actor=caller.actor, origin=caller.origin)
        return 201, SourceOut.of(made)

    return await once(request, caller, body.raw, create)


@router.get("/{source_id}", response_model=SourceOut)
async def get_source(source_id: SourceName, caller: Configurer, services: Services) -> SourceOut:
    """A source: its settings, when it was last seen, its events of the last 24 hours, the last error."""
    return SourceOut.of(await services.sources.get(caller.tenant_id, source_id))


@router.patch("/{source_id}", response_model=SourceOut)
async def change_source(
    source_id: SourceName,
    caller: Configurer,
    services: Services,
    body: Annotated[Received[SourceChange], Depends(JsonBody(SourceChange, limit=_MAX_SETTINGS))],
) -> SourceOut:
    """What is given changes, null takes a setting away. In force for what comes from now on, and for re-drives."""
    changed = await services.sources.change(
        caller.tenant_id, source_id, body.value, actor=caller.actor, origin=caller.origin
    )
    return SourceOut.of(changed)


@router.post("/{source_id}/test", response_model=TriedOut, openapi_extra=_RAW)
async def try_source(request: Request, source_id: SourceName, caller: Configurer, services: Services) -> TriedOut:
    """What the source would make of a raw body, and what is wrong with it. Nothing is stored."""
    await services.sources.get(caller.tenant_id, source_id)
    raw = await read_body(request, services.caps.max_body_bytes)
    items = await services.sources.test(caller.tenant_id, source_id, raw, _media_type(request))
    return TriedOut.of(list(items))


@router.post(
    "/{source_id}/events",
    status_code=202,
    response_model=EventOut,
    responses={200: {"model": EventOut, "description": "The same event is here already."}},
    openapi_extra=_RAW,
)
async def hand_in_event(
    request: Request, source_id: SourceName, caller: IngesterWithRoom, services: Services, key: IdempotencyKey = None
) -> Response:
    """Hand in an event in the sender's own form: JSON, an RFC 822 message, rows of a table.

    It is kept before the answer comes. What of it cannot be read is a dead letter, to be read again when the source's
    mapping was mended; that is no error of the sender, who need not send it again.
    """
    await services.events.source(caller.tenant_id, source_id)
    raw = await read_body(request, services.caps.max_body_bytes)

    async def receive() -> tuple[int, BaseModel]:
        receipt = await services.events.accept(caller.tenant_id, source_id, raw, _media_type(request))
        return (200 if receipt.repeated else 202), EventOut.of(receipt)

    return await once(request, caller, raw, receive)


@router.get("/{source_id}/events/{event_id}", response_model=EventOut)
async def get_event(source_id: SourceName, event_id: EventId, caller: Ingester, services: Services) -> EventOut:
    """What became of an event by now."""
    return EventOut.of(await services.events.get(caller.tenant_id, source_id, event_id))


@router.post("/{source_id}/redrive", response_model=SourceRedrivenOut)
async def redrive_source(
    request: Request, source_id: SourceName, caller: Operator, services: Services, key: IdempotencyKey = None
) -> Response:
    """Read the source's dead-lettered events again, as it is configured now: up to 50, call again for more."""

    async def redrive() -> tuple[int, BaseModel]:
        done = await services.events.redrive_source(caller.tenant_id, source_id, actor=caller.actor)
        return 200, SourceRedrivenOut(received=done.received, failed=done.failed, remaining=done.remaining)

    return await once(request, caller, b"", redrive)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "application/octet-stream")[:200]
