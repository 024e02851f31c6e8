"""Reading request bodies: capped while they come, strict JSON, errors that name the place."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from domain.errors import FieldProblem, InvalidInput, ParleyError, TooLarge, UnsupportedMedia

M = TypeVar("M", bound=BaseModel)

IDLE_SECONDS = 30.0
"""How long a sender may be silent in the middle of a body."""

MAX_REPORTED = 50
"""Field problems named in one answer; more are counted only."""

FREE_TEXT = re.compile(r"(messages|transcript\.segments)\[\d+\]\.(words\[\d+\]\.)?(text|subject)")
"""Paths of texts that may hold NUL: they are cleaned when they are read (`domain.text`). Elsewhere it is refused."""

_THREAD_BYTES = 256 * 1024  # from here on parsing would hold up the event loop for milliseconds
_JSON_TYPE = re.compile(r"application/([a-z0-9.!#$&^_-]+\+)?json")
_INTEGER_BOUND = 2**63
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPED_NUL = re.compile(rb"\\u0000")
_SCALARS = frozenset({"str", "constrained-str", "int", "float", "bool", "none"})


class MalformedBody(InvalidInput):
    """The body is not the JSON or multipart it says it is."""

    code = "malformed_body"
    title = "The body cannot be read"


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


def validate(model: type[M], value: object) -> M:
    """Raises InvalidInput naming the fields."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False, include_input=False)) from None


# -- JSON ---------------------------------------------------------------------------------------------------


def parse_json(raw: bytes) -> Any:
    """The JSON value of a body, by RFC 8259 and no more generously.

    Refused besides syntax errors: NaN and Infinity, numbers no database holds, a key twice in one object, lone
    surrogates, NUL outside of free text, nesting without end. Raises MalformedBody, InvalidInput.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody.of("body", f"is not UTF-8 at byte {error.start}") from None
    try:
        value = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedBody.of("body", f"is not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise MalformedBody.of("body", "is nested too deeply") from None
    if _ESCAPED_SURROGATE.search(raw):
        _require_pairs(raw)
    if _ESCAPED_NUL.search(raw):
        _require_no_nul(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise MalformedBody.of("body", f"has the key {twice[:100]!r} twice in one object")
    return found


def _no_constant(name: str) -> float:
    raise MalformedBody.of("body", f"holds {name}, which is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise MalformedBody.of("body", f"holds the number {digits[:40]}, which is too large")
    return value


def _integer(digits: str) -> int:
    if len(digits) < 19:
        return int(digits)
    if len(digits) > 20 or not -_INTEGER_BOUND <= int(digits) < _INTEGER_BOUND:
        raise MalformedBody.of("body", f"holds the number {digits[:40]}, which is too large: send it as text")
    return int(digits)


def _require_pairs(raw: bytes) -> None:
    try:
        from_json(raw.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        if "surrogate" in str(error) or "hex escape" in str(error):
            raise MalformedBody.of("body", f"holds half a character: {error}") from None


def _require_no_nul(value: object) -> None:
    found = next(_nul_paths(value, ""), None)
    if found is not None:
        raise InvalidInput.of(found or "body", "holds the character NUL")


def _nul_paths(value: object, path: str) -> Iterator[str]:
    """Paths of the texts that hold NUL and may not."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if "\0" in key:
                yield path or "body"
            yield from _nul_paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _nul_paths(inner, f"{path}[{position}]")
    elif isinstance(value, str) and "\0" in value and FREE_TEXT.fullmatch(path) is None:
        yield path


# -- what is wrong with which field -------------------------------------------------------------------------


def invalid(errors: "list[ErrorDetails] | tuple[ErrorDetails, ...]", *, skip: int = 0) -> InvalidInput:
    """Pydantic's errors as one InvalidInput; `skip` leading parts of each location name no field (`body`, `query`)."""
    reasons: dict[str, str] = {}
    for error in errors:
        location = list(error["loc"][skip:])
        reason = error["msg"].removeprefix("Value error, ")
        if len(location) > 1 and location[-1] in _SCALARS:
            location.pop()  # the members of a union of scalars: one field, one reason
            if error["type"] == "string_too_long":
                reasons[field_path(location)] = reason
            reason = "is a text, a number, true or false"
        reasons.setdefault(field_path(location) or "body", reason[:300])
    problems = tuple(FieldProblem(field, reason) for field, reason in reasons.items())
    shown = problems[:MAX_REPORTED]
    more = f" and {len(problems) - MAX_REPORTED} more" if len(problems) > MAX_REPORTED else ""
    count = "1 field is" if len(problems) == 1 else f"{len(problems)} fields are"
    first = f"{shown[0].field}: {shown[0].reason}" if shown else ""
    return InvalidInput(f"{count} not valid{more}: {first}", shown)


def field_path(location: "list[int | str] | tuple[int | str, ...]") -> str:
    """`messages[3].at` of ("messages", 3, "at")."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part == "[key]":
            path += " (the key)"
        else:
            path += f".{part[:100]}" if path else part[:100]
    return path
