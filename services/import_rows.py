"""A stretch of an import: rows are read, accepted and reported batch by batch, from the checkpoint on.

The rows' outcomes and the checkpoint are one transaction, for new conversations together with the conversations
themselves. So a kill loses at most what was not committed, and that is read again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from domain.arrivals import Arrival
from domain.clock import Clock, utc_now
from domain.contracts import ImportRef, ImportRowsRequest, ImportRowsResult, StretchEnd
from domain.conversation import Lane
from domain.errors import ChangedMeanwhile, ContentMissing, InvalidInput, ParleyError, where
from domain.imports import Import, ImportState
from services.accept_many import AcceptMany, Landed
from services.backlog import BacklogLimit
from services.import_lines import Chunk, at_home, chunks, lines
from services.import_reading import File, Readings, ReadRow, UnreadableRow, reading_rows
from services.receive import ReceiveArrivals, Received
from storage.protocols import ContentStore, Database, Source, TenantTx

WAITS_FOR_LIVE = "live traffic goes first"

_ENDS = {
    ImportState.PAUSED: StretchEnd.PAUSED,
    ImportState.CANCELLED: StretchEnd.CANCELLED,
    ImportState.COMPLETED: StretchEnd.DONE,
    ImportState.FAILED: StretchEnd.SUPERSEDED,
}
_MEANWHILE = 5
"""How often rows are tried again whose threads somebody else has changed at the same moment."""

_log = logging.getLogger(__name__)


class Stopped(Exception):
    """Rows may not be written any more: the import was paused or cancelled, or another run is at it."""

    def __init__(self, end: StretchEnd) -> None:
        super().__init__(end.value)
        self.end = end


@dataclass
class _Work:
    """One run at one import. found: the import as this run left it last."""

    ref: ImportRef
    found: Import
    source: Source
    wait_seconds: float = 0.0
    _since: float = field(default_factory=time.monotonic)

    def take_ms(self) -> int:
        """Milliseconds since the last call."""
        now = time.monotonic()
        taken, self._since = round((now - self._since) * 1000), now
        return taken


class ImportRows:
    """Needs storage, the two ways of accepting, the readers, and the limit that bulk goes by."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        many: AcceptMany,
        receive: ReceiveArrivals,
        readings: Readings,
        backlog: BacklogLimit,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._content = content
        self._many = many
        self._receive = receive
        self._readings = readings
        self._backlog = backlog
        self._clock = clock

    async def stretch(
        self,
        request: ImportRowsRequest,
        *,
        beat: Callable[[int], object] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> ImportRowsResult:
        """Until the file ends, about `request.seconds` are over, `stopping` says so, or it is not to go on.

        beat: called with the number of rows, batch by batch. Raises InvalidInput when the file cannot be read any
        further, Unavailable.
        """
        until = time.monotonic() + request.seconds
        try:
            work = await self._begin(request.ref)
            try:
                end = await self._run(work, beat, lambda: time.monotonic() > until or stopping())
            except (ContentMissing, InvalidInput):
                await self._require_ours(request.ref)  # a cancelled import has lost its file
                raise
        except Stopped as stopped:
            async with self._database.tenant_tx(request.ref.tenant_id) as tx:
                found = await tx.imports.get(request.ref.import_id)
            if found.state.is_over:  # whoever ended it may have been killed before this
                await self._content.delete(request.ref.tenant_id, found.content_key)
            return _result(stopped.end, found)
        return _result(end, work.found, work.wait_seconds)

    async def _run(self, work: _Work, beat: Callable[[int], object], enough: Callable[[], bool]) -> StretchEnd:
        found, tenant_id = work.found, work.ref.tenant_id
        file = File(found.media_type, found.name, found.created_at)
        reading = self._readings(work.source, found.format)
        content = self._content.get_stream(tenant_id, found.content_key)
        async with reading_rows(content, file, reading, skip=found.rows.read) as reader:
            while True:
                backlog = await self._backlog.state(tenant_id)
                if backlog.full:
                    work.wait_seconds = backlog.retry_after
                    await self._wait(work)
                    return StretchEnd.WAIT
                batch = await reader.batch()
                if not batch:
                    await self._complete(work)
                    return StretchEnd.DONE
                rows = [at_home(row, found.source, found.format, named=found.source_named) for row in batch]
                for chunk in chunks(rows):
                    await self._accept(work, chunk)
                    beat(work.found.rows.read)
                if enough():
                    return StretchEnd.MORE

    # -- the import itself --------------------------------------------------------------------------------

    async def _begin(self, ref: ImportRef) -> _Work:
        async with self._database.tenant_tx(ref.tenant_id) as tx:
            found = _require(await tx.imports.locked(ref.import_id), ref)
            cleared = {"reason": None, "detail": None, "waits": None}
            began = {"state": ImportState.RUNNING, "started_at": found.started_at or self._clock()}
            begun = found.model_copy(update=cleared | began)
            await tx.imports.save(begun)
            return _Work(ref, begun, await tx.catalog.source(begun.source))

    async def _require_ours(self, ref: ImportRef) -> None:
        async with self._database.tenant_tx(ref.tenant_id) as tx:
            _require(await tx.imports.get(ref.import_id), ref)

    async def _wait(self, work: _Work) -> None:
        async with self._database.tenant_tx(work.ref.tenant_id) as tx:
            found = _require(await tx.imports.locked(work.ref.import_id), work.ref)
            await tx.imports.save(found.model_copy(update={"waits": WAITS_FOR_LIVE}))

    async def _complete(self, work: _Work) -> None:
        """The file is not needed any more: what could be read is accepted, and what could not is in the report."""
        async with self._database.tenant_tx(work.ref.tenant_id) as tx:
            found = await self._current(tx, work)
            work.found = found.model_copy(
                update={"state": ImportState.COMPLETED, "bytes_read": found.size, "ended_at": self._clock()}
            )
            await tx.imports.save(work.found)
        await self._content.delete(work.ref.tenant_id, work.found.content_key)

    async def _current(self, tx: TenantTx, work: _Work) -> Import:
        """The import, locked. Raises Stopped unless it is as this run left it."""
        found = _require(await tx.imports.locked(work.ref.import_id), work.ref)
        if found.rows.read != work.found.rows.read:
            raise Stopped(StretchEnd.SUPERSEDED)
        return found

    # -- rows ---------------------------------------------------------------------------------------------

    async def _accept(self, work: _Work, chunk: Chunk) -> None:
        """Raises Unavailable, Stopped. Whatever else goes wrong is some row's fault: it is found by halving, and then
        tried for itself."""
        together = work.found.dry_run or not chunk.joins
        try:
            await (self._together if together else self._joining)(work, chunk.rows)
        except Stopped:
            raise
        except Exception as error:
            if isinstance(error, ParleyError) and error.retryable:
                raise
            if len(chunk.rows) > 1:
                half = len(chunk.rows) // 2
                await self._accept(work, Chunk(chunk.joins, chunk.rows[:half]))
                await self._accept(work, Chunk(chunk.joins, chunk.rows[half:]))
            elif together and not work.found.dry_run:
                _told(error)
                await self._accept(work, Chunk(joins=True, rows=chunk.rows))
            else:
                await self._refuse(work, chunk.rows[0], error)

    async def _together(self, work: _Work, rows: Sequence[ReadRow]) -> None:
        """New conversations, their outcomes and the checkpoint in one transaction."""
        tenant_id, dry_run = work.ref.tenant_id, work.found.dry_run
        prepared = await self._many.prepare(tenant_id, _arrivals(rows), store=not dry_run)
        if dry_run:
            await self._commit(work, rows, [one.expected for one in prepared])
            return
        try:
            async with self._database.tenant_tx(tenant_id) as tx:
                found = await self._current(tx, work)
                landed = await self._many.write(tx, prepared, Lane.BACKFILL)
                moved = await _move(tx, found, rows, landed, work.take_ms())
        except Exception as error:
            if not (isinstance(error, ParleyError) and error.retryable):
                # Otherwise it may have been committed after all: content too many is better than too little.
                await self._many.discard(tenant_id, prepared)
            raise
        work.found = moved
        await self._many.discard(tenant_id, prepared, landed)

    async def _joining(self, work: _Work, rows: Sequence[ReadRow]) -> None:
        """Through the one door where parts of threads meet; the checkpoint follows."""
        received = await self._received(work.ref.tenant_id, _arrivals(rows), work.found.created_at)
        await self._commit(work, rows, [_landed(one) for one in received])

    async def _received(self, tenant_id: str, arrivals: Sequence[Arrival], at: datetime) -> Sequence[Received]:
        """at: the time of messages that have none; the same for every try, so that each finds what the last one did."""
        for _ in range(_MEANWHILE):
            with suppress(ChangedMeanwhile):
                return await self._receive.receive(tenant_id, arrivals, lane=Lane.BACKFILL, received_at=at)
        return await self._receive.receive(tenant_id, arrivals, lane=Lane.BACKFILL, received_at=at)

    async def _refuse(self, work: _Work, row: ReadRow, error: Exception) -> None:
        """The row's line says why, whatever it was."""
        _told(error)
        if not isinstance(error, ParleyError):
            error = UnreadableRow.of("row", f"cannot be accepted ({type(error).__name__})")
        await self._commit(work, [row], [Landed(error=error) for _ in row.arrivals])

    async def _commit(self, work: _Work, rows: Sequence[ReadRow], landed: Sequence[Landed]) -> None:
        """Lines and checkpoint of what is accepted, or refused, already."""
        async with self._database.tenant_tx(work.ref.tenant_id) as tx:
            moved = await _move(tx, await self._current(tx, work), rows, landed, work.take_ms())
        work.found = moved


async def _move(
    tx: TenantTx, found: Import, rows: Sequence[ReadRow], landed: Sequence[Landed], worked_ms: int
) -> Import:
    """Writes the lines of the report and the checkpoint after them. landed: one for each arrival of the rows."""
    made, volumes = lines(rows, landed, found.volumes)
    moved = found.model_copy(
        update={
            "rows": found.rows.with_more(len(rows), made),
            "volumes": volumes,
            "bytes_read": max(found.bytes_read, min(rows[-1].end, found.size)),
            "worked_ms": found.worked_ms + worked_ms,
            "waits": None,
        }
    )
    await tx.imports.add_rows(found.id, made)
    await tx.imports.save(moved)
    return moved


def _told(error: Exception) -> None:
    """A row that fails for no reason of its own is a defect of ours."""
    if not isinstance(error, ParleyError):
        _log.error("a row of an import cannot be accepted: %s", where(error))


def _arrivals(rows: Sequence[ReadRow]) -> list[Arrival]:
    return [arrival for row in rows for arrival in row.arrivals]


def _landed(one: Received) -> Landed:
    if one.acceptance is None:
        return Landed(error=one.error)
    conversation = one.acceptance.conversation
    return Landed(one.acceptance.outcome, conversation.id, conversation.revision)


def _require(found: Import, ref: ImportRef) -> Import:
    """Raises Stopped unless this run is the one to work on it, and it is to be worked on."""
    if found.entry != ref.entry:
        raise Stopped(StretchEnd.SUPERSEDED)
    if not found.state.is_open:
        raise Stopped(_ENDS[found.state])
    return found


def _result(end: StretchEnd, found: Import, wait_seconds: float = 0.0) -> ImportRowsResult:
    rows = found.rows
    return ImportRowsResult(
        end=end,
        wait_seconds=wait_seconds,
        rows=rows.read,
        created=rows.created,
        revised=rows.revised,
        unchanged=rows.unchanged,
        failed=rows.failed,
        percent=round(100 * found.bytes_read / found.size, 1),
    )
