"""The canonical form itself: one object, a list, or one a line."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import BinaryIO

from domain.arrivals import Arrival, RawItem
from domain.intake import ConversationIn
from domain.mapping import SourceMapping
from domain.strict_json import parse_json, validate
from engines.formats.cutting import json_items

JSON = "application/json"


def cut_json(body: BinaryIO, *, media_type: str, received_at: datetime, name: str | None) -> Iterator[RawItem]:
    """Each JSON value of a body as an item; see `json_items`."""
    said = f"{media_type.partition(';')[0].strip()} {name or ''}".lower()
    lines = "ndjson" in said or "jsonl" in said or "json-lines" in said
    for position, item in enumerate(json_items(body, lines=lines), start=1):
        yield RawItem(item, JSON, received_at, position, name)


class CanonicalReader:
    """Fulfils `engines.protocols.FormatReader`. An item is the body of `POST /v1/conversations`, checked as it is."""

    def items(self, body: BinaryIO, *, media_type: str, received_at: datetime, name: str | None) -> Iterator[RawItem]:
        return cut_json(body, media_type=media_type, received_at=received_at, name=name)

    def read(self, item: RawItem, mapping: SourceMapping | None) -> Sequence[Arrival]:
        return (Arrival(conversation=validate(ConversationIn, parse_json(item.body))),)
