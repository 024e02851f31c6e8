"""Handing in files, and looking at, pausing, resuming and cancelling what comes of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from domain.contracts import ImportRef, ImportRowsRequest, StretchEnd
from infra import wiring
from services.import_starts import ImportStarts
from tests.api.test_bad_input import problem
from tests.support.api_bodies import chat
from tests.support.api_seed import storage_of
from tests.support.api_server import ApiServer, Tenant, api_server, api_settings
from tests.support.rows import chat_row, ndjson, readings
from tests.support.stack import DatabaseUrls, TemporalServer
from tests.support.stages import AwayOrchestrator

ABSENT = "00000000-0000-4000-8000-000000000000"
NDJSON = {"Content-Type": "application/x-ndjson"}


def hand_in(client: httpx.Client, body: bytes, **params: Any) -> httpx.Response:
    return client.post("/v1/imports", content=body, params=params, headers=NDJSON)


async def read(api: ApiServer, tenant: Tenant, import_id: str, entry: int = 1) -> StretchEnd:
    """What the worker does."""
    async with storage_of(api.settings) as storage:
        accept = wiring.build_accept(api.settings, storage, AwayOrchestrator())
        rows = wiring.build_import_rows(storage, accept, readings())
        ref = ImportRef(tenant_id=tenant.id, import_id=import_id, entry=entry)
        return (await rows.stretch(ImportRowsRequest(ref=ref))).end


def contents(api: ApiServer, tenant: Tenant) -> int:
    folder = Path(api.settings.content_url.removeprefix("file://")) / tenant.id / "imports"
    return sum(1 for _ in folder.glob("*")) if folder.exists() else 0


async def test_a_file_is_accepted_read_and_answered_for(api: ApiServer) -> None:
    tenant = api.tenant("importer")
    with api.client(tenant.key) as client:
        body = ndjson([*(chat_row(f"{n}") for n in range(60)), b"{", chat_row("x", channel="fax")])
        accepted = hand_in(client, body, source="crm", name="march.ndjson")
        assert accepted.status_code == 202, accepted.text
        answer = accepted.json()
        assert (answer["state"], answer["started"]) == ("waiting", True)
        shown = client.get(answer["links"]["self"]).json()
        assert (shown["state"], shown["size"], shown["name"]) == ("waiting", len(body), "march.ndjson")
        assert (shown["rows_per_second"], shown["seconds_left"], shown["estimate"]) == (None, None, None)
        assert await read(api, tenant, answer["id"]) is StretchEnd.DONE
        shown = client.get(answer["links"]["self"]).json()
        assert shown["rows"] == {"read": 62, "created": 60, "unchanged": 0, "revised": 0, "failed": 2}
        assert shown["state"] == "completed"
        assert shown["rows_per_second"] > 0
        assert shown["analysis"] == {"waiting": 60, "completed": 0, "parked": 0, "failed": 0}
        failed = client.get(answer["links"]["failed"]).json()["items"]
        assert [(row["number"], row["problems"][0]["field"]) for row in failed] == [(61, "row"), (62, "channel")]
        seen: list[int] = []
        params: dict[str, Any] = {"limit": 25}
        for expected in (25, 25, 12):
            page = client.get(answer["links"]["rows"], params=params).json()
            assert len(page["items"]) == expected
            seen += [row["number"] for row in page["items"]]
            params["cursor"] = page["next_cursor"]
        assert (page["next_cursor"], seen) == (None, list(range(1, 63)))
        conversation = client.get(f"/v1/conversations/{page['items'][0]['conversation_id']}").json()
        assert (conversation["source"], conversation["status"]) == ("crm", "received")
        [listed] = client.get("/v1/imports").json()["items"]
        assert listed["id"] == answer["id"]
        created = client.get(answer["links"]["rows"], params={"state": "created", "limit": 200}).json()["items"]
        assert len(created) == 60
    assert contents(api, tenant) == 0


def test_a_key_makes_one_import_of_a_file_sent_twice(api: ApiServer) -> None:
    tenant = api.tenant("repeater")
    body = ndjson([chat_row("1")])
    with api.client(tenant.key) as client:
        headers = {**NDJSON, "Idempotency-Key": "march"}
        first, again = (client.post("/v1/imports", content=body, headers=headers) for _ in range(2))
        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        assert contents(api, tenant) == 1
        other = client.post("/v1/imports", content=body + b"\n", headers=headers)
        problem(other, 422, "idempotency_mismatch")
        elsewhere = client.post("/v1/imports", content=body, headers=headers, params={"dry_run": True})
        problem(elsewhere, 422, "idempotency_mismatch")
        assert contents(api, tenant) == 1
        assert len(client.get("/v1/imports").json()["items"]) == 1


@pytest.mark.parametrize(
    ("content_type", "params", "field"),
    [
        ("image/png", {}, "Content-Type"),
        ("text/csv", {"format": "email"}, "Content-Type"),
        ("application/x-ndjson", {"format": "table"}, "Content-Type"),
        ("application/x-tar", {}, "format"),
    ],
)
def test_what_it_is_and_what_it_says_it_is(
    client: httpx.Client, content_type: str, params: dict[str, str], field: str
) -> None:
    answer = client.post("/v1/imports", content=b"x", params=params, headers={"Content-Type": content_type})
    assert problem(answer, 415, "unsupported_media")["errors"][0]["field"] == field


def test_refusals_leave_nothing_behind(api: ApiServer) -> None:
    tenant = api.tenant("refused")
    with api.client(tenant.key) as client:
        assert problem(hand_in(client, b""), 422, "invalid_input")["errors"][0]["field"] == "body"
        problem(hand_in(client, b"x", source="Not A Slug"), 422, "invalid_input")
        problem(hand_in(client, b"x", nope=1), 422, "invalid_input")
        assert client.get("/v1/imports").json()["items"] == []
        for path in ("", "/rows"):
            problem(client.get(f"/v1/imports/{ABSENT}{path}"), 404, "not_found")
        for verb in ("pause", "resume", "cancel"):
            problem(client.post(f"/v1/imports/{ABSENT}/{verb}"), 404, "not_found")
        for cursor in ("x", "WzFd", "W10", "WzEsIDJd" * 40, "WyIxIiwiMiJd"):
            answer = client.get(f"/v1/imports/{ABSENT}/rows", params={"cursor": cursor})
            assert problem(answer, 422, "invalid_input")["errors"][0]["field"] == "cursor"
    assert contents(api, tenant) == 0


@pytest.fixture
def small(database: DatabaseUrls, temporal_server: TemporalServer, tmp_path: Path) -> Iterator[ApiServer]:
    settings = api_settings(database, tmp_path, temporal_address=temporal_server.address, max_import_bytes=100_000)
    with api_server(settings, database) as server:
        yield server


def test_a_file_over_the_cap(small: ApiServer) -> None:
    tenant = small.tenant("over-the-cap")
    body = b"x" * 100_001
    with small.client(tenant.key) as client:
        problem(hand_in(client, body), 413, "too_large")
        in_chunks = client.post("/v1/imports", content=(body[n : n + 9000] for n in range(0, len(body), 9000)))
        problem(in_chunks, 413, "too_large")
        assert hand_in(client, body[1:]).status_code == 202
    assert contents(small, tenant) == 1


async def test_pause_resume_cancel(api: ApiServer, tenant: Tenant, client: httpx.Client) -> None:
    accepted = hand_in(client, ndjson([chat_row("pausing")])).json()
    url = accepted["links"]["self"]
    paused = client.post(f"{url}/pause", headers={"Idempotency-Key": f"pause {accepted['id']}".replace(" ", "-")})
    assert (paused.status_code, paused.json()["state"]) == (200, "paused")
    assert await read(api, tenant, accepted["id"]) is StretchEnd.PAUSED
    assert client.post(f"{url}/resume").json()["state"] == "waiting"
    assert await read(api, tenant, accepted["id"], entry=1) is StretchEnd.SUPERSEDED
    assert await read(api, tenant, accepted["id"], entry=2) is StretchEnd.DONE
    for verb in ("pause", "resume", "cancel"):
        problem(client.post(f"{url}/{verb}"), 409, "conflict")
    other = hand_in(client, ndjson([chat_row("cancelling")])).json()
    assert client.post(f"{other['links']['self']}/cancel").json()["state"] == "cancelled"
    assert await read(api, tenant, other["id"]) is StretchEnd.CANCELLED
    assert client.get(other["links"]["self"]).json()["ended_at"] is not None


async def test_without_temporal_it_is_accepted_and_started_later(
    api: ApiServer, api_without_temporal: ApiServer
) -> None:
    tenant = api_without_temporal.tenant("no-temporal")
    with api_without_temporal.client(tenant.key) as client:
        accepted = hand_in(client, ndjson([chat_row("1")]))
        assert (accepted.status_code, accepted.json()["started"]) == (202, False)
    asked: list[ImportRef] = []

    class Starter:
        async def start_import(self, ref: ImportRef, found: object) -> None:
            asked.append(ref)

    async with storage_of(api.settings) as storage:
        starts = ImportStarts(storage.database, Starter())
        assert await starts.round(fresh_seconds=60) == 0
        assert await starts.round(fresh_seconds=0) >= 1
    assert ImportRef(tenant_id=tenant.id, import_id=accepted.json()["id"], entry=1) in asked


async def test_a_dry_run_estimates(api: ApiServer) -> None:
    tenant = api.tenant("estimator")
    with api.client(tenant.key) as client:
        for task in ("csat", "summary"):
            assert client.post(f"/v1/tasks/{task}/activation").status_code == 200
        accepted = hand_in(client, ndjson([chat_row(f"{n}") for n in range(9)]), dry_run=True).json()
        assert await read(api, tenant, accepted["id"]) is StretchEnd.DONE
        shown = client.get(accepted["links"]["self"]).json()
        assert client.get("/v1/conversations").json()["items"] == []
    assert shown["dry_run"] is True
    assert (shown["rows"]["created"], shown["estimate"]["conversations"]) == (9, 9)
    assert {task["task"] for task in shown["estimate"]["tasks"]} == {"csat", "summary"}
    assert shown["estimate"]["input_tokens"] > 0


def test_legs_come_back(client: httpx.Client) -> None:
    legs = [{"agent": "a1", "queue": "billing", "started_at": "2026-11-13T16:41:20+00:00", "hold_ms": 5000}]
    accepted = client.post("/v1/conversations", json=chat(legs=legs)).json()
    [leg] = client.get(accepted["links"]["self"]).json()["legs"]
    assert (leg["number"], leg["agent"], leg["queue"], leg["hold_ms"]) == (1, "a1", "billing", 5000)
    assert leg["started_at"].startswith("2026-11-13T16:41:20")
    for wrong, field in (({"agent": "nobody"}, "body"), ({"hold_ms": -1}, "legs[0].hold_ms")):
        answer = client.post("/v1/conversations", json=chat(legs=[{**legs[0], **wrong}]))
        assert field in [e["field"] for e in problem(answer, 422, "invalid_input")["errors"]], answer.text


def test_a_revision_brings_new_legs_and_without_any_keeps_them(client: httpx.Client) -> None:
    leg = {"agent": "a1", "started_at": "2026-11-13T16:41:20+00:00"}
    body = chat(legs=[leg])
    url = client.post("/v1/conversations", json=body).json()["links"]["self"]
    body["messages"].append({"author": "c1", "text": "More."})
    client.post("/v1/conversations", json={**body, "legs": []})
    assert len(client.get(url).json()["legs"]) == 1
    body["messages"].append({"author": "c1", "text": "And more."})
    client.post("/v1/conversations", json={**body, "legs": [leg, {**leg, "queue": "tier-2"}]})
    assert [found["queue"] for found in client.get(url).json()["legs"]] == [None, "tier-2"]


async def test_no_words_of_a_row_are_in_the_database(api: ApiServer, database: DatabaseUrls) -> None:
    """Not even of one that is refused: the report names fields and reasons."""
    tenant = api.tenant("silent")
    with api.client(tenant.key) as client:
        wrong = json.dumps({"external_id": "1", "channel": "zanzibarine"}).encode()
        accepted = hand_in(client, wrong + b"\nzanzibarine").json()
        assert await read(api, tenant, accepted["id"]) is StretchEnd.DONE
        assert client.get(accepted["links"]["self"]).json()["rows"]["failed"] == 2
    with psycopg.connect(database.admin) as connection:
        for table in ("import", "import_row"):
            rows = connection.execute(f"select t::text from {table} t").fetchall()
            assert "zanzibarine" not in str(rows)
