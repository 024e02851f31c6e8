"""The dashboard over the API: what it answers, which days and filters it takes, and what stays hidden."""

from typing import Any

import httpx
import psycopg
import pytest

from domain.ledger import RunState
from services.fold_rollups import fold_round
from tests.api.test_bad_input import problem
from tests.support.api_bodies import call, chat
from tests.support.api_seed import Seeder, storage_of
from tests.support.api_server import ApiServer, Tenant
from tests.support.stack import DatabaseUrls

PERIOD = {"from": "2026-11-01", "to": "2026-11-30"}


@pytest.fixture(scope="module")
async def counted(api: ApiServer) -> Tenant:
    """Two chats of two queues with CSAT 2 and 5, one call without values."""
    tenant = api.tenant("counted")
    with api.client(tenant.key) as client:
        assert client.post("/v1/tasks/csat/activation").status_code == 200
        ids = [
            client.post("/v1/conversations", json=body).json()["id"]
            for body in (chat(queue="billing"), chat(queue="sales"), call(transcript=_transcript()))
        ]
    async with storage_of(api.settings) as storage:
        seeder = Seeder(storage, tenant.id)
        for conversation, csat in zip(ids[:2], (2, 5), strict=True):
            run = await seeder.normalized(conversation)
            await seeder.analysed(run, {"csat": (RunState.RAN, None)}, [await seeder.value(run, "csat", csat)])
            async with storage.database.tenant_tx(tenant.id) as tx:
                await tx.rollups.count_values(conversation)
        await fold_round(storage.database)
    return tenant


def _transcript() -> dict[str, object]:
    return {"segments": [{"speaker": "c1", "start_ms": 0, "end_ms": 900, "text": "Hello there"}]}


@pytest.fixture
def client(api: ApiServer, counted: Tenant) -> httpx.Client:
    return api.client(counted.keys["read"])


def test_averages_buckets_and_counts(client: httpx.Client) -> None:
    told = client.get("/v1/dashboard", params=PERIOD).json()
    assert (told["zone"], told["step"]) == ("Europe/Berlin", "day")
    conversations = told["conversations"]
    assert conversations["count"] == 3
    assert {c["channel"]: c["count"] for c in conversations["channels"]} == {
        "call": 1,
        "chat": 2,
        "email": 0,
        "ticket": 0,
    }
    assert {s["status"]: s["count"] for s in conversations["statuses"]} == {"received": 1, "completed": 2}
    assert sum(point["count"] for point in conversations["trend"]) == 3
    csat = next(field for field in told["fields"] if field["key"] == "csat")
    assert (csat["shows"], csat["known"], csat["unknown"], csat["average"]) == ("average", 2, 0, 3.5)
    assert [(p["label"], p["count"], p["share"]) for p in csat["parts"]] == [
        ("Dissatisfied", 1, 0.5), ("Neutral", 0, 0.0), ("Satisfied", 1, 0.5),
    ]  # fmt: skip
    (day,) = [point for point in csat["trend"] if point["known"]]
    assert (day["first"], day["average"]) == ("2026-11-13", 3.5)
    assert told["choices"]["queue"] == ["", "billing", "sales"]
    assert csat["parts"][0]["where"] == "csat < 3 and started between 2026-11-01 and 2026-11-30"


def test_filters_join(client: httpx.Client) -> None:
    def csat(**narrowing: Any) -> tuple[float | None, int]:
        told = client.get("/v1/dashboard", params={**PERIOD, **narrowing}).json()
        found = next(field for field in told["fields"] if field["key"] == "csat")
        return found["average"], told["conversations"]["count"]

    assert csat(queue="billing") == (2.0, 1)
    assert csat(queue=["billing", "sales"]) == (3.5, 2)
    assert csat(queue="") == (None, 1)
    assert csat(queue="billing", channel="call") == (None, 0)
    assert csat(channel=["chat", "call"], source="web-chat") == (3.5, 2)
    assert csat(team="nowhere") == (None, 0)
    told = client.get("/v1/dashboard", params={**PERIOD, "queue": ["sales", ""], "channel": "chat"}).json()
    assert told["conversations"]["where"] == (
        "started between 2026-11-01 and 2026-11-30 and channel = chat and (queue = sales or not queue exists)"
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "from"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"channel": "fax"}, "channel[0]"),
        ({"queue": "x" * 201}, "queue[0]"),
        ({"queue": [str(n) for n in range(21)]}, "queue"),
        ({"quue": "billing"}, "quue"),
    ],
)
def test_what_cannot_be_asked(client: httpx.Client, query: dict[str, object], field: str) -> None:
    answer = client.get("/v1/dashboard", params=query)  # type: ignore[arg-type]
    assert [e["field"] for e in problem(answer, 422, "invalid_input")["errors"]] == [field]


def test_sensitive_fields_are_for_who_may_see_them(
    api: ApiServer, client: httpx.Client, counted: Tenant, database: DatabaseUrls
) -> None:
    with psycopg.connect(database.admin) as connection:
        connection.execute("update custom_field set sensitive = true where key = 'csat'")
    try:
        keys = {field["key"] for field in client.get("/v1/dashboard").json()["fields"]}
        assert keys
        assert "csat" not in keys
        with api.client(counted.key) as operating:
            assert "csat" in {field["key"] for field in operating.get("/v1/dashboard").json()["fields"]}
    finally:
        with psycopg.connect(database.admin) as connection:
            connection.execute("update custom_field set sensitive = false where key = 'csat'")
