"""The search port's contract, kept by every adapter: Postgres always, Meilisearch wherever there is one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.conversation import Channel
from domain.errors import NotFound
from domain.filters import from_json, matches
from domain.filters.conditions import Holding
from domain.filters.facts import FilterFacts
from domain.filters.tree import Expression, Filter
from domain.ids import derived_id
from domain.search import (
    Direction,
    DocumentRef,
    FacetRequest,
    SearchDocument,
    SearchPage,
    SearchQuery,
    Sort,
    read_words,
)
from tests.support import search_cases
from tests.support.filter_cases import EXPRESSIONS, NOW, ZONE, facts
from tests.support.search_cases import MEILI_ABSENT, SCHEMA, START, Ground, document, where
from tests.support.stack import DatabaseUrls


@pytest.fixture(scope="module", params=["postgres", "meilisearch"])
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    if request.param == "postgres":
        urls: DatabaseUrls = request.getfixturevalue("database")
        async with search_cases.postgres_ground(urls) as made:
            yield made
    elif not search_cases.meili_is_there():
        pytest.skip(MEILI_ABSENT)
    else:
        with search_cases.meili_server() as server:
            async with search_cases.meili_ground(server) as made:
                yield made


@pytest.fixture
async def empty(ground: Ground) -> Ground:
    """The ground with nothing of its tenants in it."""
    await ground.clear()
    return ground


async def put(ground: Ground, *documents: SearchDocument) -> None:
    assert not await ground.index.index(documents)


async def find(ground: Ground, text: str = "", tenant: int = 0, **more: object) -> SearchPage:
    query = SearchQuery(ground.tenants[tenant], read_words(text), **more)  # type: ignore[arg-type]
    return await ground.index.search(query)


async def found(ground: Ground, text: str = "", tenant: int = 0, **more: object) -> list[str]:
    return [hit.id for hit in (await find(ground, text, tenant, **more)).hits]


def days(number: float) -> datetime:
    return START + timedelta(days=number)


# -- words --------------------------------------------------------------------------------------------------


async def test_words_phrases_and_negatives(empty: Ground) -> None:
    tenant = empty.tenants[0]
    a = document(tenant, ["I want my refund", "The parcel came late"], started_at=days(3))
    b = document(tenant, ["The refund was late", "Thank you"], started_at=days(2))
    c = document(tenant, ["Late again", "and the refund parcel never arrived"], started_at=days(1))
    await put(empty, a, b, c)

    assert set(await found(empty, "refund")) == {a.id, b.id, c.id}
    assert await found(empty, "parcel thank") == []
    assert set(await found(empty, "parcel late")) == {a.id, c.id}
    assert await found(empty, '"refund was late"') == [b.id]
    assert await found(empty, '"late refund"') == []
    assert await found(empty, '"refund the"') == [], "a phrase does not span two turns"
    assert set(await found(empty, "refund -thank")) == {a.id, c.id}
    assert set(await found(empty, 'late -"parcel came"')) == {b.id, c.id}
    assert await found(empty, "-thank -arrived") == [a.id]
    assert await found(empty, "zeppelin") == []


async def test_case_accents_and_width_do_not_matter(empty: Ground) -> None:
    one = document(empty.tenants[0], "Die Rückerstattung für Frau MÜLLER in der Hauptstraße, ﬁnally; Łódź")
    await put(empty, one)
    for text in ("rückerstattung", "RUCKERSTATTUNG", "müller", "muller", "hauptstrasse", "finally", "lodz"):
        assert await found(empty, text) == [one.id], text


async def test_scripts_and_symbols(empty: Ground) -> None:
    tenant = empty.tenants[0]
    texts = {
        "arabic": "أريد استرداد المبلغ من فضلك",
        "hebrew": "אני רוצה הֶחְזֵר כספי",
        "chinese": "我想要退款谢谢",
        "thai": "ขอคืนเงินด้วยค่ะ",
        "hindi": "मुझे पैसे वापस चाहिए",
        "russian": "Верните деньги, пожалуйста",
        "emoji": "so happy 🎉🎉 thank you 👍🏽",
    }
    documents = {name: document(tenant, text, identity=derived_id("script", name)) for name, text in texts.items()}
    await put(empty, *documents.values())
    for name, query in {
        "arabic": "استرداد",
        "hebrew": "החזר",
        "chinese": "退款",
        "thai": "คืนเงิน",
        "hindi": "वापस",
        "russian": "деньги",
        "emoji": "🎉",
    }.items():
        assert await found(empty, query) == [documents[name].id], name
    assert await found(empty, "款退") == [], "characters in another order are another word"


async def test_addresses_numbers_and_apostrophes_are_found_as_written(empty: Ground) -> None:
    tenant = empty.tenants[0]
    one = document(tenant, "Order 40-1733-99, mail [email], I don't care about C3PO at example.com")
    await put(empty, one, document(tenant, "Order 99 at 1733 com example, 40 of them, t don"))
    for text in ("40-1733-99", "don't", "example.com", '"order 40"', "c3po"):
        assert await found(empty, text) == [one.id], text


async def test_the_last_word_may_be_unfinished_when_asked(empty: Ground) -> None:
    tenant = empty.tenants[0]
    one = document(tenant, "the chargeback is pending")
    await put(empty, one)
    assert [h.id for h in (await empty.index.search(SearchQuery(tenant, read_words("charg", prefix=True)))).hits] == [
        one.id
    ]
    assert await found(empty, "charg") == []


async def test_more_than_ten_words_do_not_hide_a_match(empty: Ground) -> None:
    text = "one two three four five six seven eight nine ten eleven twelve thirteen"
    one = document(empty.tenants[0], text)
    await put(empty, one)
    assert await found(empty, text) == [one.id]
    assert read_words(text + " unheard").left_out == 4


async def test_a_conversation_of_seventy_thousand_words_is_found_and_says_it_is_cut(empty: Ground) -> None:
    tenant = empty.tenants[0]
    # Short turns cost an engine most: positions are lost between them. Common words come more than 255 times.
    filler = [f"well the number {n} is the one, the other. And so on" for n in range(70_000 // 12)]
    filler[0] = "opening marmalade is the word"
    filler[4_900] = "nearly at the very end tangerine sits"
    filler[-1] = "beyond the end persimmon sits"
    long = document(tenant, filler)
    short = document(tenant, "marmalade and tangerine")
    await put(empty, long, short)

    assert long.total_words > 60_000
    page = await find(empty, "marmalade")
    assert {(hit.id, hit.partial) for hit in page.hits} == {(long.id, True), (short.id, False)}
    assert set(await found(empty, "tangerine")) == {long.id, short.id}
    assert await found(empty, "marmalade opening tangerine") == [long.id]
    assert await found(empty, '"the very end"') == [long.id]
    assert await found(empty, "persimmon") == []


async def test_one_turn_of_sixty_thousand_words(empty: Ground) -> None:
    words = [f"w{n % 4000}" for n in range(60_000)]
    words[59_990:59_993] = ["quite", "the", "finale"]
    one = document(empty.tenants[0], " ".join(words))
    await put(empty, one)
    assert await found(empty, '"quite the finale"') == [one.id]


async def test_turns_that_hits_name_do_match(empty: Ground) -> None:
    tenant = empty.tenants[0]
    texts = ["hello there", "how can I help", "my refund is late", "", "ah", "the refund was sent", "thanks"]
    await put(empty, document(tenant, texts))
    (hit,) = (await find(empty, "refund")).hits
    assert set(hit.turns) <= {3, 6}, "an adapter that names turns names right ones"
    (hit,) = (await find(empty, '"how can"')).hits
    assert hit.turns in ((), (2,))


# -- tenants ------------------------------------------------------------------------------------------------


async def test_the_wall_between_tenants(empty: Ground) -> None:
    one, other = empty.tenants
    same = derived_id("wall")
    mine = document(one, "the same words", tags=("x",), queue=other)
    await put(empty, mine, document(other, "the same words", tags=("x",)), document(other, "mine too", identity=same))
    hostile = (
        f"queue = {other!r}",
        f"queue = 'x\\' OR tenant_id = \\'{other}'",
        f"not queue = '{one}\" OR tenant_id = \"{other}'",
        f"meta.tenant_id = '{other}' or not meta.tenant_id exists",
        "not tag = y",
        f"tag in (x, '{other}') or not tag in ('a) OR (tenant_id EXISTS')",
    )
    for text in hostile:
        assert set(await found(empty, where=where(text))) <= {mine.id}, text
    assert await found(empty, "same words") == [mine.id]
    assert await found(empty, "-nothing") == [mine.id]
    page = await find(empty, facets=(FacetRequest("tag", (Holding.TEXT,)),))
    assert page.total == 1
    assert [(v.value, v.count) for v in page.facets[0].values] == [("x", 1)]
    for stranger in (one.upper(), one[:-1], "", "*", f"{one}' OR tenant_id EXISTS OR 'a' = 'a"):
        if stranger != one:
            with pytest.raises(NotFound):
                await empty.index.search(SearchQuery(stranger, read_words("same")))


async def test_one_id_in_two_tenants_are_two_documents(empty: Ground) -> None:
    one, other = empty.tenants
    identity = derived_id("twice")
    await put(empty, document(one, "apple", identity=identity), document(other, "pear", identity=identity))
    assert await found(empty, "apple") == [identity]
    assert await found(empty, "pear") == []
    assert await found(empty, "pear", tenant=1) == [identity]
    await empty.index.delete([DocumentRef(other, identity)])
    assert await found(empty, "apple") == [identity]
    assert await found(empty, "", tenant=1) == []


async def test_a_tenant_is_taken_out_whole(empty: Ground) -> None:
    one, other = empty.tenants
    await put(empty, *[document(one, "x") for _ in range(5)], document(other, "x"))
    await empty.index.delete_tenant(one)
    assert await found(empty) == []
    assert len(await found(empty, tenant=1)) == 1


# -- filters ------------------------------------------------------------------------------------------------


async def test_filters_agree_with_the_evaluator(empty: Ground) -> None:
    """Generated conversations once, then many generated filters against all of them."""
    tenant = empty.tenants[0]
    made: list[FilterFacts] = []

    @settings(max_examples=1, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.lists(facts(), min_size=60, max_size=60, unique_by=lambda of: of.id))
    def generate(some: list[FilterFacts]) -> None:
        made[:] = some

    expressions: list[Expression] = []

    @settings(max_examples=250, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(EXPRESSIONS)
    def collect(expression: Expression) -> None:
        expressions.append(expression)

    generate()
    collect()
    await put(empty, *(SearchDocument(tenant_id=tenant, id=of.id, revision=1, started_ms=0, facts=of) for of in made))
    assert len(await found(empty, limit=200)) == len(made)
    hits = 0
    for expression in expressions:
        bound = Filter(expression, NOW, ZONE)
        expected = {of.id for of in made if matches(bound, of)}
        assert set(await found(empty, where=bound, limit=200)) == expected, bound
        hits += 0 < len(expected) < len(made)
    assert hits > len(expressions) / 10, "too few of the filters tell documents apart"


async def test_filters_of_every_kind(empty: Ground) -> None:
    tenant = empty.tenants[0]
    one = document(
        tenant,
        "refund please",
        channel=Channel.CALL,
        ended_at=START + timedelta(seconds=90),
        tags=("VIP", "Späti"),
        metadata={"plan": "gold", "seats": 12, "trial": True, "Note": "it's \\ 'odd' \"here\"" + "x" * 600},
        fields={"csat": 2, "sentiment": "negative", "topics": ("billing",), "summary": None, "renewal": "2026-12-01"},
    )
    await put(empty, one, document(tenant, "refund please"))
    long_note = one.facts.texts["meta.Note"][0]
    for text in (
        "channel = call and duration > 15s and csat < 3 and meta.plan = 'gold'",
        "tag = vip and tag = 'späti' and not tag = 'spati'",
        "topics = billing and sentiment in (negative, mixed)",
        "summary is unknown and not summary exists",
        "meta.trial = true and meta.seats = 12 and meta.seats between 11 and 12.5",
        "renewal = 2026-12-01 and renewal > today",
        "meta.plan != silver and not meta.nothing exists and not meta.nothing != 'x'",
        "duration = 90s and turns = 1 and revision = 1 and searchable = true",
        "started = 2026-11-01 and started <= 2026-11-01T09:00 and channel != chat",
        "csat exists",
    ):
        assert await found(empty, "refund", where=where(text)) == [one.id], text
    quoted = long_note.replace("\\", "\\\\").replace("'", "\\'")
    assert await found(empty, where=where(f"meta.Note = '{quoted}'")) == [one.id]
    assert await found(empty, where=where(f"meta.Note = '{quoted}y'")) == []


async def test_a_long_list_and_deep_nesting(empty: Ground) -> None:
    tenant = empty.tenants[0]
    ids = [derived_id("list", str(n)) for n in range(30)]
    await put(empty, *[document(tenant, "x", identity=i) for i in ids])
    wanted = [*ids[:10], *[derived_id("absent", str(n)) for n in range(990)]]
    many = from_json({"op": "in", "name": "id", "values": wanted}, SCHEMA, now=NOW, zone=ZONE)
    assert set(await found(empty, where=many, limit=50)) == set(ids[:10])
    deep: dict[str, object] = {"op": "in", "name": "id", "values": ids[:3]}
    for level in range(20):
        other = {"op": "=", "name": "channel", "value": "chat" if level % 2 else "call"}
        deep = {"op": "and" if level % 2 else "or", "parts": [deep, other]}
    nested = from_json(deep, SCHEMA, now=NOW, zone=ZONE)
    assert set(await found(empty, where=nested, limit=50)) == set(ids[:3])


# -- facets -------------------------------------------------------------------------------------------------


async def test_facets_count_what_matches(empty: Ground) -> None:
    tenant = empty.tenants[0]
    await put(
        empty,
        document(
            tenant, "refund", tags=("VIP", "new"), fields={"csat": 1, "escalated": True}, metadata={"plan": "gold"}
        ),
        document(tenant, "refund", tags=("vip",), fields={"csat": 1, "escalated": False}, metadata={"plan": 7}),
        document(tenant, "refund", fields={"csat": 4}, metadata={"plan": True, "x": "y" * 800}),
        document(tenant, "other", tags=("vip",), fields={"csat": 5}),
    )
    requests = (
        FacetRequest("tag", (Holding.TEXT,)),
        FacetRequest("csat", (Holding.NUMBER,)),
        FacetRequest("escalated", (Holding.FLAG,)),
        FacetRequest("meta.plan", tuple(Holding)),
        FacetRequest("meta.x", tuple(Holding)),
        FacetRequest("nothing", (Holding.TEXT,)),
    )
    page = await find(empty, "refund", facets=requests)
    counts = {facet.key: [(v.value, v.count) for v in facet.values] for facet in page.facets}
    assert page.total == 3
    assert [(str(v).lower(), n) for v, n in counts["tag"]] == [("vip", 2), ("new", 1)]
    assert counts["csat"] == [(1, 2), (4, 1)]
    assert counts["escalated"] == [(False, 1), (True, 1)]
    assert {(v, n) for v, n in counts["meta.plan"]} == {("gold", 1), (7, 1), (True, 1)}
    assert counts["meta.x"] == [], "a text too long to show is not counted"
    assert counts["nothing"] == []
    filtered = await find(empty, "refund", facets=requests[:1], where=where("csat = 1 and tag = new"))
    assert filtered.total == 1
    assert [v.count for v in filtered.facets[0].values] == [1, 1]


async def test_facets_show_the_most_frequent_values(empty: Ground) -> None:
    tenant = empty.tenants[0]
    await put(
        empty,
        *[document(tenant, "x", tags=(f"tag {n:03}",)) for n in range(130)],
        *[document(tenant, "x", tags=("tag 129",)) for _ in range(2)],
    )
    page = await find(empty, facets=(FacetRequest("tag", (Holding.TEXT,)),))
    (facet,) = page.facets
    assert len(facet.values) == 100
    assert (facet.values[0].value, facet.values[0].count) == ("tag 129", 3)
    assert page.total == 132


# -- order and pages ----------------------------------------------------------------------------------------


async def walk(ground: Ground, limit: int = 7, **query: object) -> list[str]:
    ids: list[str] = []
    after = None
    while True:
        page = await find(ground, limit=limit, after=after, **query)  # type: ignore[arg-type]
        ids += [hit.id for hit in page.hits]
        assert len(page.hits) <= limit
        after = page.next
        if after is None:
            return ids
        assert page.hits, "a page that goes on has rows"


async def test_no_words_is_everything_newest_first(empty: Ground) -> None:
    tenant = empty.tenants[0]
    documents = [document(tenant, "x", started_at=days(n // 2)) for n in range(20)]
    await put(empty, *documents)
    expected = [d.id for d in sorted(documents, key=lambda d: (-d.started_ms, d.id))]
    assert await found(empty, limit=50) == expected
    assert await walk(empty) == expected


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("key", ["csat", "started", "duration", "meta.seats", "renewal"])
async def test_sort_with_ties_and_gaps(empty: Ground, key: str, direction: Direction) -> None:
    tenant = empty.tenants[0]
    documents = [
        document(
            tenant,
            "refund",
            started_at=days(n % 5),
            ended_at=None if n % 4 == 0 else days(n % 5) + timedelta(milliseconds=500 * (n % 3)),
            fields={} if n % 3 == 0 else {"csat": n % 4 - 1, "renewal": f"2026-12-0{n % 5 + 1}"},
            metadata={} if n % 3 == 1 else {"seats": (n % 4) * -1.5},
        )
        for n in range(40)
    ]
    await put(empty, *documents)
    sign = 1 if direction is Direction.ASCENDING else -1
    held = {d.id: d.facts.numbers.get(key) for d in documents}
    expected = sorted(held, key=lambda i: ((held[i] is None), sign * (held[i] or 0), i))
    sort = Sort(key, direction)
    assert await found(empty, limit=50, sort=sort) == expected
    assert await walk(empty, sort=sort) == expected
    assert await walk(empty, text="refund", sort=sort) == expected


async def test_relevance_puts_what_is_said_more_and_together_first(empty: Ground) -> None:
    tenant = empty.tenants[0]
    apart = document(tenant, ["a refund was promised to me", "then the parcel was late"], started_at=days(9))
    together = document(tenant, ["I ask for the late refund", "late refund please"], started_at=days(1))
    await put(empty, apart, together)
    page = await find(empty, "late refund")
    assert [hit.id for hit in page.hits] == [together.id, apart.id]
    assert all(hit.score is not None for hit in page.hits)


async def test_equal_relevance_is_newest_first_and_walks_whole(empty: Ground) -> None:
    tenant = empty.tenants[0]
    documents = [document(tenant, "just a refund", started_at=days(n % 6)) for n in range(30)]
    await put(empty, *documents)
    expected = [d.id for d in sorted(documents, key=lambda d: (-d.started_ms, d.id))]
    assert await found(empty, "refund", limit=50) == expected
    assert await walk(empty, text="refund") == expected


@pytest.mark.parametrize("text", ["", "refund"])
async def test_a_walk_over_a_growing_index_has_no_doubles_and_no_holes(empty: Ground, text: str) -> None:
    tenant = empty.tenants[0]
    there = [document(tenant, f"refund number {n}", started_at=days(n % 40)) for n in range(300)]
    await put(empty, *there)
    ids: list[str] = []
    after, pages = None, 0
    while True:
        page = await find(empty, text, limit=40, after=after)
        ids += [hit.id for hit in page.hits]
        after, pages = page.next, pages + 1
        if after is None:
            break
        more = [document(tenant, f"refund more {pages}", started_at=days(pages * 5 + n)) for n in range(4)]
        await put(empty, *more)
    assert len(ids) == len(set(ids)), "a document came twice"
    assert {d.id for d in there} <= set(ids), "a document was left out"


# -- writing ------------------------------------------------------------------------------------------------


async def test_a_document_is_replaced_whole(empty: Ground) -> None:
    tenant = empty.tenants[0]
    identity = derived_id("replaced")
    await put(empty, document(tenant, "apple", identity=identity, tags=("x",), fields={"csat": 1}))
    await put(empty, document(tenant, "pear", identity=identity, revision=2, fields={"score": 2.5}))
    assert await found(empty, "apple") == []
    assert await found(empty, where=where("tag exists or csat exists")) == []
    (hit,) = (await find(empty, "pear", where=where("score = 2.5"))).hits
    assert hit.revision == 2
    assert (await find(empty)).total == 1


async def test_the_last_of_several_in_one_batch_wins(empty: Ground) -> None:
    tenant = empty.tenants[0]
    identity = derived_id("last")
    await put(empty, *[document(tenant, f"version{n}", identity=identity, revision=n + 1) for n in range(5)])
    (hit,) = (await find(empty)).hits
    assert hit.revision == 5
    assert await found(empty, "version0") == []


async def test_words_come_before_values_and_values_before_words(empty: Ground) -> None:
    """A document may have no turns yet, and may lose them."""
    tenant = empty.tenants[0]
    identity = derived_id("bare")
    await put(empty, document(tenant, (), identity=identity, fields={"csat": 3}))
    assert await found(empty, where=where("csat = 3")) == [identity]
    await put(empty, document(tenant, "now with words", identity=identity))
    assert await found(empty, "words") == [identity]
    await put(empty, document(tenant, "...", identity=identity))
    assert await found(empty, "words") == []
    assert await found(empty) == [identity]


async def test_delete_is_repeatable_and_put_brings_back(empty: Ground) -> None:
    tenant = empty.tenants[0]
    one, other = document(tenant, "one"), document(tenant, "other")
    await put(empty, one, other)
    for _ in range(2):
        await empty.index.delete([DocumentRef(tenant, one.id), DocumentRef(tenant, derived_id("never"))])
        assert await found(empty) == [other.id]
    await put(empty, one)
    assert set(await found(empty)) == {one.id, other.id}
    assert not await empty.index.index([])
    await empty.index.delete([])


async def test_one_bad_document_does_not_keep_the_others_out(empty: Ground) -> None:
    tenant = empty.tenants[0]
    good = [document(tenant, "fine") for _ in range(20)]
    bad = document(tenant, "broken")
    bad = bad.model_copy(update={"facts": bad.facts.model_copy(update={"texts": {"meta.x": ("half a pair \ud800",)}})})
    refused = await empty.index.index([*good[:7], bad, *good[7:]])
    assert [refusal.document for refusal in refused] == [DocumentRef(tenant, bad.id)]
    assert "half a pair" not in refused[0].reason
    assert len(await found(empty, "fine", limit=50)) == 20
    assert await found(empty, "broken") == []


async def test_a_batch_of_a_thousand(empty: Ground) -> None:
    tenant = empty.tenants[0]
    await put(empty, *[document(tenant, f"bulk row{n}") for n in range(1000)])
    assert (await find(empty, "bulk")).total == 1000
    assert (await find(empty)).total == 1000
    assert len(await found(empty, "row777")) >= 1


async def test_odd_texts_do_no_harm(empty: Ground) -> None:
    tenant = empty.tenants[0]
    odd = [
        "\x00\x01\x02 control \x7f\u200b",
        "' \\' \" ; drop table search_document; --",
        "a" * 10_000,
        "\u202egnihtyreve desrever\u202c",
        "👩‍👩‍👧‍👦" * 500,
        "%s %d {} ${x} :* <-> & | ! ( )",
        "\ufffe\uffff\ud7ff",
    ]
    documents = [document(tenant, [text, "marker"]) for text in odd]
    await put(empty, *documents)
    assert len(await found(empty, "marker", limit=50)) == len(odd)
    for text in (*odd, '"', "-", '-"', "''", "a:*", "!x", "\\"):
        await find(empty, text[:1000])


# -- rebuild ------------------------------------------------------------------------------------------------


async def test_rebuild_while_searches_go_on(empty: Ground) -> None:
    tenant = empty.tenants[0]
    index = empty.index
    kept = [document(tenant, f"kept {n}", started_at=days(n)) for n in range(60)]
    gone = [document(tenant, "gone") for _ in range(5)]
    await put(empty, *kept, *gone)
    stop = asyncio.Event()
    seen: list[int] = []

    async def keep_searching() -> None:
        while not stop.is_set():
            seen.append((await find(empty, "kept", limit=200)).total or 0)
            await asyncio.sleep(0)

    searching = asyncio.create_task(keep_searching())
    try:
        await index.begin_rebuild()
        assert (await index.health()).rebuilding
        assert not await index.fill(kept[:30])
        late = document(tenant, "kept late", started_at=days(99))
        await put(empty, late)
        await index.delete([DocumentRef(tenant, kept[0].id)])
        assert not await index.fill(kept[30:])
        await index.finish_rebuild()
        assert not (await index.health()).rebuilding
    finally:
        stop.set()
        await searching
    assert len(seen) > 1
    assert set(seen) <= {60, 61}, "no search saw an index half full"
    assert set(await found(empty, "kept", limit=200)) == {*(d.id for d in kept[1:]), late.id}
    assert await found(empty, "gone") == []
    await put(empty, document(tenant, "kept after"))
    assert (await find(empty, "kept")).total == 61


async def test_a_rebuild_can_be_given_up_and_begun_again(empty: Ground) -> None:
    tenant = empty.tenants[0]
    one = document(tenant, "still here")
    await put(empty, one)
    await empty.index.begin_rebuild()
    await empty.index.abandon_rebuild()
    assert await found(empty, "still") == [one.id]
    await empty.index.begin_rebuild()
    await empty.index.begin_rebuild()
    assert not await empty.index.fill([one])
    await empty.index.finish_rebuild()
    assert await found(empty, "still") == [one.id]


# -- health -------------------------------------------------------------------------------------------------


async def test_health_counts(empty: Ground) -> None:
    before = (await empty.index.health()).documents
    await put(empty, *[document(empty.tenants[0], "x") for _ in range(3)])
    health = await empty.index.health()
    assert health.documents == before + 3
    assert health.waiting == 0
    assert health.backend == empty.index.backend


async def test_prepare_is_repeatable(empty: Ground) -> None:
    one = document(empty.tenants[0], "x")
    await put(empty, one)
    await empty.index.prepare()
    assert await found(empty) == [one.id]


async def test_many_readers_at_once(empty: Ground) -> None:
    tenant = empty.tenants[0]
    await put(empty, *[document(tenant, f"refund {n}") for n in range(20)])
    pages: Sequence[SearchPage] = await asyncio.gather(*[find(empty, "refund") for _ in range(60)])
    assert {page.total for page in pages} == {20}
