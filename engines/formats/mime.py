"""MIME messages cut into parts, whatever is broken in them, in time and memory that grow with their length only.

The standard library reads heads, encoded words and transfer encodings; it is given nothing that it takes long for. Its
own parser of whole messages compares each line with the boundary of every part around it, and calls itself for each.
"""

import re
from binascii import Error as BinasciiError
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32

from engines.formats.charsets import Decoded, decoded

DEEPEST = 20
MOST_PARTS = 1000

_LONGEST_HEAD = 1024 * 1024
_LONGEST_VALUE = 8_000
_LONG_HEADERS = {"to": 1_000_000, "cc": 1_000_000, "references": 100_000}
_HEADER_LINE = re.compile(rb"[!-9;-~]{1,200}:")
_HEAD_END = re.compile(rb"\r?\n[ \t]*\r?\n|\r\r")
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_LEADING = re.compile(rb"(?:[ \t]*\r?\n)+")
_LIKELY_BOUNDARY = re.compile(rb"\n--([!-~][^\r\n]{0,69}?)[ \t]*\r?\n")


class Head:
    """The headers of a message or part: unfolded, decoded, cut to a sensible length."""

    def __init__(self, data: bytes) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in BytesHeaderParser(policy=compat32).parsebytes(data).raw_items():
            key = name.lower()
            kept = self._values.setdefault(key, [])
            if len(kept) < 50:
                kept.append(str(value)[: _LONG_HEADERS.get(key, _LONGEST_VALUE)])

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def all(self, name: str) -> list[str]:
        """The values of every header of the name (lower case), on one line each, encoded words as they came."""
        return [_one_line(_readable(value)) for value in self._values.get(name, ())]

    def get(self, name: str) -> str:
        """The first of them, "" when there is none."""
        return next(iter(self.all(name)), "")

    def text(self, name: str) -> str:
        """As `get`, encoded words decoded."""
        return _one_line(decode_words(self.get(name)))

    def parameter(self, name: str, parameter: str) -> str | None:
        """A parameter of a header such as `charset` of content-type."""
        holder = Message()
        holder[name] = self.get(name)
        try:
            found = holder.get_param(parameter, header=name)
            if isinstance(found, tuple):
                charset, _, encoded = found
                found = decoded(encoded.encode("latin-1", "replace"), charset).text
        except (MessageError, ValueError, LookupError, TypeError, IndexError, AttributeError):
            return None
        return _one_line(decode_words(str(found))) if found else None

    @property
    def content_type(self) -> str:
        holder = Message()
        if "content-type" in self:
            holder["content-type"] = self.get("content-type")
        return holder.get_content_type()


@dataclass
class Part:
    """A part of a message: its head, and where its body is in `data`. children: of a multipart."""

    data: bytes = field(repr=False)
    head: Head
    start: int
    end: int
    children: list["Part"] = field(default_factory=list)

    @property
    def content_type(self) -> str:
        return self.head.content_type

    @property
    def file_name(self) -> str | None:
        return self.head.parameter("content-disposition", "filename") or self.head.parameter("content-type", "name")

    @property
    def is_attached(self) -> bool:
        return self.head.get("content-disposition").partition(";")[0].strip().lower() == "attachment"

    @property
    def size(self) -> int:
        """Bytes of what the part holds, told by its length: nothing is decoded for it."""
        length = self.end - self.start
        if self._encoding == "base64":
            breaks = self.data.count(b"\n", self.start, self.end) + self.data.count(b"\r", self.start, self.end)
            padding = self.data[max(self.start, self.end - 6) : self.end].count(b"=")
            return max(0, (length - breaks) * 3 // 4 - padding)
        return length

    def text(self) -> Decoded:
        """The text of a text part."""
        data = self.data[self.start : self.end]
        if self._encoding == "base64":
            data = _from_base64(data)
        elif self._encoding == "quoted-printable":
            data = a2b_qp(data)
        elif self._encoding in ("x-uuencode", "uuencode", "x-uue"):
            holder = Message()
            holder["content-transfer-encoding"] = self._encoding
            holder.set_payload(data.decode("ascii", "surrogateescape"))
            unpacked = holder.get_payload(decode=True)
            data = unpacked if isinstance(unpacked, bytes) else data
        return decoded(data, self.head.parameter("content-type", "charset"))

    def walk(self) -> Iterator["Part"]:
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def _encoding(self) -> str:
        return self.head.get("content-transfer-encoding").partition(";")[0].strip().lower()


class Cutter:
    """Cuts one message. broken: something had to be guessed; left_out: there was more than is read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._parts = 0
        self.broken = False
        self.left_out = False

    def message(self) -> Part:
        start = 0
        if self._data.startswith(b"From "):  # a mailbox's separator
            start = self._data.find(b"\n") + 1
        return self._part(start, len(self._data), 0)

    def _part(self, start: int, end: int, depth: int) -> Part:
        self._parts += 1
        blank = _LEADING.match(self._data, start, end) if depth == 0 else None
        head, body = self._split(blank.end() if blank else start, end)
        part = Part(self._data, Head(head), min(body, end), end)
        if part.content_type.startswith("multipart/"):
            self._cut(part, depth)
        return part

    def _split(self, start: int, end: int) -> tuple[bytes, int]:
        """The head's bytes and where the body begins. Lines in a head that are none are left out; after the last header
        they begin the body."""
        found = _HEAD_END.search(self._data, max(0, start - 1), end)
        if found is not None and found.end() <= start + 2 and not _HEADER_LINE.match(self._data, start, end):
            return b"", max(found.end(), start)  # a part without any header begins with a blank line
        head_end, body = (found.start(), found.end()) if found is not None else (end, end)
        lines = self._data[start : min(head_end, start + _LONGEST_HEAD)].splitlines(keepends=True)
        self.left_out = self.left_out or head_end - start > _LONGEST_HEAD
        good = [
            bool(_HEADER_LINE.match(line)) or (line[:1] in b" \t" and number > 0) for number, line in enumerate(lines)
        ]
        if not all(good):
            self.broken = True
            last = max((number for number, fits in enumerate(good) if fits), default=-1)
            if last < len(lines) - 1:
                body = start + sum(len(line) for line in lines[: last + 1])
            lines = [line for line, fits in zip(lines[: last + 1], good, strict=False) if fits]
        return b"".join(lines), body

    def _cut(self, part: Part, depth: int) -> None:
        if depth >= DEEPEST:
            self.left_out = True
            return
        boundary = (part.head.parameter("content-type", "boundary") or "").encode("utf-8", "replace")
        edges = self._edges(boundary, part) if boundary else []
        if not edges:
            self.broken = True
            likely = _LIKELY_BOUNDARY.search(self._data, max(0, part.start - 1), part.end)
            edges = self._edges(likely[1], part) if likely else []
        if not edges:
            return
        for (_, start), (end, _) in zip(edges, [*edges[1:], (part.end, part.end)], strict=True):
            if self._parts >= MOST_PARTS:
                self.left_out = True
                return
            if start < part.end:
                part.children.append(self._part(start, max(start, end), depth + 1))

    def _edges(self, boundary: bytes, part: Part) -> list[tuple[int, int]]:
        """(where the line before ends, where the part after begins) of each boundary that opens a part; the closing one
        ends the last."""
        line = re.compile(rb"\r?\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
        edges: list[tuple[int, int]] = []
        for found in line.finditer(self._data, max(0, part.start - 2), part.end):
            after = self._data.find(b"\n", found.end(), part.end)
            edges.append((found.start(), part.end if found[1] or after < 0 else after + 1))
            if found[1] or len(edges) > MOST_PARTS:
                break
        return edges


def decode_words(text: str) -> str:
    """Encoded words (RFC 2047) as what they stand for; what is none stays."""
    if "=?" not in text:
        return text
    try:
        chunks = decode_header(text[:_LONGEST_VALUE])
    except (MessageError, BinasciiError, ValueError):
        return text
    words = [chunk if isinstance(chunk, str) else decoded(chunk, charset).text for chunk, charset in chunks]
    return "".join(words)


def _from_base64(data: bytes) -> bytes:
    """What can be read of base64: up to its padding, after which lists put their footers."""
    digits = _NO_BASE64.sub(b"", data.partition(b"=")[0])
    whole = len(digits) - (len(digits) % 4 == 1)
    return a2b_base64(digits[:whole] + b"=" * (-whole % 4))


def _readable(value: str) -> str:
    """A raw header; its bytes beyond ASCII came escaped."""
    return value if value.isascii() else decoded(value.encode("utf-8", "surrogateescape"), None).text


def _one_line(value: str) -> str:
    return " ".join(value.replace("\0", "").split())
