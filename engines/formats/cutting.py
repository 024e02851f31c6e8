"""JSON cut into items as it is read: one object, a list of them, or one a line (NDJSON)."""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from domain.errors import InvalidInput, TooLarge
from domain.strict_json import MalformedBody

CHUNK = 262_144
LARGEST_ITEM = 32 * 1024 * 1024
"""Bytes of one item; a thread of 20,000 messages has some 10 MB."""

DEEPEST = 500

_BOM = b"\xef\xbb\xbf"
_AT_THE_TOP = re.compile(rb'["{}\[\],]')
_INSIDE = re.compile(rb'["{}\[\]]')
_IN_STRING = re.compile(rb'["\\]')
_BLANKS = b" \t\r\n"
_NOT_BLANK = re.compile(rb"[^ \t\r\n]")


def json_items(body: BinaryIO, *, lines: bool = False) -> Iterator[bytes]:
    """The items' bytes, in order. lines: it is said to be NDJSON.

    A body that begins with `[` is a list, and its elements are the items. Else each line is one, or each object where
    the first does not end on its line. A line that is no JSON is an item too: reading it will say what is wrong. Memory
    is bounded by the largest item. Raises InvalidInput when the body is empty, MalformedBody for a list that does not
    end or that goes on after its end, TooLarge for an item over LARGEST_ITEM.
    """
    source = _Source(body)
    first = source.skip_blanks()
    if first is None:
        raise InvalidInput.of("body", "is empty")
    if first == b"[" and not lines:
        yield from _elements(source)
    elif lines or source.is_one_a_line():
        yield from _lines(source)
    else:
        yield from _values(source)


class _Source:
    """A window on the body: what is not taken yet, filled as needed."""

    def __init__(self, body: BinaryIO) -> None:
        self._body = body
        self.window = bytearray()
        self.ended = False
        while len(self.window) < len(_BOM) and self._fill():
            pass
        if self.window.startswith(_BOM):
            del self.window[: len(_BOM)]

    def _fill(self) -> bool:
        chunk = b"" if self.ended else self._body.read(CHUNK)
        self.ended = self.ended or not chunk
        self.window += chunk
        return bool(chunk)

    def skip_blanks(self) -> bytes | None:
        """The next byte that is not blank, not taken; None at the end."""
        while True:
            found = _NOT_BLANK.search(self.window)
            if found is not None:
                del self.window[: found.start()]
                return bytes(self.window[:1])
            self.window.clear()
            if not self._fill():
                return None

    def is_one_a_line(self) -> bool:
        """Whether the first line is an item for itself: it ends as an object does, or the next one begins as one."""
        while (end := self.window.find(b"\n")) < 0 or end + 2 >= len(self.window):
            if len(self.window) > LARGEST_ITEM or not self._fill():
                break
        if end < 0:
            return False
        ended, _ = _Scanner(b"")(self.window[:end], 0)
        if ended is not None:
            return not self.window[ended:end].strip(_BLANKS)
        return self.window[end + 1 : end + 3] == b'{"' and not self.window[:end].rstrip(_BLANKS).endswith((b":", b","))

    def take_until(self, end_of: Callable[[bytearray, int], tuple[int | None, int]]) -> tuple[bytes, bool]:
        """Bytes up to the end that `end_of` finds, looking from where it had looked to, and whether there was one."""
        at = 0
        while True:
            end, at = end_of(self.window, at)
            if end is not None:
                return self.drop(end), True
            if len(self.window) > LARGEST_ITEM:
                raise TooLarge.of("body", f"holds an item of more than {LARGEST_ITEM // 1024 // 1024} MB")
            if not self._fill():
                return self.drop(len(self.window)), False

    def drop(self, count: int) -> bytes:
        taken = bytes(self.window[:count])
        del self.window[:count]
        return taken


class _Scanner:
    """Finds where a JSON value ends, across chunks."""

    def __init__(self, ends: bytes) -> None:
        self._ends = ends
        self._depth = 0
        self._in_string = False

    def __call__(self, window: bytearray, at: int) -> tuple[int | None, int]:
        while True:
            pattern = _IN_STRING if self._in_string else _INSIDE if self._depth else _AT_THE_TOP
            found = pattern.search(window, at)
            if found is None:
                return None, len(window)
            start = found.start()
            mark = window[start : start + 1]
            if mark == b"\\":
                if start + 1 >= len(window):
                    return None, start  # what is escaped comes with the next chunk
                at = start + 2
                continue
            at = start + 1
            if mark == b'"':
                self._in_string = not self._in_string
            elif mark in b"{[":
                self._depth += 1
                if self._depth > DEEPEST:
                    raise MalformedBody.of("body", "is nested too deeply")
            elif mark in b"}]" and self._depth:
                self._depth -= 1
                if not self._depth and not self._ends:
                    return at, at
            elif not self._depth and mark in self._ends:
                return start, start


def _elements(source: _Source) -> Iterator[bytes]:
    source.drop(1)
    if source.skip_blanks() == b"]":
        source.drop(1)
    else:
        more = True
        while more:
            element, ended = source.take_until(_Scanner(b",]"))
            if not ended:
                raise MalformedBody.of("body", "is a list that does not end")
            more = source.drop(1) == b","
            yield element.strip(_BLANKS)
    if source.skip_blanks() is not None:
        raise MalformedBody.of("body", "goes on after the end of its list")


def _lines(source: _Source) -> Iterator[bytes]:
    while source.skip_blanks() is not None:
        line, _ = source.take_until(_line_end)
        yield line.strip(_BLANKS)


def _values(source: _Source) -> Iterator[bytes]:
    first = source.skip_blanks()
    while first is not None:
        item, _ = source.take_until(_Scanner(b"") if first == b"{" else _line_end)
        yield item.strip(_BLANKS)
        first = source.skip_blanks()


def _line_end(window: bytearray, at: int) -> tuple[int | None, int]:
    found = window.find(b"\n", at)
    return (found, found) if found >= 0 else (None, len(window))
