"""Reading request bodies: capped while they come, strict JSON, errors that name the place."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel

from domain.errors import ParleyError, TooLarge, UnsupportedMedia
from domain.strict_json import MalformedBody, parse_json, validate

M = TypeVar("M", bound=BaseModel)

IDLE_SECONDS = 30.0
"""How long a sender may be silent in the middle of a body."""

_THREAD_BYTES = 256 * 1024  # from here on parsing would hold up the event loop for milliseconds
_JSON_TYPE = re.compile(r"application/([a-z0-9.!#$&^_-]+\+)?json")


class BodyTimeout(ParleyError):
    """The sender stopped in the middle of the body."""

    code = "body_timeout"
    title = "The body did not come in time"
    retryable = True


class Gone(ParleyError):
    """The sender hung up in the middle of the body: nobody reads the answer."""

    code = "client_gone"
    title = "The client went away"


def declared_length(request: Request) -> int | None:
    """Content-Length, None when the body comes in chunks. Raises MalformedBody."""
    value = request.headers.get("content-length")
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise MalformedBody.of("Content-Length", "is not a number of bytes")
    return int(value)


async def stream_body(request: Request, *, idle_seconds: float = IDLE_SECONDS) -> AsyncIterator[bytes]:
    """The body as it comes. Raises BodyTimeout, Gone."""
    receive = request.receive
    more = True
    while more:
        try:
            async with asyncio.timeout(idle_seconds):
                message = await receive()
        except TimeoutError:
            raise BodyTimeout(f"no bytes came for {idle_seconds:g} s") from None
        if message["type"] == "http.disconnect":
            raise Gone("the client went away")
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if chunk:
            yield chunk


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises TooLarge: at once when the declared length says so, else as soon as it is passed."""
    length = declared_length(request)
    if length is not None and length > limit:
        raise too_large(limit)
    return await collect(stream_body(request), limit)


async def collect(chunks: AsyncIterator[bytes], limit: int, field: str = "body") -> bytes:
    """Chunks put together. Raises TooLarge as soon as there are more than `limit` bytes."""
    found = bytearray()
    async for chunk in chunks:
        found += chunk
        if len(found) > limit:
            raise too_large(limit, field)
    return bytes(found)


def too_large(limit: int, field: str = "body") -> TooLarge:
    return TooLarge.of(field, f"is at most {limit} bytes")


def require_json(request: Request) -> None:
    """Raises UnsupportedMedia when the body is not said to be JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if _JSON_TYPE.fullmatch(media_type) is None:
        raise UnsupportedMedia.of("Content-Type", "is application/json")


class Received(Generic[M]):
    """A checked body and its bytes."""

    __slots__ = ("raw", "value")

    def __init__(self, value: M, raw: bytes) -> None:
        self.value = value
        self.raw = raw


class JsonBody(Generic[M]):
    """Dependency that reads, caps and checks a JSON body; the OpenAPI document finds the model here.

    `limit` None: the cap of the settings. `optional`: an empty body stands for `{}`.
    """

    multipart = False

    def __init__(self, model: type[M], *, limit: int | None = None, optional: bool = False) -> None:
        self.model = model
        self.limit = limit
        self.optional = optional

    async def __call__(self, request: Request) -> Received[M]:
        limit = self.limit if self.limit is not None else request.app.state.services.caps.max_body_bytes
        raw = await read_body(request, limit)
        if self.optional and not raw.strip():
            return Received(parse_model(self.model, b"{}"), b"{}")
        require_json(request)
        return Received(await parse_off_loop(self.model, raw), raw)


class JsonOrMultipart(JsonBody[M]):
    """As JsonBody; None for a multipart body, which the route reads as it comes."""

    multipart = True

    async def __call__(self, request: Request) -> Received[M] | None:  # type: ignore[override]
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return None
        require_json(request)
        return await super().__call__(request)


async def parse_off_loop(model: type[M], raw: bytes) -> M:
    """As `parse_model`; large bodies in a thread."""
    if len(raw) < _THREAD_BYTES:
        return parse_model(model, raw)
    return await asyncio.to_thread(parse_model, model, raw)


def parse_model(model: type[M], raw: bytes) -> M:
    """Raises MalformedBody (not JSON; says where), InvalidInput (not of the model; names the fields)."""
    return validate(model, parse_json(raw))
