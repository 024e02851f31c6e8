"""Idempotency-Key on every POST."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from api.auth import Caller
from services.facade import ApiServices
from services.idempotency import HEADER, Reply

REPLAYED = "Idempotent-Replayed"


async def once(
    request: Request, caller: Caller, content: bytes, answer: Callable[[], Awaitable[tuple[int, BaseModel]]]
) -> Response:
    """What `answer` (status, body) gives, or gave to an earlier request with the same key.

    `content` is what makes the request the same: its body, or for streamed bodies names and hashes of its parts.
    """

    async def reply() -> Reply:
        status, body = await answer()
        return Reply(status, body.model_dump_json().encode())

    services: ApiServices = request.app.state.services
    what = f"{request.method} {request.url.path}\n".encode() + content
    given = await services.idempotency.once(caller.tenant_id, request.headers.get(HEADER), what, reply)
    headers = {REPLAYED: "true"} if given.replayed else None
    return Response(given.body, given.status, headers, "application/json")
