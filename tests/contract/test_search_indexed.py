"""From the outbox to a hit with its words marked, over each search engine."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from domain.errors import Unavailable
from services.index import run_indexer
from services.index_rebuild import rebuild_all
from services.search import SearchConversations, SearchRequest
from storage.postgres.database import PostgresDatabase
from storage.protocols import Tenant
from storage.search.meilisearch import MeilisearchSearch
from storage.search.port import SearchIndex
from storage.search.postgres import PostgresSearch
from tests.support import search_cases
from tests.support.indexing import QUICK, converse, found, until
from tests.support.stack import DatabaseUrls
from tests.support.storage import field, make_tenant


@pytest.fixture(scope="module")
async def db(database: DatabaseUrls) -> AsyncIterator[PostgresDatabase]:
    connected = await PostgresDatabase.connect(database.app, database.platform, pool_max=8)
    yield connected
    await connected.close()


@pytest.fixture(params=["postgres", "meilisearch"])
async def index(request: pytest.FixtureRequest, db: PostgresDatabase) -> AsyncIterator[SearchIndex]:
    """An index nobody has prepared."""
    if request.param == "postgres":
        yield PostgresSearch(db)
    elif not search_cases.meili_is_there():
        pytest.skip(search_cases.MEILI_ABSENT)
    else:
        with search_cases.meili_server() as server:
            made = MeilisearchSearch(server.url, server.key, f"test-{uuid4().hex[:12]}")
            yield made
            await made.remove()


async def test_from_the_outbox_to_a_marked_word(
    index: SearchIndex, db: PostgresDatabase, database: DatabaseUrls
) -> None:
    tenant = await make_tenant(database.owner)
    csat = field("csat")
    early = await converse(db, tenant, ["it was here before there was an index"], dirty=False)
    stop = asyncio.Event()
    indexing = asyncio.create_task(run_indexer(db, index, stop, settings=QUICK))
    try:
        one = await converse(db, tenant, ["hello", "how can I help", "my refund is late"], fields=[(csat, 2)])
        await until(lambda: _are(index, tenant, {early.id, one.id}), 60)
        await until(lambda: _searchable(db, tenant, one.id), 60)  # written after the index has it

        result = await SearchConversations(db, index).search(
            tenant.id, SearchRequest(query="refund", where="csat < 3 and channel = chat", facets=("csat",))
        )

        (hit,) = result.hits
        assert hit.conversation.id == one.id
        assert hit.conversation.searchable
        ((fragment,), (span,)) = hit.fragments, hit.fragments[0].spans
        assert (fragment.turn, fragment.text[span.start : span.end]) == (3, "refund")
        assert [(v.value, v.count) for v in result.facets[0].values] == [(2.0, 1)]

        await rebuild_all(db, index, settings=QUICK)
        late = await converse(db, tenant, ["a refund after the rebuild"])
        await until(lambda: _are(index, tenant, {early.id, one.id, late.id}), 60)
    finally:
        stop.set()
        await asyncio.wait_for(indexing, 60)


async def _are(index: SearchIndex, tenant: Tenant, ids: set[str]) -> bool:
    try:
        return await found(index, tenant) == ids
    except Unavailable:  # not made yet
        return False


async def _searchable(db: PostgresDatabase, tenant: Tenant, conversation_id: str) -> bool:
    async with db.tenant_tx(tenant.id) as tx:
        return (await tx.conversations.get(conversation_id)).searchable
