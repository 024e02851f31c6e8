"""Search through the API: what comes in, and how answers and refusals look."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from domain.ledger import RunState
from services.index_documents import read_document
from tests.api.test_bad_input import problem
from tests.support.api_bodies import chat
from tests.support.api_seed import Seeder, storage_of
from tests.support.api_server import ApiServer, Tenant


@pytest.fixture(scope="module")
def searcher(api: ApiServer) -> Tenant:
    tenant = api.tenant("searcher")
    with api.client(tenant.key) as client:
        assert client.post("/v1/tasks/csat/activation").status_code == 200
    return tenant


@pytest.fixture(scope="module")
async def found(api: ApiServer, searcher: Tenant) -> AsyncIterator[str]:
    """A conversation that is analysed and indexed: csat 2, plan gold."""
    with api.client(searcher.key) as client:
        conversation = client.post("/v1/conversations", json=chat()).json()["id"]
    async with storage_of(api.settings) as storage:
        seeder = Seeder(storage, searcher.id)
        run = await seeder.normalized(conversation)
        await seeder.analysed(run, {"csat": (RunState.RAN, None)}, [await seeder.value(run, "csat", 2)])
        async with storage.database.tenant_tx(searcher.id) as tx:
            document = await read_document(tx, conversation)
        await storage.search.index([document])
        yield conversation


@pytest.fixture
def client(api: ApiServer, searcher: Tenant) -> Iterator[httpx.Client]:
    with api.client(searcher.key) as client:
        yield client


def test_words_filters_facets_and_highlights(client: httpx.Client, found: str) -> None:
    where = "csat < 3 and channel = chat and meta.plan = 'gold'"
    by_get = client.get("/v1/search", params={"query": '"parcel is late"', "where": where, "facets": "channel,csat"})
    assert by_get.status_code == 200, by_get.text
    page = by_get.json()
    assert (page["total"], [hit["conversation"]["id"] for hit in page["items"]]) == (1, [found])
    fragment = page["items"][0]["fragments"][0]
    assert (fragment["turn"], fragment["role"]) == (1, "customer")
    marked = [fragment["text"][span["start"] : span["end"]] for span in fragment["spans"]]
    assert "parcel" in " ".join(marked)
    assert {facet["name"]: facet["values"] for facet in page["facets"]}["csat"] == [{"value": 2.0, "count": 1}]
    body = {"query": '"parcel is late"', "where": where, "facets": ["channel", "csat"]}
    by_post = client.post("/v1/search", json=body)
    assert by_post.json() == page
    assert client.post("/v1/search", json={"query": "nothing like it"}).json()["items"] == []
    assert client.get("/v1/search").json()["total"] == 1


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"where": "csat <"}, "invalid_filter", "filter"),
        ({"where": "no_such_field = 1"}, "invalid_filter", "filter"),
        ({"where": {"nonsense": []}}, "invalid_filter", "filter"),
        ({"facets": ["no_such_field"]}, "invalid_input", "facets"),
        ({"sort": "no_such_field"}, "invalid_input", "sort"),
        ({"cursor": "AAAA"}, "invalid_input", "cursor"),
        ({"limit": 201}, "invalid_input", "limit"),
        ({"query": "x" * 1001}, "invalid_input", "query"),
        ({"query": 5}, "invalid_input", "query"),
        ({"surprise": 1}, "invalid_input", "surprise"),
    ],
)
def test_searches_that_cannot_be(client: httpx.Client, body: dict[str, object], code: str, field: str) -> None:
    refused = client.post("/v1/search", json=body)
    assert field in [error["field"] for error in problem(refused, 422, code)["errors"]]


@pytest.mark.parametrize("query", ["a\0b", "\x01", '"', "-", '"""', "' or 1=1 --", "%", "\\", "(((", "🙂", "ا", " "])
def test_odd_words_are_just_words(client: httpx.Client, query: str, found: str) -> None:
    answer = client.get("/v1/search", params={"query": query})
    assert answer.status_code in (200, 422), answer.text
