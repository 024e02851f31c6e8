"""Sources and raw events over HTTP, and messages that come at the same time."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from domain.mapping import Format
from tests.api.test_bad_input import problem
from tests.support.api_bodies import chat
from tests.support.api_server import ApiServer, Tenant, api_server, api_settings
from tests.support.readers import TestReaders, letter
from tests.support.stack import DatabaseUrls, TemporalServer
from tests.support.threads import mail


@pytest.fixture(scope="module")
def readers() -> TestReaders:
    return TestReaders()


@pytest.fixture(scope="module")
def api(
    database: DatabaseUrls,
    temporal_server: TemporalServer,
    tmp_path_factory: pytest.TempPathFactory,
    readers: TestReaders,
) -> Iterator[ApiServer]:
    settings = api_settings(database, tmp_path_factory.mktemp("api"), temporal_address=temporal_server.address)
    with api_server(settings, database, readers=readers) as server:
        yield server


@pytest.fixture
def client(api: ApiServer, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Of a tenant of its own, with a source of mails."""
    tenant = api.tenant(request.node.name.replace("_", "-")[:60].strip("-").partition("[")[0])
    with api.client(tenant.key) as client:
        made = client.post("/v1/sources", json={"slug": "mail", "format": "email", "name": "Support mail"})
        assert made.status_code in (201, 409), made.text  # one tenant for all parameters of a test
        yield client


def test_a_source_is_made_shown_and_changed(client: httpx.Client) -> None:
    shown = client.get("/v1/sources/mail").json()
    assert (shown["slug"], shown["format"], shown["settle_minutes"]) == ("mail", "email", 0)
    assert shown["health"] == {
        "last_seen_at": None,
        "events": {"accepted": 0, "received": 0, "dead_lettered": 0},
        "last_error": None,
    }
    assert client.get(f"/v1/sources/{shown['id']}").json() == shown
    change = {"settle_minutes": 60, "time_zone": "Europe/Berlin", "channel": "email"}
    changed = client.patch("/v1/sources/mail", json=change)
    assert changed.status_code == 200, changed.text
    assert {name: changed.json()[name] for name in change} == change
    assert client.patch("/v1/sources/mail", json={"channel": None}).json()["channel"] is None
    assert client.get("/v1/sources").json()["items"][0]["settle_minutes"] == 60
    problem(client.post("/v1/sources", json={"slug": "mail"}), 409, "conflict")
    problem(client.get("/v1/sources/nobody"), 404, "not_found")
    assert [s["slug"] for s in client.get("/v1/sources").json()["items"]] == ["mail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "slug"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"slug": "x", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"slug": "x", "settle_minutes": -1}, "settle_minutes"),
        ({"slug": "x", "format": "fax"}, "format"),
        ({"slug": "x", "format": "json"}, "mapping"),
        ({"slug": "x", "dedupe_key": "a.["}, "dedupe_key"),
        ({"slug": "x", "surprise": 1}, "surprise"),
    ],
)
def test_a_setting_that_is_wrong_is_named(client: httpx.Client, body: dict[str, Any], field: str) -> None:
    found = problem(client.post("/v1/sources", json=body), 422, "invalid_input")
    assert field in [error["field"] for error in found["errors"]], found


def test_what_cannot_be_taken_away(client: httpx.Client) -> None:
    for change in ({"format": None}, {"settle_minutes": None}):
        problem(client.patch("/v1/sources/mail", json=change), 422, "invalid_input")


def test_an_event_is_received_and_known_again(client: httpx.Client) -> None:
    url = "/v1/sources/mail/events"
    first = client.post(url, json=mail(1))
    assert first.status_code == 202, first.text
    event = first.json()
    assert (event["state"], event["repeated"], event["items"][0]["outcome"]) == ("received", False, "created")
    again = client.post(url, json=mail(1))
    assert (again.status_code, again.json()["repeated"], again.json()["id"]) == (200, True, event["id"])
    assert again.json()["items"] == event["items"]
    assert client.get(f"{url}/{event['id']}").json()["state"] == "received"
    shown = client.get(f"/v1/conversations/{event['items'][0]['conversation_id']}").json()
    assert (shown["source"], shown["channel"], shown["merged_into"]) == ("mail", "email", None)
    keyed = [client.post(url, json=mail(2, 1), headers={"Idempotency-Key": "e2"}) for _ in range(2)]
    assert keyed[0].content == keyed[1].content
    assert keyed[1].headers["idempotent-replayed"] == "true"
    health = client.get("/v1/sources/mail").json()["health"]
    assert health["events"] == {"accepted": 0, "received": 2, "dead_lettered": 0}
    assert health["last_seen_at"] is not None


async def test_fifty_identical_events_at_once(api: ApiServer) -> None:
    tenant = api.tenant("fifty-events")
    async with api.async_client(tenant.key) as client:
        await client.post("/v1/sources", json={"slug": "mail", "format": "email"})
        answers = await asyncio.gather(*(client.post("/v1/sources/mail/events", json=mail(1)) for _ in range(50)))
        assert sorted(answer.status_code for answer in answers) == [200] * 49 + [202]
        assert len({answer.json()["id"] for answer in answers}) == 1
        [row] = (await client.get("/v1/conversations")).json()["items"]
    assert row["revision"] == 1


async def test_fifty_messages_at_once_are_all_there(api: ApiServer, database: DatabaseUrls) -> None:
    tenant = api.tenant("fifty-messages")
    async with api.async_client(tenant.key) as client:
        first = (await client.post("/v1/conversations", json=chat())).json()
        url = f"/v1/conversations/{first['id']}/messages"
        bodies = [
            {"messages": [{"id": f"x{n}", "author": "c1", "at": f"2026-11-13T17:{n:02d}:00Z", "text": f"And {n}"}]}
            for n in range(50)
        ]
        answers = await asyncio.gather(*(client.post(url, json=body) for body in bodies))
        assert {answer.status_code for answer in answers} == {202}
        assert sorted(answer.json()["revision"] for answer in answers) == list(range(2, 52))
        again = await client.post(url, json={"messages": [m for body in bodies for m in body["messages"]]})
        assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")


def test_what_does_not_map_is_a_dead_letter_to_be_redriven(client: httpx.Client, readers: TestReaders) -> None:
    mapped = {"slug": "desk", "format": "json", "mapping": {}}
    assert client.post("/v1/sources", json=mapped).status_code == 201
    answers = [client.post("/v1/sources/desk/events", json=mail(n)) for n in (1, 3, 5)]
    assert {answer.status_code for answer in answers} == {202}
    event = answers[0].json()
    assert event["state"] == "dead_lettered"
    assert event["items"][0]["errors"] == [{"field": "external_id", "reason": "is missing"}]
    listed = client.get("/v1/dead-letters", params={"source": "desk"}).json()["items"]
    assert len(listed) == 3
    assert {(x["stage"], x["source"], x["conversation_id"], x["error_type"]) for x in listed} == {
        ("ingest", "desk", None, "invalid_input")
    }
    assert client.get("/v1/dead-letters", params={"source": "mail"}).json()["items"] == []
    problem(client.get("/v1/dead-letters", params={"source": "nobody"}), 404, "not_found")
    body = client.get(f"/v1/dead-letters/{event['dead_letter_id']}/body")
    assert (json.loads(body.content), body.headers["content-type"]) == (mail(1), "application/octet-stream")
    error = client.get("/v1/sources/desk").json()["health"]["last_error"]
    assert (error["type"], error["detail"]) == ("invalid_input", "item 1: external_id: is missing")

    readers.made[Format.JSON] = letter  # the mapping is mended
    try:
        redriven = client.post(f"/v1/dead-letters/{event['dead_letter_id']}/redrive")
        assert (redriven.status_code, redriven.json()["event"]["state"]) == (202, "received"), redriven.text
        problem(client.post(f"/v1/dead-letters/{event['dead_letter_id']}/redrive"), 409, "conflict")
        rest = client.post("/v1/sources/desk/redrive").json()
    finally:
        del readers.made[Format.JSON]
    assert rest == {"received": 2, "failed": 0, "remaining": 0}
    assert client.get("/v1/dead-letters").json()["items"] == []
    assert len(client.get("/v1/conversations").json()["items"]) == 3


def test_the_body_of_a_conversations_dead_letter_is_none(client: httpx.Client) -> None:
    problem(client.get(f"/v1/dead-letters/{'0' * 8}-0000-0000-0000-{'0' * 12}/body"), 404, "not_found")


def test_trying_out_shows_what_would_be_made(client: httpx.Client) -> None:
    tried = client.post("/v1/sources/mail/test", json=[mail(1), {"id": "x"}, {"skip": True}])
    assert tried.status_code == 200, tried.text
    found = tried.json()
    assert (found["items_total"], found["conversations"], found["failed"]) == (3, 1, 1)
    first, second, third = found["items"]
    [arrival] = first["arrivals"]
    assert arrival["conversation"]["messages"][0]["text"] == "This is mail 1."
    assert (arrival["conversation"]["source"], arrival["links"]) == ("mail", ["<m1@example.com>"])
    assert second["errors"] == [{"field": "from", "reason": "is missing"}]
    assert (third["arrivals"], third["errors"]) == ([], [])
    assert client.get("/v1/conversations").json()["items"] == []
    assert client.get("/v1/dead-letters").json()["items"] == []


def test_bodies_are_bounded_and_not_empty(client: httpx.Client) -> None:
    huge = b"x" * (8 * 1024 * 1024 + 1)
    for path in ("events", "test"):
        problem(client.post(f"/v1/sources/mail/{path}", content=huge), 413, "too_large")
    problem(client.post("/v1/sources/mail/events", content=b""), 422, "invalid_input")
    assert client.get("/v1/sources/mail").json()["health"]["events"]["dead_lettered"] == 0


def test_a_thread_from_pieces_and_a_merged_one(client: httpx.Client) -> None:
    ids = [
        client.post("/v1/sources/mail/events", json=one).json()["items"][0]["conversation_id"]
        for one in (mail(1), mail(3, 2), mail(2, 1))
    ]
    older, younger = ids[0], ids[1]
    assert (ids[2], older != younger) == (older, True)
    gone = client.get(f"/v1/conversations/{younger}").json()
    assert gone["merged_into"] == older
    assert [row["id"] for row in client.get("/v1/conversations").json()["items"]] == [older]
    explained = client.get(f"/v1/conversations/{younger}/explain").json()
    assert older in explained["answer"]
    problem(client.post(f"/v1/conversations/{younger}/rerun"), 409, "superseded")
    problem(client.patch(f"/v1/conversations/{younger}", json={"tags": ["x"]}), 409, "merged_away")
    added = {"messages": [{"id": "n", "author": "c", "at": "2025-03-01T12:00:00Z", "text": "One more."}]}
    assert client.post(f"/v1/conversations/{younger}/messages", json=added).json()["id"] == older


def test_what_was_sent_is_nowhere_in_the_clear(api: ApiServer, tenant: Tenant, database: DatabaseUrls) -> None:
    """Bodies are sealed, message ids and dedupe keys are digests; errors name fields only."""
    planted = "pineapple-7719"
    with api.client(tenant.key) as client:
        client.post("/v1/sources", json={"slug": "sealed", "format": "canonical", "dedupe_key": "secret"})
        client.post("/v1/sources/sealed/events", json={"secret": planted, "messages": planted})
        client.post("/v1/sources", json={"slug": "sealed-mail", "format": "email"})
        client.post("/v1/sources/sealed-mail/events", json=mail(2, 1, text=f"My name is {planted}."))
    with psycopg.connect(database.admin) as connection:
        tables = connection.execute(
            "select c.relname from pg_class c where relkind = 'r' and relnamespace = 'public'::regnamespace"
        ).fetchall()
        for (table,) in tables:
            found = connection.execute(
                f"select count(*) from {table} t where t::text like %s",
                (f"%{planted}%",),
            ).fetchone()
            assert found == (0,), table
    for path in api.settings.home.rglob("*"):
        assert not path.is_file() or planted.encode() not in path.read_bytes(), path
