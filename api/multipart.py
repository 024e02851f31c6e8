"""Multipart bodies read as they come: parts are streams, nothing is spooled to disk, memory is bounded."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING, Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from api.body import stream_body
from domain.strict_json import MalformedBody

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 32

_DATA, _END = "data", "end"


@dataclass
class Part:
    """One part. Its data is read before the next part is asked for; what is left unread is passed over."""

    name: str
    content_type: str | None
    data: AsyncIterator[bytes]


def boundary_of(request: Request) -> str:
    """Raises MalformedBody when the Content-Type names none."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    boundary = header.get_boundary()
    if not boundary or not boundary.isascii():
        raise MalformedBody.of("Content-Type", "names no boundary")
    return boundary


async def parts(request: Request, *, chunks: AsyncIterator[bytes] | None = None) -> AsyncGenerator[Part, None]:
    """The parts of a multipart/form-data body, in their order. Raises MalformedBody."""
    events = _Events(chunks or stream_body(request), boundary_of(request))
    for _ in range(MAX_PARTS):
        headers = await events.next_headers()
        if headers is None:
            return
        yield Part(_name(headers), headers.get("content-type"), events.data())
        await events.skip_data()
    raise MalformedBody.of("body", f"has more than {MAX_PARTS} parts")


class _Events:
    """What the push parser finds, to be pulled: headers of a part, then its data, then the next part's."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: str) -> None:
        self._chunks = chunks
        self._found: deque[tuple[str, Any]] = deque()
        self._headers: dict[str, str] = {}
        self._field, self._value = b"", b""
        self._complete = False
        self._in_part = False
        try:
            self._parser = MultipartParser(boundary.encode(), self._callbacks())
        except FormParserError:
            raise MalformedBody.of("Content-Type", "names no usable boundary") from None

    async def next_headers(self) -> dict[str, str] | None:
        """None at the end of the body."""
        event = await self._next()
        if event is None:
            return None
        kind, headers = event
        assert kind == "headers"
        self._in_part = True
        return dict(headers)

    async def data(self) -> AsyncIterator[bytes]:
        while self._in_part:
            event = await self._next()
            if event is None:
                raise MalformedBody.of("body", "ends in the middle of a part")
            kind, data = event
            if kind == _END:
                self._in_part = False
            else:
                yield data

    async def skip_data(self) -> None:
        async for _ in self.data():
            pass

    async def _next(self) -> tuple[str, Any] | None:
        while not self._found:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                if not self._complete:
                    raise MalformedBody.of("body", "ends before its last boundary")
                return None
            try:
                self._parser.write(chunk)
            except FormParserError:
                raise MalformedBody.of("body", "is not multipart/form-data with the boundary that is named") from None
        return self._found.popleft()

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": lambda: self._found.append(("headers", self._headers)),
            "on_part_data": lambda data, start, end: self._found.append((_DATA, data[start:end])),
            "on_part_end": lambda: self._found.append((_END, None)),
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._field, self._value = b"", b""

    def _finish(self) -> None:
        self._complete = True


def _name(headers: dict[str, str]) -> str:
    header = Message()
    header["content-disposition"] = headers.get("content-disposition", "")
    name = header.get_param("name", header="content-disposition")
    if not isinstance(name, str) or not name or len(name) > 100 or "\0" in name:
        raise MalformedBody.of("body", "has a part without a name")
    return name
