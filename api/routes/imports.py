"""Bulk: a file of conversations handed in at once, and its report."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api import cursors
from api.auth import Caller
from api.body import declared_length, stream_body, too_large
from api.deps import IdempotencyKey, ImportId, Ingester, Services
from api.idempotency import once
from api.links import import_links
from api.routes.reading import PageQuery
from api.schemas.common import ListOut
from api.schemas.imports import ImportAcceptedOut, ImportListed, ImportOut, ImportQuery, ImportRowOut
from domain.import_formats import MEDIA_TYPES, import_form
from domain.imports import Import, RowOutcome
from services.facade import ApiServices

router = APIRouter(prefix="/v1/imports", tags=["imports"])


class RowQuery(PageQuery):
    state: RowOutcome | None = Field(default=None, description="Only rows with this outcome.")


@router.post("", status_code=202, response_model=ImportAcceptedOut, openapi_extra={"x-bytes": list(MEDIA_TYPES)})
async def hand_in_file(
    request: Request,
    caller: Ingester,
    services: Services,
    query: Annotated[ImportQuery, Query()],
    key: IdempotencyKey = None,
) -> Response:
    """Hand in a file of conversations.

    NDJSON with a body of `POST /v1/conversations` a line, or what the source sends: its own JSON (`format=json`), CSV,
    an email or an mbox, recordings (`format=recording`), or a tar archive of such files with their `format`. It is
    never refused for speed: it is read at a pace that live traffic does not notice. Every row is answered for in the
    report; handing the same file in again changes nothing.
    """
    new = query.of(request.headers.get("content-type"))
    import_form(new.content_type, new.format)  # refused before the bytes come
    length = declared_length(request)
    if length is not None and length > services.imports.max_bytes:
        raise too_large(services.imports.max_bytes)
    file = await services.imports.store(caller.tenant_id, stream_body(request))
    kept = False

    async def accept() -> tuple[int, BaseModel]:
        nonlocal kept
        made, started = await services.imports.create(caller.tenant_id, file, new, actor=caller.actor)
        kept = True
        links = import_links(services, made.id)
        return 202, ImportAcceptedOut(id=made.id, state=made.state, started=started, links=links)

    try:
        return await once(request, caller, f"{request.url.query}\n{file.sha256}".encode(), accept)
    finally:
        if not kept:  # refused or replayed: nothing refers to these bytes
            await services.imports.discard(caller.tenant_id, file)


@router.get("", response_model=ListOut[ImportListed])
async def list_imports(
    caller: Ingester, services: Services, query: Annotated[PageQuery, Query()]
) -> ListOut[ImportListed]:
    """Imports, newest first."""
    found = await services.imports.list(caller.tenant_id, limit=query.limit, after=cursors.decode(query.cursor))
    return ListOut[ImportListed](
        items=[ImportListed.of(each) for each in found.items], next_cursor=cursors.encode(found.next_after)
    )


@router.get("/{import_id}", response_model=ImportOut)
async def get_import(import_id: ImportId, caller: Ingester, services: Services) -> ImportOut:
    """How far an import is, what became of its rows, and how far the analysis of its conversations is."""
    return await _import_out(services, caller, import_id)


@router.get("/{import_id}/rows", response_model=ListOut[ImportRowOut])
async def list_import_rows(
    import_id: ImportId, caller: Ingester, services: Services, query: Annotated[RowQuery, Query()]
) -> ListOut[ImportRowOut]:
    """The report row by row, in the file's order; `state=failed` for those that were refused."""
    found = await services.imports.rows(
        caller.tenant_id,
        import_id,
        outcome=query.state,
        after=cursors.decode_row(query.cursor),
        limit=query.limit,
    )
    return ListOut[ImportRowOut](
        items=[ImportRowOut.of(row) for row in found.items], next_cursor=cursors.encode_row(found.next_after)
    )


@router.post("/{import_id}/pause", response_model=ImportOut)
async def pause_import(
    request: Request, import_id: ImportId, caller: Ingester, services: Services, key: IdempotencyKey = None
) -> Response:
    """Read no more rows for now. What was accepted is analysed all the same. 409 when it is over or has failed."""
    return await _change(request, services, caller, import_id, services.imports.pause)


@router.post("/{import_id}/resume", response_model=ImportOut)
async def resume_import(
    request: Request, import_id: ImportId, caller: Ingester, services: Services, key: IdempotencyKey = None
) -> Response:
    """Go on after the last row reported: after a pause, or after a failure once its cause is gone. 409 when it is
    over."""
    return await _change(request, services, caller, import_id, services.imports.resume)


@router.post("/{import_id}/cancel", response_model=ImportOut)
async def cancel_import(
    request: Request, import_id: ImportId, caller: Ingester, services: Services, key: IdempotencyKey = None
) -> Response:
    """End it for good. What was accepted stays; the file goes. 409 when it is completed."""
    return await _change(request, services, caller, import_id, services.imports.cancel)


async def _change(
    request: Request,
    services: ApiServices,
    caller: Caller,
    import_id: str,
    change: Callable[[str, str], Awaitable[Import]],
) -> Response:
    async def changed() -> tuple[int, BaseModel]:
        await change(caller.tenant_id, import_id)
        return 200, await _import_out(services, caller, import_id)

    return await once(request, caller, b"", changed)


async def _import_out(services: ApiServices, caller: Caller, import_id: str) -> ImportOut:
    report = await services.imports.report(caller.tenant_id, import_id)
    return ImportOut.of_report(report, import_links(services, import_id))
