"""Searching as a caller does it: names of the tenant's fields, what may be seen, pages, fragments."""

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from domain.conversation import Channel, Conversation
from domain.errors import InvalidFilter, InvalidInput, NotFound
from domain.fields import CustomField, FieldType
from domain.ids import derived_id, new_tenant_id
from domain.search import SearchQuery
from services.index_documents import Indexer
from services.search import SearchConversations, SearchRequest, SearchResult
from storage.postgres.database import PostgresDatabase
from storage.postgres.provisioning import Provisioning
from storage.protocols import Tenant
from storage.search.postgres import PostgresSearch
from storage.search.postgres_sql import page_statement
from tests.support.filter_cases import NOW
from tests.support.indexing import QUICK, converse, forget, leading
from tests.support.search_cases import document
from tests.support.stack import DatabaseUrls
from tests.support.storage import START, field, make_tenant

CSAT = field("csat")
MOOD = field("mood", FieldType.CHOICE)
DIAGNOSIS = field("diagnosis", FieldType.TEXT, sensitive=True)


@pytest.fixture
async def tenant(database: DatabaseUrls) -> Tenant:
    return await make_tenant(database.owner)


class Searching:
    def __init__(self, db: PostgresDatabase, tenant: Tenant) -> None:
        self.db, self.tenant = db, tenant
        self.index = PostgresSearch(db)
        self.now = NOW
        self.service = SearchConversations(db, self.index, clock=lambda: self.now)

    async def add(self, *texts: str, fields: Sequence[tuple[CustomField, Any]] = (), **changes: Any) -> Conversation:
        # Fields of one key belong to one tenant: each tenant gets its own.
        own = [(self.own(f), content) for f, content in fields]
        return await converse(self.db, self.tenant, texts, fields=own, **changes)

    def own(self, of: CustomField) -> CustomField:
        return of.model_copy(update={"id": derived_id("own", self.tenant.id, of.key)})

    async def indexed(self) -> None:
        leadership = await leading(self.db)
        while (await Indexer(self.db, self.index, QUICK).round(leadership)).handled:
            pass

    async def ask(self, query: str = "", *, sensitive: bool = False, **more: Any) -> SearchResult:
        return await self.service.search(
            self.tenant.id, SearchRequest(query=query, **more), may_see_sensitive=sensitive
        )


@pytest.fixture
async def searching(db: PostgresDatabase, tenant: Tenant) -> Searching:
    return Searching(db, tenant)


async def test_words_filter_and_fragments(searching: Searching) -> None:
    angry = await searching.add(
        "Hello", "How can I help?", "I want a refund. The parcel came late.", fields=[(CSAT, 1), (MOOD, "red")]
    )
    await searching.add("A refund would be nice", fields=[(CSAT, 5), (MOOD, "green")])
    await searching.indexed()

    result = await searching.ask("refund", where="csat < 3 and channel = chat and mood = red", facets=("mood", "csat"))

    (hit,) = result.hits
    assert hit.conversation.id == angry.id
    (fragment,) = hit.fragments
    assert (fragment.turn, [fragment.text[s.start : s.end] for s in fragment.spans]) == (3, ["refund"])
    assert result.total == 1
    assert {f.name: [(v.value, v.count) for v in f.values] for f in result.facets} == {
        "mood": [("red", 1)],
        "csat": [(1.0, 1)],
    }
    assert (result.backend, result.notes, result.next_cursor) == ("postgres", (), None)
    by_json = await searching.ask("refund", where={"op": "<", "name": "csat", "value": 3})
    assert [h.conversation.id for h in by_json.hits] == [angry.id]


async def test_a_hidden_field_can_be_neither_filtered_nor_counted_nor_sorted(searching: Searching) -> None:
    one = await searching.add("x", fields=[(DIAGNOSIS, "flu")])
    await searching.indexed()
    with pytest.raises(InvalidFilter, match="unknown name `diagnosis`"):
        await searching.ask(where="diagnosis = flu")
    with pytest.raises(InvalidInput, match="unknown name `diagnosis`"):
        await searching.ask(facets=("diagnosis",))
    with pytest.raises(InvalidInput, match="unknown name `diagnosis`"):
        await searching.ask(sort="-diagnosis")
    allowed = await searching.ask(where="diagnosis = flu", facets=("diagnosis",), sensitive=True)
    assert [h.conversation.id for h in allowed.hits] == [one.id]


async def test_sorts_and_their_refusals(searching: Searching) -> None:
    made = [await searching.add("refund", fields=[(CSAT, n)], started_at=START + timedelta(days=n)) for n in (1, 3, 2)]
    await searching.indexed()
    ids = {n: c.id for n, c in zip((1, 3, 2), made, strict=True)}

    async def order(**more: Any) -> list[str]:
        return [h.conversation.id for h in (await searching.ask(**more)).hits]

    assert await order() == [ids[3], ids[2], ids[1]]
    assert await order(sort="csat") == [ids[1], ids[2], ids[3]]
    assert await order(sort="-csat") == [ids[3], ids[2], ids[1]]
    assert await order(query="refund", sort="started") == [ids[1], ids[2], ids[3]]
    assert set(await order(query="refund", sort="relevance")) == set(ids.values())
    for wrong in ("queue", "nothing", "-", "channel"):
        with pytest.raises(InvalidInput):
            await searching.ask(sort=wrong)
    for wrong in ("started", "duration", "nothing"):
        with pytest.raises(InvalidInput):
            await searching.ask(facets=(wrong,))


async def test_pages_and_cursors(searching: Searching) -> None:
    made = {(await searching.add("refund", started_at=START + timedelta(hours=n))).id for n in range(11)}
    await searching.indexed()
    asked: list[dict[str, Any]] = [{}, {"query": "refund"}, {"sort": "started"}, {"where": "started > now - 900d"}]
    for more in asked:
        seen: list[str] = []
        cursor = None
        while True:
            result = await searching.ask(limit=4, cursor=cursor, **more)
            seen += [h.conversation.id for h in result.hits]
            assert (result.total == 11) is (cursor is None)
            searching.now += timedelta(days=400)  # `now` stays what it was on the first page
            cursor = result.next_cursor
            if cursor is None:
                break
        searching.now = NOW
        assert len(seen) == 11
        assert set(seen) == made


async def test_a_cursor_belongs_to_its_search(searching: Searching) -> None:
    for _ in range(3):
        await searching.add("refund")
    await searching.indexed()
    cursor = (await searching.ask("refund", limit=1)).next_cursor
    assert cursor is not None
    others: list[dict[str, Any]] = [
        {"query": "late"},
        {"query": "refund", "sort": "started"},
        {"query": "refund", "where": "tag exists"},
    ]
    for other in others:
        with pytest.raises(InvalidInput, match="another search"):
            await searching.ask(limit=1, cursor=cursor, **other)
    for damaged in ("x", "", "!!!", cursor[:-3], cursor + "AA", base64.urlsafe_b64encode(b'{"search": 1}').decode()):
        with pytest.raises(InvalidInput, match="cursor"):
            await searching.ask("refund", limit=1, cursor=damaged)
    assert len((await searching.ask("refund", limit=2, cursor=cursor)).hits) == 2


async def test_what_was_erased_since_is_left_out(searching: Searching, database: DatabaseUrls) -> None:
    one, other = await searching.add("refund"), await searching.add("refund")
    await searching.indexed()
    await forget(database.owner, one)
    assert [h.conversation.id for h in (await searching.ask("refund")).hits] == [other.id]


async def test_two_tenants(searching: Searching, db: PostgresDatabase, database: DatabaseUrls) -> None:
    mine = await searching.add("the same words", channel=Channel.CHAT)
    stranger = Searching(db, await make_tenant(database.owner))
    theirs = await stranger.add("the same words")
    await searching.indexed()
    assert [h.conversation.id for h in (await searching.ask("same words")).hits] == [mine.id]
    assert [h.conversation.id for h in (await stranger.ask("same words")).hits] == [theirs.id]
    with pytest.raises(NotFound):
        await searching.service.search(new_tenant_id(), SearchRequest(query="same"))


async def test_blank_filters_mean_none_and_many_words_are_noted(searching: Searching) -> None:
    one = await searching.add("a b c d e f g h i j k l")
    await searching.indexed()
    assert (await searching.ask(where="  ")).total == 1
    result = await searching.ask("a b c d e f g h i j k zebra")
    assert [h.conversation.id for h in result.hits] == [one.id]
    assert "first 10 words" in result.notes[0]
    assert (await searching.ask("a", highlight=False)).hits[0].fragments == ()
    assert (await searching.ask("a b", unfinished=True)).total == 1


# -- plans --------------------------------------------------------------------------------------------------


async def test_the_app_role_reaches_the_full_text_index(
    searching: Searching, db: PostgresDatabase, database: DatabaseUrls
) -> None:
    """`@@` is not leakproof: through a policy Postgres would look at the tenant's documents one by one."""
    await searching.index.index([document(searching.tenant.id, f"rare{n} common") for n in range(2_000)])
    async with Provisioning.connect(database.owner) as provisioning:
        await provisioning._connection.execute("analyze search_document")

    async def scans() -> int:
        async with db.tenant_tx(searching.tenant.id) as tx:
            found: int = await tx.session.value(
                "select idx_scan from pg_stat_user_indexes where indexrelname = 'search_document_by_word'"
            )
            return found

    before = await scans()
    async with db.tenant_tx(searching.tenant.id) as tx:
        direct = await tx.session.rows(
            "explain select conversation_id from search_document where search_lexemes(tenant_id, words) @@ 'rare17'"
        )
        assert await tx.session.value("select count(*) from search_match('rare17'::tsquery)") == 1
        await tx.session.value("select pg_stat_force_next_flush()")
    assert "search_document_by_word" not in "\n".join(row[0] for row in direct)
    assert await scans() == before + 1


async def test_newest_first_reads_no_more_than_a_page(searching: Searching, db: PostgresDatabase) -> None:
    await searching.index.index([document(searching.tenant.id, "x") for _ in range(300)])
    statement = page_statement(SearchQuery(searching.tenant.id, limit=5))
    async with db.tenant_tx(searching.tenant.id) as tx:
        await tx.session.value("select set_config('enable_seqscan', 'off', true)")
        plan = await tx.session.rows(f"explain {statement.sql}", *statement.arguments)
    assert "search_document_by_time" in "\n".join(row[0] for row in plan)
    assert not any("Sort" in row[0] for row in plan)
