"""Filling the search index anew: one tenant by marking it, or everything into a new index that then takes over."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime

from domain.errors import Conflict, Unavailable
from domain.ids import new_id
from domain.search import NEWEST_FIRST, DocumentRef, PageKey, SearchQuery
from services.index_documents import Indexer, IndexerSettings, mark_again, read_documents
from services.leadership import Leadership
from storage.protocols import ConversationFilter, Database, Page
from storage.search.port import SearchIndex

LEADER, REBUILD = "search-index", "search-rebuild"
"""Leases: of the one writer, and of a rebuild that asks the writer to step aside."""

_CHUNK = 200


async def rebuild_tenant(database: Database, index: SearchIndex, tenant_id: str) -> int:
    """Marks everything of one tenant for whoever leads the indexing, also what the index has and the database not.

    Returns how many conversations were marked. Raises NotFound, Unavailable.
    """
    marked: set[str] = set()
    async for known in _conversation_ids(database, tenant_id):
        marked.update(known)
    async for indexed in _indexed_ids(index, tenant_id):
        marked.update(indexed)
    ordered = sorted(marked)
    for start in range(0, len(ordered), _CHUNK):
        async with database.tenant_tx(tenant_id) as tx:
            for conversation_id in ordered[start : start + _CHUNK]:
                await tx.outbox.search_dirty(conversation_id)
    return len(ordered)


async def rebuild_all(
    database: Database,
    index: SearchIndex,
    *,
    settings: IndexerSettings | None = None,
    wait_seconds: float = 60.0,
) -> int:
    """Builds the index of all tenants anew while searches and indexing go on; returns how many documents it has.

    The running indexer steps aside, and this process does its work as well until the new index has taken over.
    Raises Conflict when another rebuild is under way or the indexer does not step aside within `wait_seconds`,
    Unavailable. A rebuild that fails leaves the index as it was.
    """
    settings = settings or IndexerSettings()
    holder = new_id()
    turn = Leadership(database.platform, REBUILD, holder, settings.ttl_seconds)
    if not await turn.renew():
        raise Conflict("another rebuild is under way")
    async with turn.kept():
        leadership = Leadership(database.platform, LEADER, holder, settings.ttl_seconds)
        await _wait_for_the_lead(leadership, wait_seconds)
        async with leadership.kept():
            await index.prepare()
            return await refill(database, index, Indexer(database, index, settings), leadership)


async def refill(database: Database, index: SearchIndex, indexer: Indexer, leadership: Leadership) -> int:
    """The rebuild itself, by whoever leads. Returns how many documents were filled in; raises as `rebuild_all`."""
    await index.begin_rebuild()
    try:
        filled = await _fill(database, index, indexer, leadership)
        while (await indexer.round(leadership)).handled == indexer.settings.batch:
            _must_lead(leadership)
        _must_lead(leadership)
        await index.finish_rebuild()
    except BaseException:
        with suppress(Unavailable):
            await index.abandon_rebuild()
        raise
    return filled


async def _wait_for_the_lead(leadership: Leadership, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not await leadership.renew():
        if time.monotonic() > until:
            raise Conflict("the indexer does not step aside")
        await asyncio.sleep(0.2)


def _must_lead(leadership: Leadership) -> None:
    if not leadership.sure:
        raise Conflict("the lead of the indexing was lost")


async def _fill(database: Database, index: SearchIndex, indexer: Indexer, leadership: Leadership) -> int:
    """One chunk of documents, one round of what changed, and so on: a single writer, so nothing is overtaken."""
    filled = 0
    for tenant in await database.platform.tenants():
        async for ids in _conversation_ids(database, tenant.id):
            outcomes = await read_documents(database, [DocumentRef(tenant.id, one) for one in ids])
            documents = [outcome.document for outcome in outcomes if outcome.document is not None]
            refused = await index.fill(documents)
            filled += len(documents) - len(refused)
            # What does not go in takes the ordinary way to the dead letters.
            bad = [outcome.ref for outcome in outcomes if outcome.error is not None]
            await mark_again(database, [*bad, *(refusal.document for refusal in refused)])
            await indexer.round(leadership)
            _must_lead(leadership)
    return filled


async def _conversation_ids(database: Database, tenant_id: str) -> AsyncIterator[list[str]]:
    after: tuple[datetime, str] | None = None
    while True:
        async with database.tenant_tx(tenant_id) as tx:
            found = await tx.conversations.list(ConversationFilter(), Page(limit=_CHUNK, after=after))
        if found:
            yield [conversation.id for conversation in found]
        if len(found) < _CHUNK:
            return
        after = (found[-1].started_at, found[-1].id)


async def _indexed_ids(index: SearchIndex, tenant_id: str) -> AsyncIterator[list[str]]:
    after: PageKey | None = None
    while True:
        page = await index.search(SearchQuery(tenant_id, sort=NEWEST_FIRST, limit=_CHUNK, after=after))
        yield [hit.id for hit in page.hits]
        after = page.next
        if after is None:
            return
