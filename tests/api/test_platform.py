"""Changing a tenant: only what is given, only one's own, and only engines there are."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.api_bodies import chat
from tests.support.api_server import ApiServer, Tenant


@pytest.fixture
def platform(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client(api.platform_key) as client:
        yield client


def test_only_what_is_given_changes(platform: httpx.Client, tenant: Tenant) -> None:
    before = next(t for t in platform.get("/v1/platform/tenants").json()["items"] if t["id"] == tenant.id)
    change = {"transcription": "deepgram", "language_model": "gemini", "external_languages": ["es"]}
    after = platform.patch(f"/v1/platform/tenants/{tenant.id}", json=change).json()
    assert after == {**before, **change}
    undone = platform.patch(
        f"/v1/platform/tenants/{tenant.id}",
        json={"transcription": None, "language_model": None, "external_languages": []},
    )
    assert undone.json() == before


@pytest.mark.parametrize(
    "change",
    [{"language_model": "no-such-engine"}, {"time_zone": "Mars/Base"}, {"slug": "other"}, {"languages": ["not a tag"]}],
)
def test_a_change_that_cannot_be_is_refused(platform: httpx.Client, tenant: Tenant, change: dict[str, object]) -> None:
    answer = platform.patch(f"/v1/platform/tenants/{tenant.id}", json=change)
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_a_tenant_does_not_change_itself(api: ApiServer, tenant: Tenant) -> None:
    with api.client(tenant.key) as client:
        assert client.patch(f"/v1/platform/tenants/{tenant.id}", json={"name": "Mine"}).status_code == 403


def test_a_tenant_that_is_not_there(platform: httpx.Client) -> None:
    assert platform.patch(f"/v1/platform/tenants/{'0' * 32}", json={"name": "Nobody"}).status_code == 404


def test_the_platforms_status_is_for_its_operators(api: ApiServer, platform: httpx.Client, tenant: Tenant) -> None:
    with api.client(tenant.key) as client:
        assert client.get("/v1/platform/status").status_code == 403
    partner = platform.post("/v1/platform/partners", json={"slug": "watchers", "name": "Watchers"}).json()["id"]
    for body in ({"scopes": ["operate"], "partner_id": partner}, {"scopes": ["configure", "read", "ingest"]}):
        key = platform.post("/v1/platform/api-keys", json={"name": "k", **body}).json()["key"]
        with api.client(key) as client:
            assert client.get("/v1/platform/status").status_code == 403


def test_the_platforms_status_counts_what_waits(platform: httpx.Client, client: httpx.Client, tenant: Tenant) -> None:
    before = platform.get("/v1/platform/status").json()["stored"]
    assert client.post("/v1/conversations", json=chat()).status_code == 202
    found = platform.get("/v1/platform/status").json()
    assert found["stored"]["backlog"]["number"] == before["backlog"]["number"] + 1
    assert tenant.id in {one["tenant_id"] for one in found["stored"]["tenants"]}
    queues = {queue["task_queue"]: queue for queue in found["queues"]}
    assert queues["parley-conversations"]["workflow_pollers"] == 0  # nobody works here


def test_the_platforms_status_without_temporal(api_without_temporal: ApiServer) -> None:
    with api_without_temporal.client(api_without_temporal.platform_key) as client:
        found = client.get("/v1/platform/status")
    assert (found.status_code, found.json()["queues"]) == (200, None)
    assert found.json()["stored"]["due"]["number"] >= 0
