"""The sender's own JSON, through the source's mapping."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import BinaryIO

from domain.arrivals import Arrival, RawItem
from domain.errors import InvalidInput
from domain.mapping import SourceMapping
from engines.formats.canonical import cut_json
from engines.formats.shaping import arrivals_of
from engines.formats.values import payload_of


class MappedReader:
    """Fulfils `engines.protocols.FormatReader`. An item is a payload; a list at the top is cut into its elements.

    No arrivals is an answer too: the mapping's `only_if` passed the payload over.
    """

    def items(self, body: BinaryIO, *, media_type: str, received_at: datetime, name: str | None) -> Iterator[RawItem]:
        return cut_json(body, media_type=media_type, received_at=received_at, name=name)

    def read(self, item: RawItem, mapping: SourceMapping | None) -> Sequence[Arrival]:
        return arrivals_of(required(mapping), payload_of(item.body), size=len(item.body))


def required(mapping: SourceMapping | None) -> SourceMapping:
    """Raises InvalidInput when there is no mapping."""
    if mapping is None:
        raise InvalidInput.of("mapping", "the source has none, and this form cannot be read without one")
    return mapping
