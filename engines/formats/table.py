"""CSV and TSV: a row a payload, through the source's mapping."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.message import Message
from io import BytesIO
from typing import BinaryIO

from domain.arrivals import Arrival, RawItem
from domain.conversation import Note
from domain.errors import FieldProblem, InvalidInput
from domain.mapping import MessagesMapping, PeopleMapping, SegmentsMapping, SourceMapping
from domain.strict_json import MalformedBody
from engines.formats.canonical import JSON
from engines.formats.check import expressions_of
from engines.formats.expressions import BadExpression, compiled, first_names
from engines.formats.mapped import required
from engines.formats.rows import Table
from engines.formats.shaping import arrivals_of
from engines.formats.values import payload_of

_CSV = "text/csv"
_TABS = ("text/tab-separated-values",)
_MOST_NAMED = 20


class TableReader:
    """Fulfils `engines.protocols.FormatReader`.

    An item is one row: a JSON object of its texts by column. A row that is none (another number of fields, bytes of
    another character set, a quotation mark that does not end) is an item with the header and its bytes as they came;
    reading it says what is wrong. Formulas are texts like any other.
    """

    def items(self, body: BinaryIO, *, media_type: str, received_at: datetime, name: str | None) -> Iterator[RawItem]:
        table = _table(body, media_type, name)
        for row in table.rows():
            if row.trouble is None:
                data = json.dumps(row.values, ensure_ascii=False).encode()
                yield RawItem(data, JSON, received_at, row.number, name)
            else:
                alone = table.header.rstrip(b"\r\n") + b"\n" + row.raw
                media = f"{_CSV}; charset={table.charset}; delimiter={ord(table.delimiter)}; line={row.line}"
                yield RawItem(alone, media, received_at, row.number, name)

    def read(self, item: RawItem, mapping: SourceMapping | None) -> Sequence[Arrival]:
        mapping = required(mapping)
        if item.media_type.partition(";")[0].strip().lower() == JSON:
            row = payload_of(item.body)
            if not isinstance(row, dict):
                raise MalformedBody.of("body", "is not a row: an object of texts by column")
            return _read_row(row, mapping, len(item.body))
        table = _table(BytesIO(item.body), item.media_type, item.name)
        arrivals: list[Arrival] = []
        for found in table.rows():
            if found.trouble is not None:
                raise InvalidInput.of("body", found.trouble)
            arrivals += _read_row(found.values, mapping, len(found.raw))
        return arrivals


def _read_row(row: dict[str, str], mapping: SourceMapping, size: int) -> list[Arrival]:
    missing = sorted(_columns_named(mapping) - row.keys())
    try:
        arrivals = arrivals_of(mapping, row, size=size)
    except InvalidInput as error:
        if not missing:
            raise
        raise _with_columns(error, missing, row) from None
    if not missing:
        return arrivals
    detail = f"The mapping names columns the table has not: {_listed(missing)}."
    note = Note(code="column_missing", detail=detail[:500])
    return [arrival.model_copy(update={"notes": (*arrival.notes, note)}) for arrival in arrivals]


def _with_columns(error: InvalidInput, missing: Sequence[str], row: dict[str, str]) -> InvalidInput:
    reason = f"the table has no column {_listed(missing)}; it has {_listed(list(row))}"
    return InvalidInput(f"{error.message}; {reason}", (*error.problems, FieldProblem("columns", reason)))


def _columns_named(mapping: SourceMapping) -> set[str]:
    """Columns the mapping reads: what its expressions name where they look at the row itself."""
    if mapping.conversations != "@":
        return set()
    expressions = [expression for field, expression in expressions_of(mapping) if "[" not in field]
    places: list[PeopleMapping | MessagesMapping | SegmentsMapping] = [*mapping.participants, *mapping.messages]
    for place in (*places, *mapping.segments):
        seen_from_the_row = place.each == "@"
        expressions += [one for _, one in expressions_of(place)] if seen_from_the_row else [place.each]
    names: set[str] = set()
    for expression in expressions:
        try:
            names |= first_names(compiled(expression))
        except BadExpression:
            continue  # it is refused where it is used
    return names


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:_MOST_NAMED])
    return f"{shown} and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else shown


def _table(body: BinaryIO, media_type: str, name: str | None) -> Table:
    said = Message()
    said["content-type"] = media_type[:1000]
    delimiter, line = (_number(said, name) for name in ("delimiter", "line"))
    separator = chr(delimiter) if delimiter is not None and 9 <= delimiter < 127 else None
    if separator is None and (said.get_content_type() in _TABS or (name or "").lower().endswith((".tsv", ".tab"))):
        separator = "\t"
    charset = said.get_param("charset")
    return Table(body, charset=charset if isinstance(charset, str) else None, delimiter=separator, line=line)


def _number(said: Message, name: str) -> int | None:
    value = said.get_param(name)
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12 else None
