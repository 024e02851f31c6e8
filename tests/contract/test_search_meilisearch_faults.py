"""The Meilisearch adapter when the engine misbehaves, by a double on the wire. The contract is another suite."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from domain.errors import Unavailable
from domain.search import DocumentRef, SearchQuery, read_words
from storage.search.meilisearch import MeilisearchSearch
from storage.search.meilisearch_client import SearchDefect
from tests.support.meilisearch_double import Answer, Double, running_double
from tests.support.search_cases import document

TENANT = uuid4().hex


@pytest.fixture
def double() -> Iterator[Double]:
    with running_double() as made:
        yield made


def adapter(url: str) -> MeilisearchSearch:
    return MeilisearchSearch(url, "a-secret-key", "x", timeout_seconds=0.5, write_seconds=1.0)


def error(code: str, kind: str = "invalid_request") -> dict[str, str]:
    return {"message": "the word pangolin is in it", "code": code, "type": kind, "link": ""}


async def search(index: MeilisearchSearch) -> None:
    await index.search(SearchQuery(TENANT, read_words("pangolin")))


ANSWERS = {
    "500": Answer(500, error("internal", "internal")),
    "503 of a proxy": Answer(503, raw=b"<html>pangolin</html>"),
    "html with 200": Answer(200, raw=b"<html>pangolin</html>"),
    "half a json": Answer(200, raw=b'{"hits": [{"id": "pang'),
    "cut off": Answer(200, raw=b'{"hits": []', cut=True),
    "another shape": Answer(200, {"results": []}),
    "a list": Answer(200, []),
    "nothing": Answer(200, raw=b""),
    "rows of another shape": Answer(200, {"hits": [{"pangolin": 1}], "totalHits": 1}),
    "429": Answer(429, error("too_many_search_requests", "system")),
    "wrong key": Answer(403, error("invalid_api_key", "auth")),
    "stall": Answer(200, {"hits": []}, stall=3.0),
    "no index": Answer(404, error("index_not_found")),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_search_that_goes_wrong_is_unavailable(double: Double, answer: Answer) -> None:
    double.on["POST search"] = answer
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await search(adapter(double.url))
    assert time.monotonic() - began < 2.5
    for private in ("pangolin", "a-secret-key", TENANT):
        assert private not in str(caught.value)


async def test_a_refused_query_is_a_defect_and_tells_the_code_only(double: Double) -> None:
    double.on["POST search"] = Answer(400, error("invalid_search_filter"))
    with pytest.raises(SearchDefect) as caught:
        await search(adapter(double.url))
    assert "invalid_search_filter" in str(caught.value)
    assert "pangolin" not in str(caught.value)


async def test_a_query_refused_by_an_index_of_older_settings_is_unavailable(double: Double) -> None:
    double.on["POST search"] = Answer(400, error("invalid_search_sort"))
    double.on["GET settings"] = Answer(body={"searchableAttributes": ["*"]})
    with pytest.raises(Unavailable, match="brought up to date"):
        await search(adapter(double.url))


async def test_nobody_listens() -> None:
    index = adapter("http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        await search(index)
    with pytest.raises(Unavailable):
        await index.prepare()
    with pytest.raises(Unavailable):
        await index.health()


# -- writes -------------------------------------------------------------------------------------------------


async def test_one_document_that_fails_its_payload_is_found_and_the_others_go_in(double: Double) -> None:
    documents = [document(TENANT, "x") for _ in range(33)]
    bad = documents[20]
    double.fails = lambda ds: error("invalid_document_id") if any(d["id"] == bad.id for d in ds) else None

    refused = await adapter(double.url).index(documents)

    assert [r.document for r in refused] == [DocumentRef(TENANT, bad.id)]
    assert "invalid_document_id" in refused[0].reason
    assert "pangolin" not in refused[0].reason
    assert {d["id"] for d in double.stored.values()} == {d.id for d in documents} - {bad.id}
    assert len([r for r in double.requests if r[1].partition("?")[0].endswith("/documents")]) <= 2 * 6 + 1


@pytest.mark.parametrize("status", [400, 413])
async def test_a_payload_refused_at_once_is_halved_too(double: Double, status: int) -> None:
    documents = [document(TENANT, "x") for _ in range(2)]
    code = "payload_too_large" if status == 413 else "malformed_payload"
    double.on["POST documents"] = Answer(status, error(code))
    with pytest.raises(Unavailable):
        await adapter(double.url).index(documents)
    (refusal,) = await adapter(double.url).index(documents[:1])
    assert code in refusal.reason


@pytest.mark.parametrize(
    ("code", "kind"),
    [("no_space_left_on_device", "system"), ("internal", "internal"), ("index_not_found", "invalid_request")],
)
async def test_an_engine_that_can_write_nothing_is_unavailable(double: Double, code: str, kind: str) -> None:
    double.fails = lambda _: error(code, kind)
    with pytest.raises(Unavailable):
        await adapter(double.url).index([document(TENANT, "x") for _ in range(4)])


async def test_a_write_that_is_never_carried_out_is_unavailable_in_time(double: Double) -> None:
    double.stuck = True
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await adapter(double.url).index([document(TENANT, "x")])
    assert time.monotonic() - began < 4


async def test_an_index_that_vanished_is_not_made_by_a_write(double: Double) -> None:
    double.on["GET x"] = Answer(404, error("index_not_found"))
    with pytest.raises(Unavailable):
        await adapter(double.url).index([document(TENANT, "x")])
    assert double.stored == {}


async def test_settings_that_are_right_are_left_alone(double: Double) -> None:
    index = adapter(double.url)
    assert await index.prepare(), "an empty index wants filling"
    await index.index([document(TENANT, "x")])
    assert not await index.prepare()
    assert not [r for r in double.requests if r[0] == "PATCH"]


async def test_other_settings_on_documents_ask_for_a_rebuild(double: Double) -> None:
    index = adapter(double.url)
    await index.index([document(TENANT, "x")])
    double.on["GET settings"] = Answer(body={"searchableAttributes": ["*"]})
    assert await index.prepare()
    assert not [r for r in double.requests if r[0] == "PATCH"]


# -- threads ------------------------------------------------------------------------------------------------


async def test_reads_and_writes_side_by_side_keep_their_headers(double: Double) -> None:
    index = adapter(double.url)
    await asyncio.gather(*[call for _ in range(60) for call in (search(index), index.health())])
    posts: list[dict[str, Any]] = [headers for method, _, headers in double.requests if method == "POST"]
    assert len(posts) == 60
    assert all(headers.get("Content-Type") == "application/json" for headers in posts)


async def test_the_tenant_stands_alone_in_every_search(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    answer = double.answer

    def spy(method: str, path: str, body: Any) -> Answer:
        if path.endswith("/search"):
            seen.append(body["filter"])
        return answer(method, path, body)

    monkeypatch.setattr(double, "answer", spy)
    await search(adapter(double.url))
    assert [filters[0] for filters in seen] == [f"tenant = '{TENANT}'"]
    assert all(isinstance(filters, list) for filters in seen)
