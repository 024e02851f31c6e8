"""The indexer on a real database: coalescing, late marks, refusals, leaders, rebuilds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from domain.audio import AudioFacts
from domain.conversation import Channel, Stage
from domain.errors import Unavailable
from domain.intake import ConversationPatch, SegmentIn, TranscriptIn
from domain.search import Refusal, SearchDocument, SearchQuery
from domain.values import Layer
from services.index import run_indexer
from services.index_documents import Indexer, Round, read_document
from services.index_rebuild import LEADER, rebuild_all, rebuild_tenant
from services.leadership import Leadership, is_free
from services.merge_conversations import merge
from storage.postgres.database import PostgresDatabase
from storage.protocols import Page, Recording, Tenant
from storage.search.postgres import PostgresSearch
from tests.support.indexing import QUICK, Picky, converse, forget, found, leading, make_due, mark, turns, until
from tests.support.search_cases import where
from tests.support.stack import DatabaseUrls
from tests.support.storage import field, make_tenant, new_conversation, rendition, value

_TRANSCRIPT = TranscriptIn(segments=(SegmentIn(speaker="c", start_ms=0, end_ms=900, text="hello"),))


@pytest.fixture
async def tenant(database: DatabaseUrls) -> Tenant:
    return await make_tenant(database.owner)


@pytest.fixture
async def index(db: PostgresDatabase) -> Picky:
    """An index, and an outbox with nothing in it."""
    await db.platform.clear(await db.platform.dirty(10_000))
    return Picky(db)


async def test_what_changed_is_found_and_marked_searchable(db: PostgresDatabase, tenant: Tenant, index: Picky) -> None:
    csat = field("csat")
    one = await converse(db, tenant, ["I want a refund", "of course"], fields=[(csat, 2)])
    other = await converse(db, tenant, ["hello"])

    done = await Indexer(db, index, QUICK).round(await leading(db))

    assert done == Round(indexed=2)
    assert await found(index, tenant, "refund") == {one.id}
    assert await found(index, tenant) == {one.id, other.id}
    page = await index.search(SearchQuery(tenant.id, where=where("csat = 2 and searchable = true and turns = 2")))
    assert [hit.id for hit in page.hits] == [one.id]
    async with db.tenant_tx(tenant.id) as tx:
        assert (await tx.conversations.get(one.id)).searchable
    assert await db.platform.dirty(10) == []
    assert await db.platform.search_lag_seconds() == 0


async def test_many_marks_are_one_write(db: PostgresDatabase, tenant: Tenant, index: Picky) -> None:
    conversations = [await converse(db, tenant, ["x"]) for _ in range(5)]
    for _ in range(4):
        await mark(db, tenant, *(c.id for c in conversations))

    await Indexer(db, index, QUICK).round(await leading(db))

    assert [sorted(ids) for ids in index.writes] == [sorted(c.id for c in conversations)]


async def test_a_change_during_the_write_is_not_lost(db: PostgresDatabase, tenant: Tenant) -> None:
    class Slow(Picky):
        async def index(self, documents: Sequence[SearchDocument]) -> Sequence[Refusal]:
            answer = await super().index(documents)
            if len(self.writes) == 1:  # the conversation changes after it was read
                async with db.tenant_tx(tenant.id) as tx:
                    await tx.conversations.patch(conversation.id, ConversationPatch(tags=("late",)))
                    await tx.outbox.search_dirty(conversation.id)
            return answer

    await db.platform.clear(await db.platform.dirty(10_000))
    conversation = await converse(db, tenant, ["x"])
    index = Slow(db)
    indexer, leadership = Indexer(db, index, QUICK), await leading(db)

    await indexer.round(leadership)
    assert (await indexer.round(leadership)).indexed == 1

    page = await index.search(SearchQuery(tenant.id, where=where("tag = late")))
    assert [hit.id for hit in page.hits] == [conversation.id]
    assert (await indexer.round(leadership)).handled == 0


async def test_what_is_gone_leaves_the_index(
    db: PostgresDatabase, database: DatabaseUrls, tenant: Tenant, index: Picky
) -> None:
    indexer, leadership = Indexer(db, index, QUICK), await leading(db)
    one, other = await converse(db, tenant, ["x"]), await converse(db, tenant, ["x"])
    await indexer.round(leadership)
    await forget(database.owner, one)
    await mark(db, tenant, one.id)

    assert await indexer.round(leadership) == Round(removed=1)
    assert await found(index, tenant) == {other.id}


async def test_what_was_merged_leaves_the_index_and_does_not_come_back(
    db: PostgresDatabase, tenant: Tenant, index: Picky
) -> None:
    indexer, leadership = Indexer(db, index, QUICK), await leading(db)
    into, gone = await converse(db, tenant, ["refund"]), await converse(db, tenant, ["refund"])
    await indexer.round(leadership)
    assert await found(index, tenant, "refund") == {into.id, gone.id}
    async with db.tenant_tx(tenant.id) as tx:
        await merge(tx, [gone], into)

    assert await indexer.round(leadership) == Round(removed=1)
    await mark(db, tenant, gone.id)
    await rebuild_tenant(db, index, tenant.id)
    await indexer.round(leadership)
    assert await found(index, tenant, "refund") == {into.id}
    async with db.tenant_tx(tenant.id) as tx:
        assert not (await tx.conversations.get(gone.id)).searchable


async def test_a_refused_document_is_put_off_and_then_a_dead_letter_alone(
    db: PostgresDatabase, tenant: Tenant, index: Picky
) -> None:
    index.refuses = "cursed"
    leadership = await leading(db)
    bad = await converse(db, tenant, ["cursed words"])
    good = [await converse(db, tenant, ["fine words"]) for _ in range(3)]

    first = await Indexer(db, index, QUICK).round(leadership)
    assert first == Round(indexed=3, deferred=1)
    assert await found(index, tenant) == {c.id for c in good}
    assert await db.platform.dirty(10) == [], "it waits before it is tried again"

    for _ in range(QUICK.attempts - 1):
        await make_due(db, tenant, bad.id)
        last = await Indexer(db, index, QUICK).round(leadership)
    assert last == Round(dead_lettered=1)
    async with db.tenant_tx(tenant.id) as tx:
        (letter,) = await tx.dead_letters.list(open_only=True, page=Page())
    assert (letter.stage, letter.conversation_id, letter.attempts) == (Stage.INDEX, bad.id, QUICK.attempts)
    assert letter.detail == "too picky"

    index.refuses = ""
    await mark(db, tenant, bad.id)
    await Indexer(db, index, QUICK).round(leadership)
    assert bad.id in await found(index, tenant)


async def test_one_conversation_that_cannot_be_read_does_not_stop_the_others(
    db: PostgresDatabase, tenant: Tenant, index: Picky
) -> None:
    bad, good = await converse(db, tenant, ["x"]), await converse(db, tenant, ["x"])
    async with db.tenant_tx(tenant.id) as tx:
        await tx.session.execute(
            "update rendition set turns = '[{\"number\": 0}]'::jsonb where tenant_id = $1 and conversation_id = $2",
            tenant.id,
            bad.id,
        )

    done = await Indexer(db, index, QUICK).round(await leading(db))

    assert done == Round(indexed=1, deferred=1)
    assert await found(index, tenant) == {good.id}


async def test_an_index_that_is_away_costs_no_tries(db: PostgresDatabase, tenant: Tenant, index: Picky) -> None:
    index.away = Unavailable("away")
    one = await converse(db, tenant, ["x"])
    indexer, leadership = Indexer(db, index, QUICK), await leading(db)
    for _ in range(QUICK.attempts + 1):
        with pytest.raises(Unavailable):
            await indexer.round(leadership)
    (item,) = await db.platform.dirty(10)
    assert item.attempts == 0
    index.away = None
    assert await indexer.round(leadership) == Round(indexed=1)
    assert await found(index, tenant) == {one.id}


async def test_a_leader_that_lost_the_lead_clears_nothing(db: PostgresDatabase, tenant: Tenant, index: Picky) -> None:
    one = await converse(db, tenant, ["x"])
    lost = Leadership(db.platform, "lost", "somebody", 0.0)
    assert await lost.renew()
    assert not lost.sure

    assert await Indexer(db, index, QUICK).round(lost) == Round()

    assert one.id in {item.conversation_id for item in await db.platform.dirty(1000)}


async def test_a_new_revision_keeps_the_words_of_the_one_before_until_it_has_its_own(
    db: PostgresDatabase, tenant: Tenant, index: Picky
) -> None:
    one = await converse(db, tenant, ["first words"])
    async with db.tenant_tx(tenant.id) as tx:
        again = new_conversation(one.external_id, content_hash="changed")
        revised = (await tx.conversations.accept(again)).conversation
    assert revised.revision == 2
    indexer, leadership = Indexer(db, index, QUICK), await leading(db)
    await mark(db, tenant, one.id)
    await indexer.round(leadership)
    (hit,) = (await index.search(SearchQuery(tenant.id))).hits
    assert hit.revision == 1

    async with db.tenant_tx(tenant.id) as tx:
        await tx.renditions.put(rendition(revised, turns=turns(["second words"])))
        await tx.outbox.search_dirty(one.id)
    await indexer.round(leadership)
    assert await found(index, tenant, "first") == set()
    assert await found(index, tenant, "second") == {one.id}


async def test_a_calls_duration_is_the_measured_one(db: PostgresDatabase, tenant: Tenant) -> None:
    call = await converse(
        db, tenant, ["hello"], channel=Channel.CALL, dirty=False, messages=None, transcript=_TRANSCRIPT
    )
    facts = AudioFacts(
        container="wav", codec="pcm", sample_rate=8000, channels=2, duration_ms=61_500, speech_ms=1, talk=None
    )
    async with db.tenant_tx(tenant.id) as tx:
        await tx.renditions.put_recording(
            Recording(
                conversation_id=call.id, revision=1, facts=facts, engine="e", language=None, language_ground="none"
            )
        )
        document = await read_document(tx, call.id)
    assert document.facts.numbers["duration"] == 61.5


async def test_a_humans_value_is_what_is_indexed(db: PostgresDatabase, tenant: Tenant) -> None:
    csat = field("csat")
    one = await converse(db, tenant, ["x"], fields=[(csat, 1)])
    async with db.tenant_tx(tenant.id) as tx:
        await tx.values.put([value(tenant, one, csat, 5, layer=Layer.HUMAN, author="ada")])
        document = await read_document(tx, one.id)
    assert document.facts.numbers["csat"] == 5


# -- the loop -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(db: PostgresDatabase, index: PostgresSearch, count: int = 1) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(run_indexer(db, index, stop, settings=QUICK)) for _ in range(count)]
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 10)


async def test_two_indexers_one_leads(db: PostgresDatabase, tenant: Tenant, index: Picky) -> None:
    async with running(db, index, 2):
        conversations = [await converse(db, tenant, ["x"]) for _ in range(10)]
        await until(lambda: _all_found(index, tenant, {c.id for c in conversations}))
    written = [i for ids in index.writes for i in ids]
    assert sorted(written) == sorted(c.id for c in conversations), "each was written once"
    assert await is_free(db.platform, LEADER, "anybody"), "the lead was given back"


async def test_the_loop_outlives_an_index_that_is_away(db: PostgresDatabase, tenant: Tenant, index: Picky) -> None:
    index.away = Unavailable("away")
    async with running(db, index):
        one = await converse(db, tenant, ["x"])
        await asyncio.sleep(0.2)
        index.away = None
        await until(lambda: _all_found(index, tenant, {one.id}))


async def test_the_loop_outlives_a_defect(db: PostgresDatabase, tenant: Tenant, index: Picky) -> None:
    index.away = RuntimeError("a defect")
    async with running(db, index):
        one = await converse(db, tenant, ["x"])
        await asyncio.sleep(0.1)
        index.away = None
        await until(lambda: _all_found(index, tenant, {one.id}))


async def test_another_takes_over_when_a_leader_dies(db: PostgresDatabase, tenant: Tenant, index: Picky) -> None:
    dead = Leadership(db.platform, LEADER, "dead", 1.0)
    assert await dead.renew()
    async with running(db, index):
        one = await converse(db, tenant, ["x"])
        await until(lambda: _all_found(index, tenant, {one.id}))


async def _all_found(index: PostgresSearch, tenant: Tenant, ids: set[str]) -> bool:
    return await found(index, tenant) == ids


# -- rebuilding ---------------------------------------------------------------------------------------------


async def test_rebuild_of_everything_beside_a_running_indexer(
    db: PostgresDatabase, database: DatabaseUrls, tenant: Tenant, index: Picky
) -> None:
    async with running(db, index):
        conversations = [await converse(db, tenant, ["x"]) for _ in range(6)]
        await until(lambda: _all_found(index, tenant, {c.id for c in conversations}))
        await forget(database.owner, conversations[0])  # nobody told the index
        rebuilding = asyncio.create_task(rebuild_all(db, Picky(db), settings=QUICK, wait_seconds=20))
        late = await converse(db, tenant, ["x"])
        assert await rebuilding >= 5
        expected = {late.id, *(c.id for c in conversations[1:])}
        await until(lambda: _all_found(index, tenant, expected))
        after = await converse(db, tenant, ["x"])
        await until(lambda: _all_found(index, tenant, expected | {after.id}))


async def test_rebuild_of_one_tenant_marks_everything_and_what_is_gone(
    db: PostgresDatabase, database: DatabaseUrls, tenant: Tenant, index: Picky
) -> None:
    indexer, leadership = Indexer(db, index, QUICK), await leading(db)
    kept, gone = await converse(db, tenant, ["x"]), await converse(db, tenant, ["x"])
    await indexer.round(leadership)
    never = await converse(db, tenant, ["x"], dirty=False)
    await forget(database.owner, gone)

    assert await rebuild_tenant(db, index, tenant.id) == 3
    await indexer.round(leadership)

    assert await found(index, tenant) == {kept.id, never.id}
