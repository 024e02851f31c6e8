"""The indexer: brings what changed into the search index, as the one leader.

An outbox row says only which conversation changed. The current rows are read again for every write, so a late or
repeated one never brings an old version back; a mark is cleared only if nothing changed since it was seen.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from domain.clock import Clock, utc_now
from domain.conversation import Channel, Conversation, Stage
from domain.errors import NotFound, ParleyError, Unavailable
from domain.ids import derived_id, new_id
from domain.search import DocumentRef, SearchDocument
from domain.values import Layer
from services.leadership import Leadership, is_free
from storage.protocols import (
    Database,
    DeadLetter,
    DirtyConversation,
    Rendition,
    TenantTx,
)
from storage.search.port import SearchIndex

LEADER, REBUILD = "search-index", "search-rebuild"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IndexerSettings:
    """batch: conversations of one write. attempts: after so many a document that will not go in is a dead letter.

    idle, follower and away: seconds to wait with nothing to do, behind another leader, and when a part is away (doubled
    up to away_most). ttl: seconds the lease outlives a leader that died.
    """

    batch: int = 200
    attempts: int = 4
    idle_seconds: float = 0.2
    follower_seconds: float = 2.0
    away_seconds: float = 0.5
    away_most_seconds: float = 10.0
    ttl_seconds: float = 15.0


@dataclass(frozen=True)
class Round:
    """What one round did, in conversations."""

    indexed: int = 0
    removed: int = 0
    deferred: int = 0
    dead_lettered: int = 0

    @property
    def handled(self) -> int:
        return self.indexed + self.removed + self.deferred + self.dead_lettered


async def read_document(tx: TenantTx, conversation_id: str) -> SearchDocument:
    """The conversation as it is now. Raises NotFound when it is gone.

    A revision whose turns are not there yet keeps the words of the one before.
    """
    conversation = await tx.conversations.get(conversation_id)
    rendition = await _newest_rendition(tx, conversation)
    values = await tx.values.current(conversation_id, Layer.EFFECTIVE)
    duration_s = None
    if conversation.channel is Channel.CALL:
        recording = await tx.renditions.recording(conversation_id, conversation.revision)
        duration_s = recording.facts.duration_ms / 1000 if recording else None
    searchable = conversation.model_copy(update={"searchable": rendition is not None})
    return SearchDocument.of(searchable, rendition.turns if rendition else (), values, duration_s=duration_s)


async def _newest_rendition(tx: TenantTx, conversation: Conversation) -> Rendition | None:
    for revision in range(conversation.revision, 0, -1):
        if (found := await tx.renditions.find(conversation.id, revision)) is not None:
            return found
    return None


@dataclass(frozen=True)
class _Read:
    """What became of reading one changed conversation: its document, or that it is gone, or what went wrong."""

    item: DirtyConversation
    document: SearchDocument | None = None
    error: str | None = None


class Indexer:
    """Needs the database and the index. Only a leader may call it."""

    def __init__(
        self,
        database: Database,
        index: SearchIndex,
        settings: IndexerSettings | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._index = index
        self._settings = settings or IndexerSettings()
        self._clock = clock

    async def round(self, leadership: Leadership) -> Round:
        """One batch. Raises Unavailable when the database or the index is away: the marks stay."""
        items = await self._database.platform.dirty(self._settings.batch)
        if not items:
            return Round()
        read = await self._read(items)
        documents = [r.document for r in read if r.document is not None]
        refused = {r.document: r.reason for r in await self._index.index(documents)} if documents else {}
        gone = [r.item for r in read if r.document is None and r.error is None]
        if gone:
            await self._index.delete([DocumentRef(item.tenant_id, item.conversation_id) for item in gone])
        errors = {r.item: r.error for r in read if r.error is not None}
        written: dict[DirtyConversation, SearchDocument] = {}
        for r in read:
            if r.document is not None:
                reason = refused.get(DocumentRef(r.item.tenant_id, r.item.conversation_id))
                if reason is None:
                    written[r.item] = r.document
                else:
                    errors[r.item] = reason
        if not leadership.sure:
            # Somebody else may have led and written newer rows meanwhile: they are read once more.
            await self._mark_again([*written, *gone])
            return Round()
        await self._mark_searchable(list(written.values()))
        await self._database.platform.clear([*written, *gone])
        dead = [await self._fail(item, error) for item, error in errors.items()]
        return Round(len(written), len(gone), dead.count(False), dead.count(True))

    # -- reading ------------------------------------------------------------------------------------------

    async def _read(self, items: Sequence[DirtyConversation]) -> list[_Read]:
        of_tenant: dict[str, list[DirtyConversation]] = defaultdict(list)
        for item in items:
            of_tenant[item.tenant_id].append(item)
        read: list[_Read] = []
        for tenant_id, mine in of_tenant.items():
            try:
                read += await self._read_together(tenant_id, mine)
            except Unavailable:
                raise
            except Exception:  # one of them: find out which
                for item in mine:
                    read.append(await self._read_alone(item))
        return read

    async def _read_together(self, tenant_id: str, items: Sequence[DirtyConversation]) -> list[_Read]:
        async with self._database.tenant_tx(tenant_id) as tx:
            read = []
            for item in items:
                try:
                    read.append(_Read(item, await read_document(tx, item.conversation_id)))
                except NotFound:
                    read.append(_Read(item))
            return read

    async def _read_alone(self, item: DirtyConversation) -> _Read:
        try:
            return (await self._read_together(item.tenant_id, [item]))[0]
        except NotFound:  # the tenant itself is gone
            return _Read(item)
        except Unavailable:
            raise
        except Exception as error:  # a defect in one conversation must not stop the others
            _log.warning("conversation %s cannot be read for search: %s", item.conversation_id, type(error).__name__)
            return _Read(item, error=error.code if isinstance(error, ParleyError) else type(error).__name__)

    # -- afterwards ---------------------------------------------------------------------------------------

    async def _mark_searchable(self, documents: Sequence[SearchDocument]) -> None:
        of_tenant: dict[str, list[str]] = defaultdict(list)
        for document in documents:
            if document.facts.flags.get("searchable"):
                of_tenant[document.tenant_id].append(document.id)
        for tenant_id, ids in of_tenant.items():
            with suppress(NotFound):
                async with self._database.tenant_tx(tenant_id) as tx:
                    await tx.conversations.set_searchable(ids)

    async def _mark_again(self, items: Sequence[DirtyConversation]) -> None:
        for item in items:
            with suppress(NotFound):
                async with self._database.tenant_tx(item.tenant_id) as tx:
                    await tx.outbox.search_dirty(item.conversation_id)

    async def _fail(self, item: DirtyConversation, error: str) -> bool:
        """Puts the conversation off, or after enough tries among the dead letters: then True."""
        if item.attempts + 1 < self._settings.attempts:
            await self._database.platform.defer(item, error)
            return False
        try:
            async with self._database.tenant_tx(item.tenant_id) as tx:
                await tx.dead_letters.put(await self._letter(tx, item, error))
        except NotFound:
            pass  # nobody is left to be told
        await self._database.platform.clear([item])
        return True

    async def _letter(self, tx: TenantTx, item: DirtyConversation, error: str) -> DeadLetter:
        conversation = await tx.conversations.get(item.conversation_id)
        entries = await tx.runs.list(item.conversation_id)
        return DeadLetter(
            id=derived_id("dead-letter", Stage.INDEX, item.tenant_id, item.conversation_id, str(item.mark)),
            conversation_id=item.conversation_id,
            revision=conversation.revision,
            entry=entries[-1].run.entry if entries else 1,
            stage=Stage.INDEX,
            error_type="index_refused",
            detail=error[:500],
            attempts=item.attempts + 1,
            first_at=item.since,
            last_at=self._clock(),
        )


async def run_indexer(
    database: Database,
    index: SearchIndex,
    stop: asyncio.Event,
    *,
    holder: str | None = None,
    settings: IndexerSettings | None = None,
) -> None:
    """The indexer's whole life in a worker: waits for the lead, drains, and gives the lead back when told to stop.

    Every worker may run it; one leads. It never raises for a part that is away: it waits and tries again.
    """
    settings = settings or IndexerSettings()
    leadership = Leadership(database.platform, LEADER, holder or new_id(), settings.ttl_seconds)
    away = settings.away_seconds
    while not stop.is_set():
        try:
            leads = await is_free(database.platform, REBUILD, leadership.holder) and await leadership.renew()
            if not leads:
                await _pause(stop, settings.follower_seconds)
                continue
            async with leadership.kept():
                await index.prepare()
                away = settings.away_seconds
                await _lead(database, Indexer(database, index, settings), leadership, stop, settings)
        except Unavailable as error:
            _log.warning("indexing waits: %s", error.message)
            await _pause(stop, away)
            away = min(settings.away_most_seconds, away * 2)
        except Exception:
            _log.exception("indexing failed and begins anew")
            await _pause(stop, settings.away_most_seconds)


async def _lead(
    database: Database, indexer: Indexer, leadership: Leadership, stop: asyncio.Event, settings: IndexerSettings
) -> None:
    """Drains until told to stop, the lease is lost or somebody asks for a rebuild."""
    rounds = 0
    while not stop.is_set() and leadership.sure:
        done = await indexer.round(leadership)
        rounds += 1
        if done.handled < settings.batch:
            await _pause(stop, settings.idle_seconds)
        if rounds % 8 == 0 and not await is_free(database.platform, REBUILD, leadership.holder):
            return


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
