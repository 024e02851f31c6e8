"""Audio handed in before its conversation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from api.auth import Require
from api.body import JsonBody, Received, declared_length, stream_body, too_large
from api.deps import IdempotencyKey, Ingester, IngesterWithRoom, Services, UploadId
from api.idempotency import once
from api.links import upload_url
from api.schemas.uploads import UploadIn, UploadOpenOut, UploadOut
from services.authenticate import Scope

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

_SMALL = 64 * 1024


@router.post("", status_code=201, response_model=UploadOpenOut)
async def open_upload(
    request: Request,
    caller: IngesterWithRoom,
    services: Services,
    body: Annotated[Received[UploadIn], Depends(JsonBody(UploadIn, limit=_SMALL))],
    key: IdempotencyKey = None,
) -> Response:
    """Announce an audio file; the answer says where to put it."""

    async def open_() -> tuple[int, BaseModel]:
        opened = await services.uploads.open(caller.tenant_id, size=body.value.size, sha256=body.value.sha256)
        return 201, UploadOpenOut(
            id=opened.upload.id,
            url=upload_url(services, opened.upload.id, opened.token),
            expires_at=opened.expires_at,
        )

    return await once(request, caller, body.raw, open_)


@router.put(
    "/{upload_id}", response_model=UploadOut, openapi_extra={"x-bytes": ["application/octet-stream"], "x-token": True}
)
async def put_upload(
    request: Request,
    upload_id: UploadId,
    services: Services,
    token: Annotated[
        str | None, Query(max_length=400, description="From the upload's url; or send an API key instead.")
    ] = None,
) -> UploadOut:
    """Send the bytes. They must be audio, of the size and SHA-256 announced; sending them again is harmless."""
    if token is not None:
        tenant_id = services.uploads.tenant_of(token, upload_id)
    else:
        tenant_id = (await Require(Scope.INGEST)(request)).tenant_id
    length = declared_length(request)
    if length is not None and length > services.uploads.max_bytes:
        raise too_large(services.uploads.max_bytes)
    upload = await services.uploads.receive(tenant_id, upload_id, stream_body(request), content_length=length)
    return UploadOut.model_validate({name: getattr(upload, name) for name in UploadOut.model_fields})


@router.get("/{upload_id}", response_model=UploadOut)
async def get_upload(upload_id: UploadId, caller: Ingester, services: Services) -> UploadOut:
    """Whether the bytes have come, and what they are."""
    upload = await services.uploads.get(caller.tenant_id, upload_id)
    return UploadOut.model_validate({name: getattr(upload, name) for name in UploadOut.model_fields})
