"""Imports as their senders see them: handed in, looked at, paused, resumed, cancelled."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from domain.clock import Clock, utc_now
from domain.contracts import ImportRef
from domain.conversation import Status
from domain.errors import Conflict, InvalidInput, TooLarge, Unavailable
from domain.ids import new_id
from domain.import_formats import import_form
from domain.imports import Analysis, Import, ImportRow, ImportState, RowOutcome
from domain.mapping import Format
from services import content_keys
from services.briefly import Briefly
from services.estimate import Estimate, estimate
from services.ports import ImportStarter
from storage.protocols import ContentStore, Database, Page, TenantTx

DEFAULT_SOURCE = "api"
_REPORT_SECONDS = 2.0


@dataclass(frozen=True)
class StoredFile:
    """A file that was taken in and belongs to no import yet."""

    import_id: str
    content_key: str
    size: int
    sha256: str


@dataclass(frozen=True)
class NewImport:
    """What the caller says of the file. source: None for rows that name their own; name: of the file, for the report.
    format None: by media type, and JSON as the source sends it."""

    source: str | None
    dry_run: bool = False
    content_type: str | None = None
    format: Format | None = None
    name: str | None = None


@dataclass(frozen=True)
class ImportReport:
    """An import with what became of its conversations; an estimate for dry runs."""

    found: Import
    analysis: Analysis
    estimate: Estimate | None

    @property
    def waiting(self) -> int:
        """Conversations whose analysis has not ended."""
        return self.analysis.get(Status.RECEIVED, 0) + self.analysis.get(Status.PROCESSING, 0)


@dataclass(frozen=True)
class ImportList:
    """One page, newest first. `next_after` is where the next page begins, None on the last."""

    items: tuple[Import, ...]
    next_after: tuple[datetime, str] | None


@dataclass(frozen=True)
class RowList:
    """One page in the file's order."""

    items: tuple[ImportRow, ...]
    next_after: tuple[int, int] | None


class Imports:
    """Needs the database, the content store and who starts workflows. `max_bytes` bounds one file."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        starter: ImportStarter,
        *,
        max_bytes: int,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._content = content
        self._starter = starter
        self._max_bytes = max_bytes
        self._clock = clock
        self._analyses: Briefly[tuple[str, str], Analysis] = Briefly(_REPORT_SECONDS)

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    async def store(self, tenant_id: str, chunks: AsyncIterator[bytes]) -> StoredFile:
        """Take the file's bytes, sealed as they come. Raises TooLarge, InvalidInput (empty), Unavailable."""
        import_id = new_id()
        key = content_keys.imported(tenant_id, import_id)
        try:
            size, sha256 = await self._content.put_stream(tenant_id, key, chunks, limit=self._max_bytes)
        except TooLarge:
            raise TooLarge.of("body", f"is at most {self._max_bytes} bytes") from None
        if size == 0:
            await self._content.delete(tenant_id, key)
            raise InvalidInput.of("body", "is empty")
        return StoredFile(import_id, key, size, sha256)

    async def discard(self, tenant_id: str, file: StoredFile) -> None:
        """Remove a file that no import was made of."""
        await self._content.delete(tenant_id, file.content_key)

    async def create(self, tenant_id: str, file: StoredFile, new: NewImport, *, actor: str) -> tuple[Import, bool]:
        """The import, and whether Temporal has taken it; else the reconciler starts it. Raises UnsupportedMedia."""
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.source(new.source or DEFAULT_SOURCE)
            media_type, form = import_form(new.content_type, new.format, source.format)
            made = Import(
                id=file.import_id,
                source=source.slug,
                source_named=new.source is not None,
                format=form,
                media_type=media_type,
                name=new.name,
                dry_run=new.dry_run,
                state=ImportState.WAITING,
                content_key=file.content_key,
                size=file.size,
                sha256=file.sha256,
                created_at=self._clock(),
            )
            await tx.imports.create(made, actor)
        return made, await self._start(tenant_id, made)

    async def list(self, tenant_id: str, *, limit: int, after: tuple[datetime, str] | None = None) -> ImportList:
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await tx.imports.list(Page(limit=limit + 1, after=after))
        items = tuple(found[:limit])
        more = len(found) > limit
        return ImportList(items, (items[-1].created_at, items[-1].id) if more else None)

    async def report(self, tenant_id: str, import_id: str) -> ImportReport:
        """Raises NotFound."""
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await tx.imports.get(import_id)
            guess = await self._estimate(tx, found) if found.dry_run else None
        if found.dry_run:
            return ImportReport(found, {}, guess)
        # What is kept is of as many rows: an import that has just ended never looks as if its analysis had, too.
        key = (tenant_id, f"{import_id}/{found.rows.read}")
        analysis = await self._analyses.get(key, lambda: self._analysis(tenant_id, import_id))
        return ImportReport(found, analysis, None)

    async def rows(
        self, tenant_id: str, import_id: str, *, outcome: RowOutcome | None, after: tuple[int, int] | None, limit: int
    ) -> RowList:
        """Raises NotFound."""
        async with self._database.tenant_tx(tenant_id) as tx:
            await tx.imports.get(import_id)
            found = await tx.imports.rows(import_id, outcome=outcome, after=after, limit=limit + 1)
        items = tuple(found[:limit])
        more = len(found) > limit
        return RowList(items, (items[-1].number, items[-1].part) if more else None)

    async def pause(self, tenant_id: str, import_id: str) -> Import:
        """No more rows are read after the batch under way. Raises NotFound, Conflict (it is over)."""
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await _open(tx, import_id)
            if found.state is ImportState.PAUSED:
                return found
            if found.state is ImportState.FAILED:
                raise Conflict("the import has failed and is not read any more: resume it, or cancel it")
            paused = found.model_copy(update={"state": ImportState.PAUSED, "waits": None})
            await tx.imports.save(paused)
        return paused

    async def resume(self, tenant_id: str, import_id: str) -> Import:
        """Goes on after the last row reported, also after a failure. Raises NotFound, Conflict (it is over)."""
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await _open(tx, import_id)
            if found.state.is_open:
                return found
            changed = {"state": ImportState.WAITING, "entry": found.entry + 1, "reason": None, "detail": None}
            resumed = found.model_copy(update=changed)
            await tx.imports.save(resumed)
        await self._start(tenant_id, resumed)
        return resumed

    async def cancel(self, tenant_id: str, import_id: str) -> Import:
        """For good: the file goes, what was accepted stays. Raises NotFound, Conflict (it is over)."""
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await tx.imports.locked(import_id)
            if found.state is ImportState.COMPLETED:
                raise Conflict("the import is completed")
            cancelled = found
            if found.state is not ImportState.CANCELLED:
                changed = {"state": ImportState.CANCELLED, "ended_at": self._clock(), "waits": None}
                cancelled = found.model_copy(update=changed)
                await tx.imports.save(cancelled)
        with suppress(Unavailable):  # a run that is still at it removes it, too
            await self._content.delete(tenant_id, cancelled.content_key)
        return cancelled

    async def _start(self, tenant_id: str, found: Import) -> bool:
        ref = ImportRef(tenant_id=tenant_id, import_id=found.id, entry=found.entry)
        try:
            await self._starter.start_import(ref, found)
        except Unavailable:
            return False
        return True

    async def _analysis(self, tenant_id: str, import_id: str) -> Analysis:
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.imports.analysis(import_id)

    @staticmethod
    async def _estimate(tx: TenantTx, found: Import) -> Estimate:
        tasks, engines = await tx.catalog.effective_tasks(), await tx.catalog.engines()
        return estimate(found.volumes, tasks, engines, tx.tenant)


async def _open(tx: TenantTx, import_id: str) -> Import:
    """The import, locked. Raises Conflict when nothing can come of it any more."""
    found = await tx.imports.locked(import_id)
    if found.state.is_over:
        raise Conflict(f"the import is {found.state.value}")
    return found
