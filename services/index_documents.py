"""One round of indexing: what changed is read again and brought into the search index.

An outbox row says only which conversation changed. The current rows are read again for every write, so a late or
repeated one never brings an old version back; a mark is cleared only if nothing changed since it was seen.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from domain.clock import Clock, utc_now
from domain.conversation import Channel, Conversation, Stage
from domain.errors import NotFound, ParleyError, Unavailable
from domain.ids import derived_id
from domain.search import DocumentRef, SearchDocument
from domain.values import Layer
from services.leadership import Leadership
from services.observation import Indexing, IndexOutcome, Observer, Unobserved
from storage.protocols import (
    Database,
    DeadLetter,
    DirtyConversation,
    Rendition,
    TenantTx,
)
from storage.search.port import SearchIndex

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
    """The conversation as it is now. Raises NotFound when it is gone, or a part of another one.

    A revision whose turns are not there yet keeps the words of the one before.
    """
    conversation = await tx.conversations.get(conversation_id)
    if conversation.merged_into is not None:
        raise NotFound("it was merged into another conversation")
    rendition = await _newest_rendition(tx, conversation)
    values = await tx.values.current(conversation_id, Layer.EFFECTIVE)
    duration_s = None
    if conversation.channel is Channel.CALL:
        recording = await tx.renditions.recording(conversation_id, conversation.revision)
        duration_s = recording.facts.duration_ms / 1000 if recording else None
    searchable = conversation.model_copy(update={"searchable": rendition is not None})
    document = SearchDocument.of(searchable, rendition.turns if rendition else (), values, duration_s=duration_s)
    return document if rendition is None else document.model_copy(update={"revision": rendition.revision})


async def _newest_rendition(tx: TenantTx, conversation: Conversation) -> Rendition | None:
    for revision in range(conversation.revision, 0, -1):
        if (found := await tx.renditions.find(conversation.id, revision)) is not None:
            return found
    return None


@dataclass(frozen=True)
class Outcome:
    """What became of reading one conversation: its document, or that it is gone (neither), or what went wrong."""

    ref: DocumentRef
    document: SearchDocument | None = None
    error: str | None = None

    @property
    def gone(self) -> bool:
        return self.document is None and self.error is None


async def read_documents(database: Database, refs: Sequence[DocumentRef]) -> list[Outcome]:
    """Reads conversations of any tenants, a transaction a tenant. One that cannot be read does not stop the others.

    Raises Unavailable when the database is away.
    """
    of_tenant: dict[str, list[DocumentRef]] = defaultdict(list)
    for ref in refs:
        of_tenant[ref.tenant_id].append(ref)
    outcomes: list[Outcome] = []
    for tenant_id, mine in of_tenant.items():
        try:
            outcomes += await _read_together(database, tenant_id, mine)
        except Unavailable:
            raise
        except Exception:  # one of them: find out which
            outcomes += [await _read_alone(database, ref) for ref in mine]
    return outcomes


async def _read_together(database: Database, tenant_id: str, refs: Sequence[DocumentRef]) -> list[Outcome]:
    outcomes = []
    async with database.tenant_tx(tenant_id) as tx:
        for ref in refs:
            try:
                outcomes.append(Outcome(ref, await read_document(tx, ref.id)))
            except NotFound:
                outcomes.append(Outcome(ref))
    return outcomes


async def _read_alone(database: Database, ref: DocumentRef) -> Outcome:
    try:
        return (await _read_together(database, ref.tenant_id, [ref]))[0]
    except NotFound:  # the tenant itself is gone
        return Outcome(ref)
    except Unavailable:
        raise
    except Exception as error:
        _log.warning("conversation %s cannot be read for search: %s", ref.id, type(error).__name__)
        return Outcome(ref, error=error.code if isinstance(error, ParleyError) else type(error).__name__)


async def mark_again(database: Database, refs: Sequence[DocumentRef]) -> None:
    """Puts conversations into the outbox. Raises Unavailable."""
    for ref in refs:
        with suppress(NotFound):
            async with database.tenant_tx(ref.tenant_id) as tx:
                await tx.outbox.search_dirty(ref.id)


class Indexer:
    """Needs the database and the index. Only a leader may call it."""

    def __init__(
        self,
        database: Database,
        index: SearchIndex,
        settings: IndexerSettings | None = None,
        clock: Clock = utc_now,
        observer: Observer | None = None,
    ) -> None:
        self._database = database
        self._index = index
        self.settings = settings or IndexerSettings()
        self._clock = clock
        self._observer: Observer = observer or Unobserved()

    async def round(self, leadership: Leadership) -> Round:
        """One batch. Raises Unavailable when the database or the index is away: the marks stay."""
        items = {_ref(item): item for item in await self._database.platform.dirty(self.settings.batch)}
        if not items:
            return Round()
        with self._observer.indexing(list(items.values())) as observed:
            return await self._bring_in(items, leadership, observed)

    async def _bring_in(
        self, items: dict[DocumentRef, DirtyConversation], leadership: Leadership, observed: Indexing
    ) -> Round:
        outcomes = await read_documents(self._database, list(items))
        errors = {outcome.ref: outcome.error for outcome in outcomes if outcome.error is not None}
        gone = [outcome.ref for outcome in outcomes if outcome.gone]
        documents = [outcome.document for outcome in outcomes if outcome.document is not None]
        if documents:
            errors |= {refusal.document: refusal.reason for refusal in await self._index.index(documents)}
        if gone:
            await self._index.delete(gone)
        written = [outcome.ref for outcome in outcomes if outcome.document is not None and outcome.ref not in errors]
        if not leadership.sure:
            # Somebody else may have led and written newer rows meanwhile: they are read once more.
            await mark_again(self._database, [*written, *gone])
            return Round()
        await self._mark_searchable([document for document in documents if _ref(document) not in errors])
        await self._database.platform.clear([items[ref] for ref in (*written, *gone)])
        for refs, outcome in ((written, IndexOutcome.INDEXED), (gone, IndexOutcome.REMOVED)):
            for ref in refs:
                observed.ended(items[ref], outcome)
        dead = []
        for ref, error in errors.items():
            dead.append(await self._fail(items[ref], error))
            observed.ended(items[ref], IndexOutcome.DEAD_LETTERED if dead[-1] else IndexOutcome.DEFERRED)
        return Round(len(written), len(gone), dead.count(False), dead.count(True))

    async def _mark_searchable(self, documents: Sequence[SearchDocument]) -> None:
        of_tenant: dict[str, list[str]] = defaultdict(list)
        for document in documents:
            if document.facts.flags.get("searchable"):
                of_tenant[document.tenant_id].append(document.id)
        for tenant_id, ids in of_tenant.items():
            with suppress(NotFound):
                async with self._database.tenant_tx(tenant_id) as tx:
                    await tx.conversations.set_searchable(ids)

    async def _fail(self, item: DirtyConversation, error: str) -> bool:
        """Puts the conversation off, or after enough tries among the dead letters: then True."""
        if item.attempts + 1 < self.settings.attempts:
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


def _ref(of: DirtyConversation | SearchDocument) -> DocumentRef:
    return DocumentRef(of.tenant_id, of.conversation_id if isinstance(of, DirtyConversation) else of.id)
