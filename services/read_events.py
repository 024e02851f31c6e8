"""Reading a raw body by the rules of its source, in a thread: what its reader makes of it, item by item."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from domain.arrivals import Arrival, RawItem
from domain.errors import InvalidInput, TooLarge, where
from domain.mapping import SourceMapping
from engines.protocols import FormatReader
from services.readers import Readers
from storage.protocols import Source

MAX_ITEMS = 500
"""Items of one event; more is an import."""

CONCURRENT = 4
"""Bodies read at the same time in one process."""

_log = logging.getLogger(__name__)


class ReaderDefect(InvalidInput):
    """A reader raised what it never should. The body is kept; it can be read again when the reader is mended."""

    code = "reader_defect"
    title = "The reader failed"


@dataclass(frozen=True)
class ReadItem:
    """What was made of one item: arrivals, none when the mapping passes it over; or the reason why nothing was."""

    position: int
    arrivals: tuple[Arrival, ...] = ()
    error: InvalidInput | None = None


class ReadEvents:
    """Needs the readers of formats."""

    def __init__(self, readers: Readers, *, max_items: int = MAX_ITEMS) -> None:
        self._readers = readers
        self._max_items = max_items
        self._gate = asyncio.Semaphore(CONCURRENT)

    async def read(self, source: Source, body: bytes, media_type: str, received_at: datetime) -> Sequence[ReadItem]:
        """Every item with what became of it; never raises for what the body holds."""
        try:
            reader = self._readers.reader(source.format)
            mapping = mapping_of(source, self._readers)
        except InvalidInput as error:
            return [ReadItem(1, error=error)]
        async with self._gate:
            return await asyncio.to_thread(self._read, reader, mapping, source, body, media_type, received_at)

    def _read(
        self,
        reader: FormatReader,
        mapping: SourceMapping | None,
        source: Source,
        body: bytes,
        media_type: str,
        received_at: datetime,
    ) -> Sequence[ReadItem]:
        found: list[ReadItem] = []
        try:
            for item in reader.items(BytesIO(body), media_type=media_type, received_at=received_at, name=None):
                if len(found) == self._max_items:
                    raise TooLarge.of("body", f"holds more than {self._max_items} items: hand it in as an import")
                found.append(_read_item(reader, mapping, source, item))
        except InvalidInput as error:
            return [ReadItem(1, error=error)]  # the whole of it cannot be read
        except Exception as error:
            _log.exception("the reader of %s failed: %s", source.format.value, where(error), exc_info=False)
            return [ReadItem(1, error=_defect(error))]
        return found


def mapping_of(source: Source, readers: Readers) -> SourceMapping | None:
    """The source's own mapping, else its preset's. Raises InvalidInput when there is no such preset."""
    mapping = source.mapping
    if mapping is None and source.preset is not None:
        _, mapping = readers.preset(source.preset)
    return None if mapping is None else with_channel(mapping, source)


def with_channel(mapping: SourceMapping, source: Source) -> SourceMapping:
    """What all of a source's conversations are need not be said once more in its mapping."""
    if mapping.channel is not None or source.channel is None:
        return mapping
    return mapping.model_copy(update={"channel": source.channel})


def _read_item(reader: FormatReader, mapping: SourceMapping | None, source: Source, item: RawItem) -> ReadItem:
    try:
        arrivals = tuple(_of_source(arrival, source) for arrival in reader.read(item, mapping))
    except InvalidInput as error:
        return ReadItem(item.position, error=error)
    except Exception as error:
        _log.error("the reader of %s failed: %s", source.format.value, where(error))
        return ReadItem(item.position, error=_defect(error))
    return ReadItem(item.position, arrivals)


def _of_source(arrival: Arrival, source: Source) -> Arrival:
    """Whatever the sender writes there, it is this source's."""
    conversation = arrival.conversation.model_copy(update={"source": source.slug})
    return arrival.model_copy(update={"conversation": conversation})


def _defect(error: Exception) -> ReaderDefect:
    return ReaderDefect.of("body", f"cannot be read because of a defect here ({type(error).__name__})")
