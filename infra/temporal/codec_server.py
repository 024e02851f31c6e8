"""The codec endpoint: the Temporal Web UI and CLI send sealed payloads and show what comes back.

    app.mount("/temporal-codec", codec_app(codec, authorize, origins=["http://127.0.0.1:8233"]))

`POST …/decode`, a JSON `Payloads` in and out. What it opens holds ids and small facts, never texts, and still only an
operator may ask: every request is authorized, browsers by the origins given.
"""

from collections.abc import Awaitable, Callable, Sequence

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payload, Payloads

from domain.errors import Forbidden, ParleyError, TooLarge, Unauthenticated
from infra.temporal.codec import PayloadUnreadable, SealingCodec

MAX_BODY_BYTES = 8 * 1024 * 1024

Authorize = Callable[[Request], Awaitable[None]]
"""Lets an operator pass; raises Unauthenticated or Forbidden for anybody else."""

_STATUS: dict[type[ParleyError], int] = {Unauthenticated: 401, Forbidden: 403, TooLarge: 413}


def codec_app(codec: SealingCodec, authorize: Authorize, *, origins: Sequence[str] = ()) -> Starlette:
    """The endpoint as an application to mount. `origins`: where the Web UI is served from, exactly."""

    async def decode(request: Request) -> Response:
        try:
            await authorize(request)
            payloads = Parse(await _body(request), Payloads())
        except ParleyError as error:
            return JSONResponse({"error": error.title}, _STATUS.get(type(error), 500))
        except (ParseError, UnicodeDecodeError):
            return JSONResponse({"error": "the body is not a JSON Payloads message"}, 400)
        opened = Payloads(payloads=[_opened(codec, payload) for payload in payloads.payloads])
        return Response(MessageToJson(opened), media_type="application/json")

    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["POST"],
        allow_headers=["content-type", "x-namespace", "authorization"],
        allow_credentials=True,
    )
    return Starlette(routes=[Route("/decode", decode, methods=["POST"])], middleware=[cors])


def _opened(codec: SealingCodec, payload: Payload) -> Payload:
    """What cannot be opened is shown as it is: one payload of an old key must not hide the others of a history."""
    try:
        return codec.open_all([payload])[0]
    except PayloadUnreadable:
        return payload


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge("the body is too large")
    return bytes(body)
