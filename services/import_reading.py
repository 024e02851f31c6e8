"""Reading an import's file: sealed bytes in, rows out, batch by batch, in a thread of its own.

Memory is bounded by a batch, whatever the file's size. What was read before is passed over on the way: cutting a file
into rows is cheap, reading and accepting them is not.
"""

import asyncio
import io
import logging
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from domain.arrivals import Arrival, RawItem
from domain.errors import InvalidInput, where
from domain.import_formats import ARCHIVE, media_type_of
from domain.mapping import Format, SourceMapping
from engines.protocols import FormatReader
from storage.protocols import Source

BATCH_ROWS = 200
BATCH_BYTES = 4 * 1024 * 1024
MAX_ARRIVALS_A_ROW = 1000

_BUFFER = 256 * 1024
_log = logging.getLogger(__name__)


class UnreadableRow(InvalidInput):
    """A reader met what it should have told apart: a defect of ours, and no reason to stop the other rows."""

    code = "unreadable_row"
    title = "The row cannot be read"


@dataclass(frozen=True)
class Reading:
    """How the files of a source are read."""

    reader: FormatReader
    mapping: SourceMapping | None = None


Readings = Callable[[Source, Format], Reading]
"""The reader and mapping for what a source sends. Raises InvalidInput for a form that is not read."""


@dataclass(frozen=True)
class ReadRow:
    """One row: the conversations that came of it, or why none did. number counts from 1 over the whole import.

    end: how many of the file's bytes had been read by then.
    """

    number: int
    name: str | None
    end: int
    arrivals: tuple[Arrival, ...] = ()
    error: InvalidInput | None = None


@dataclass(frozen=True)
class File:
    """What is read: its media type decides how it is cut, `received_at` stands in for times that are missing."""

    media_type: str
    name: str | None
    received_at: datetime


class RowReader:
    """Pulls rows out of a file. `batch` is the only way in; it is never called twice at the same time."""

    def __init__(self, rows: Iterator[ReadRow], thread: ThreadPoolExecutor) -> None:
        self._rows = rows
        self._thread = thread
        self._error: InvalidInput | None = None

    async def batch(self) -> list[ReadRow]:
        """The next rows, none at the end. Raises InvalidInput when the file cannot be read any further."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._next)

    def _next(self) -> list[ReadRow]:
        if self._error is not None:
            raise self._error
        found: list[ReadRow] = []
        try:
            for row in self._rows:
                found.append(row)
                if len(found) == BATCH_ROWS or row.end - found[0].end > BATCH_BYTES:
                    break
        except InvalidInput as error:
            if not found:
                raise
            self._error = error  # what was read before it comes first
        return found


@asynccontextmanager
async def reading_rows(
    content: AsyncIterator[bytes], file: File, reading: Reading, *, skip: int
) -> AsyncIterator[RowReader]:
    """Rows after the first `skip`. Nothing of the file is held once the block ends."""
    loop = asyncio.get_running_loop()
    body = _Body(content, loop)
    # A thread of its own: one from the shared pool would wait for bytes that are opened in the shared pool.
    thread = ThreadPoolExecutor(1, thread_name_prefix="import")
    try:
        buffered = cast(BinaryIO, io.BufferedReader(body, _BUFFER))
        yield RowReader(_rows(buffered, body, file, reading, skip), thread)
    finally:
        body.stop()
        thread.shutdown(wait=False, cancel_futures=True)
        with suppress(RuntimeError):  # a piece is on its way: its task ends with it
            await content.aclose()  # type: ignore[attr-defined]


class _Body(io.RawIOBase):
    """Bytes that come asynchronously, as a file for a reader in a thread."""

    def __init__(self, content: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._content = content
        self._loop = loop
        self._piece = memoryview(b"")
        self._stopped = False
        self.count = 0

    def readable(self) -> bool:
        return True

    def stop(self) -> None:
        self._stopped = True

    def readinto(self, buffer: Any) -> int:
        if self._stopped:
            raise ValueError("nobody reads this file any more")
        if not self._piece:
            self._piece = memoryview(asyncio.run_coroutine_threadsafe(self._next(), self._loop).result())
        into = memoryview(buffer)
        size = min(len(into), len(self._piece))
        into[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        self.count += size
        return size

    async def _next(self) -> bytes:
        """Empty at the end, and only there."""
        while (piece := await anext(self._content, None)) is not None:
            if piece:
                return piece
        return b""


@dataclass(frozen=True)
class _Cut:
    """An item, or why a file of several cannot be cut."""

    name: str | None
    item: RawItem | None = None
    error: InvalidInput | None = None


def _rows(buffered: BinaryIO, body: _Body, file: File, reading: Reading, skip: int) -> Iterator[ReadRow]:
    for number, cut in enumerate(_cuts(buffered, file, reading), start=1):
        if number <= skip:
            continue
        name = cut.name.encode(errors="replace").decode()[:400] if cut.name else None
        if cut.item is None:
            yield ReadRow(number, name, body.count, error=cut.error)
        else:
            yield _read(number, name, body.count, cut.item, reading)


def _read(number: int, name: str | None, end: int, item: RawItem, reading: Reading) -> ReadRow:
    try:
        arrivals = tuple(reading.reader.read(item, reading.mapping))
        if len(arrivals) > MAX_ARRIVALS_A_ROW:
            raise InvalidInput.of("row", f"more than {MAX_ARRIVALS_A_ROW} conversations come of it")
    except InvalidInput as error:
        return ReadRow(number, name, end, error=error)
    except Exception as error:
        _log.error("a row of an import cannot be read: %s", where(error))
        return ReadRow(number, name, end, error=UnreadableRow.of("row", f"cannot be read ({type(error).__name__})"))
    return ReadRow(number, name, end, arrivals=arrivals)


def _cuts(body: BinaryIO, file: File, reading: Reading) -> Iterator[_Cut]:
    if file.media_type != ARCHIVE:
        items = reading.reader.items(body, media_type=file.media_type, received_at=file.received_at, name=file.name)
        yield from (_Cut(item.name if item.name != file.name else None, item) for item in items)
        return
    try:
        with tarfile.open(fileobj=body, mode="r|") as archive:
            for member in archive:
                if member.isfile():
                    opened = archive.extractfile(member)
                    yield from _member(cast(BinaryIO, opened), member.name, file, reading)
    except (tarfile.TarError, EOFError):
        raise InvalidInput.of("body", "is not a whole tar archive") from None


def _member(opened: BinaryIO, path: str, file: File, reading: Reading) -> Iterator[_Cut]:
    """The items of one file of an archive. One that cannot be cut is a row of its own."""
    name = PurePosixPath(path).name
    try:
        items = reading.reader.items(opened, media_type=media_type_of(name), received_at=file.received_at, name=name)
        yield from (_Cut(path, item) for item in items)
    except InvalidInput as error:
        yield _Cut(path, error=error)
