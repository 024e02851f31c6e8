"""CSV and TSV cut into rows as they are read, with whatever dialect and character set they were written in."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from domain.errors import InvalidInput, TooLarge
from engines.formats.charsets import codec_of, most_likely

LARGEST_ROW = 4 * 1024 * 1024
"""Characters of one row, all its lines together: a message has one million at most."""

MOST_COLUMNS = 1000

_HEAD = 65_536
_SHOWN = 1000
_WIDE = ("utf-16", "utf-32", "utf-7")
_OPEN = "has a quotation mark that does not end"
_DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"')
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_CANNOT_DECODE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Row:
    """One row: its values by column, or why there are none.

    number: 1, 2, 3 … below the header. line: of its first line in the file. raw: its bytes as they came.
    """

    number: int
    line: int
    values: dict[str, str]
    raw: bytes
    trouble: str | None = None


class Table:
    """A table read once. Raises InvalidInput when it has no header, or not the one of a table.

    Columns without a name, or with one that has been there, are told apart by their number.
    charset, delimiter: as its sender says; found out when None. line: where its only row stood before it was cut out.
    """

    def __init__(
        self,
        body: BinaryIO,
        *,
        charset: str | None = None,
        delimiter: str | None = None,
        line: int | None = None,
    ) -> None:
        self._line = line
        head = _head(body)
        if not head.strip(b"\xef\xbb\xbf \t\r\n"):
            raise InvalidInput.of("body", "is empty")
        self.charset = charset_of(head, charset)
        if b"\0" in head and not self.charset.startswith(_WIDE):
            raise InvalidInput.of("body", "is no table of text: it holds the character NUL")
        errors = "replace" if self.charset.startswith(_WIDE) else "surrogateescape"
        text = io.TextIOWrapper(
            io.BufferedReader(_Joined(head, body)), encoding=self.charset, errors=errors, newline=""
        )
        self._lines = _Lines(text)
        first = self._lines.peek()
        separator = _SEPARATOR_LINE.fullmatch(first)
        if separator:
            next(self._lines)
            first = self._lines.peek()
        self.delimiter = delimiter or (separator[1] if separator else _delimiter(first))
        self.header = b""
        self.columns = self._read_header()

    def rows(self) -> Iterator[Row]:
        """Every row that is not blank, in order."""
        number = 0
        for fields, line, raw, trouble in self._records():
            if trouble is None and not any(field.strip() for field in fields):
                continue
            number += 1
            yield self._row(number, line, fields, raw, trouble)

    def _row(self, number: int, line: int, fields: list[str], raw: str, trouble: str | None) -> Row:
        data, line = self._bytes(raw), self._line or line
        while len(fields) > len(self.columns) and not fields[-1].strip():
            fields.pop()
        undecodable = _CANNOT_DECODE.search(raw) if trouble is None else None
        if undecodable:
            at = len(raw[: undecodable.start()].encode(self.charset, "surrogateescape")) + 1
            trouble = f"is not {self.charset.upper()}, as the table is: see byte {at} of the row"
        elif trouble is None and len(fields) != len(self.columns):
            trouble = f"has {len(fields)} fields, the header has {len(self.columns)}"
        if trouble is not None:
            return Row(number, line, {}, data, f"the row at line {line} {trouble}")
        return Row(number, line, dict(zip(self.columns, fields, strict=True)), data)

    def _read_header(self) -> tuple[str, ...]:
        fields, _, raw, trouble = next(self._records(), ([], 0, "", None))
        if trouble is not None:
            raise InvalidInput.of("body", f"has no header that can be read: it {trouble}")
        if _CANNOT_DECODE.search(raw):
            raise InvalidInput.of("body", f"has a header that is not {self.charset.upper()}")
        if not any(field.strip() for field in fields):
            raise InvalidInput.of("body", "has no header")
        if len(fields) > MOST_COLUMNS:
            raise InvalidInput.of("body", f"has more than {MOST_COLUMNS:,} columns")
        self.header = self._bytes(raw)
        names: dict[str, None] = {}
        for number, field in enumerate(fields, start=1):
            name = " ".join(field.split()) or f"column {number}"
            if name in names:
                name = f"{name} ({number})"
            names[name] = None
        return tuple(names)

    def _records(self) -> Iterator[tuple[list[str], int, str, str | None]]:
        """(fields, first line, text, what is wrong). A quote that does not end spoils its own line only."""
        while True:
            line = self._lines.begin()
            reader = csv.reader(self._lines, delimiter=self.delimiter, strict=False)
            try:
                fields = next(reader)
            except StopIteration:
                return
            except _RowTooLong:
                raw = self._lines.give_back()
                yield [], line, raw, _OPEN if len(raw) < _SHOWN else "is too long"
            except csv.Error:
                yield [], line, self._lines.give_back(), "is not written as a row of a table"
            else:
                if self._lines.ended:
                    yield [], line, self._lines.give_back(), _OPEN
                else:
                    yield fields, line, self._lines.taken(), None

    def _bytes(self, text: str) -> bytes:
        try:
            return text.encode(self.charset, "surrogateescape")
        except UnicodeError:
            return text.encode(self.charset, "replace")


def charset_of(head: bytes, said: str | None) -> str:
    """The codec of a table. Rows that are not in it are told one by one, so what most of the first lines are counts."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    named = codec_of(said)
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if named is not None:
        return f"{named}-le" if named in ("utf-16", "utf-32") else named  # without a mark that says which end first
    good, bad = 0, []
    for line in head.splitlines():
        if line.isascii():
            continue
        try:
            line.decode()
        except UnicodeDecodeError:
            bad.append(line)
        else:
            good += 1
    if good >= len(bad):
        return "utf-8"
    return most_likely(b"\n".join(bad))


def _delimiter(header: str) -> str:
    bare = _QUOTED.sub("", header[:_HEAD])
    return max(_DELIMITERS, key=lambda one: (bare.count(one), -_DELIMITERS.index(one)))


def _head(body: BinaryIO) -> bytes:
    head = b""
    while len(head) < _HEAD and (chunk := body.read(_HEAD - len(head))):
        head += chunk
    return head


class _RowTooLong(Exception):
    pass


class _Lines:
    """Lines for a csv reader. Those of a row that turns out to be none are given back, but for the first."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._waiting: list[str] = []  # the next one last
        self._row: list[str] = []
        self._size = 0
        self._before = 0
        self.ended = False
        """Whether a row asked for a line that there is not: a quotation mark is open."""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._pull()
        if not line:
            self.ended = True
            raise StopIteration
        self._row.append(line)
        self._size += len(line)
        if self._size > LARGEST_ROW:
            raise _RowTooLong
        return line

    def peek(self) -> str:
        """The next line, which stays the next one."""
        line = self._pull()
        if len(line) > LARGEST_ROW:
            raise TooLarge.of("body", f"has a first line of more than {LARGEST_ROW:,} characters")
        self._waiting.append(line)
        return line

    def begin(self) -> int:
        """A new row begins; answers the number of its first line."""
        self._before += len(self._row)
        self._row, self._size, self.ended = [], 0, False
        return self._before + 1

    def taken(self) -> str:
        """The row's text."""
        return "".join(self._row)

    def give_back(self) -> str:
        """The text of the row's first line; the others come again. What is too long for a row is passed over."""
        first, *others = self._row
        self._row = [first]
        self._waiting.extend(reversed(others))
        if len(first) <= LARGEST_ROW:
            return first
        rest = first
        while rest and not rest.endswith("\n"):
            rest = self._pull()
        return first[:_SHOWN]

    def _pull(self) -> str:
        if self._waiting:
            return self._waiting.pop()
        try:
            return self._text.readline(LARGEST_ROW + 1)
        except UnicodeError:
            raise InvalidInput.of("body", f"is not {self._text.encoding.upper()}") from None


class _Joined(io.RawIOBase):
    """A body whose first bytes have been read."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._head:
            part, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            part = self._rest.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)


csv.field_size_limit(LARGEST_ROW + 1)  # of the whole process; rows are bounded here before a field can be
