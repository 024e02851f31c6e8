"""Engines over the API: set up, given credentials that never come back, tested, changed by whom they belong to."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.api.test_bad_input import problem
from tests.support import openai_wire
from tests.support.api_server import ApiServer, Tenant
from tests.support.stack import DatabaseUrls
from tests.support.wire_server import WireServer, wire_server

PLANTED = "sk-PLANTED-41d7"
MINE: dict[str, Any] = {"name": "mine", "family": "language_model", "kind": "openai_compatible", "model": "gpt-4o-mini"}


@pytest.fixture
def provider() -> Iterator[WireServer]:
    with wire_server(lambda _: openai_wire.answer("ready", prompt=8, completion=1)) as server:
        yield server


@pytest.fixture(scope="module")
def platform(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client(api.platform_key) as client:
        yield client


def named(client: httpx.Client, path: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in client.get(path).json()["items"] if e["name"] == name)
    return found


def made(client: httpx.Client, name: str, path: str = "/v1/engines", **more: Any) -> dict[str, Any]:
    answer = client.post(path, json={**MINE, "name": name, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_tenant_sets_up_gives_credentials_tests_and_changes(
    client: httpx.Client, provider: WireServer, database: DatabaseUrls, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    engine = made(client, "own", endpoint=f"{provider.url}/v1", region="eu")
    assert (engine["owner"], engine["external"], engine["credentials"]) == ("tenant", True, None)
    assert engine["price"]["version"] == "openai 2025-08-07 gpt-4o-mini", "the list knows the model"
    given = client.put("/v1/engines/own/credentials", json={"secret": f" {PLANTED}\n"})
    assert given.json()["credentials"] == "db"
    tested = client.post("/v1/engines/own/test").json()
    assert tested["ok"]
    assert "test-model-2025 answered in" in tested["seen"]
    assert "9 tokens" in tested["seen"]
    assert provider.received[-1].headers["authorization"] == f"Bearer {PLANTED}"
    changed = client.patch("/v1/engines/own", json={"model": "gpt-4.1-mini", "region": None})
    assert (changed.json()["model"], changed.json()["region"]) == ("gpt-4.1-mini", None)
    assert changed.json()["price"]["input_per_million"] == 0.4
    # nothing shows the secret: no answer, no log, no row of any table
    for answer in (given.text, str(tested), changed.text, client.get("/v1/engines").text, caplog.text):
        assert "PLANTED" not in answer
    with psycopg.connect(database.admin) as connection:
        tables = connection.execute(
            "select c.oid::regclass::text from pg_class c where c.relnamespace = 'public'::regnamespace"
            " and c.relkind = 'r'"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f"select t::text from {table} t").fetchall()
            assert not any("PLANTED" in str(row) or PLANTED.encode().hex() in str(row) for row in rows), table
        audited = connection.execute(
            "select action from audit_event where tenant_id = %s and subject = 'own' order by at", (tenant.id,)
        ).fetchall()
    assert [row[0] for row in audited] == ["engine.create", "engine.credentials", "engine.change"]


def test_a_changed_secret_is_used_without_a_restart(
    client: httpx.Client, provider: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.engine_pool.SECRET_FRESH_SECONDS", 0.0)
    made(client, "rotated", endpoint=f"{provider.url}/v1")
    for secret in ("first", "second"):
        client.put("/v1/engines/rotated/credentials", json={"secret": secret})
        assert client.post("/v1/engines/rotated/test").json()["ok"]
    assert [r.headers["authorization"] for r in provider.received] == ["Bearer first", "Bearer second"]


def test_what_the_provider_refuses_is_told_in_words(client: httpx.Client, provider: WireServer) -> None:
    provider.respond = lambda _: openai_wire.error(401, "invalid_api_key", message=PLANTED)
    made(client, "refused", endpoint=f"{provider.url}/v1")
    client.put("/v1/engines/refused/credentials", json={"secret": PLANTED})
    tested = client.post("/v1/engines/refused/test")
    assert tested.status_code == 200
    assert not tested.json()["ok"]
    assert tested.json()["error"]["code"] == "engine_rejected"
    assert "401 (invalid_api_key)" in tested.json()["error"]["detail"]
    assert "PLANTED" not in tested.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "oracle"}, "kind"),
        ({"kind": "whisper", "family": "transcription", "model": "tiny.en"}, "kind"),
        ({"kind": "offline"}, "kind"),
        ({"parameters": {"warmth": 3}}, "parameters"),
        ({"parameters": {"temperature": 99}}, "parameters"),
        ({"credentials": "env:OPENAI_API_KEY"}, "credentials"),
        ({"credentials": "file:/etc/passwd"}, "credentials"),
        ({"credentials": "db:somebody-elses"}, "credentials"),
        ({"credentials": PLANTED}, "credentials"),
        ({"endpoint": "http://169.254.169.254/latest"}, "endpoint"),
        ({"endpoint": "http://127.0.0.1@169.254.169.254/v1"}, "endpoint"),
        ({"endpoint": "file:///etc/passwd"}, "endpoint"),
        ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"limits": {"requests_per_minute": 10**15}}, "limits.requests_per_minute"),
        ({"price": {"input_per_million": -1}}, "price.input_per_million"),
        ({"model": ""}, "model"),
        ({"family": "oracle"}, "family"),
    ],
)
def test_bad_input_is_told_by_field_and_leaves_nothing(
    client: httpx.Client, change: dict[str, Any], field: str
) -> None:
    before = client.get("/v1/engines").json()
    answer = client.post("/v1/engines", json={**MINE, "name": "wrong", **change})
    found = problem(answer, 422, "invalid_input")
    assert field in [error["field"] for error in found["errors"]], answer.text
    assert "PLANTED" not in answer.text
    assert client.get("/v1/engines").json() == before


@pytest.mark.parametrize("secret", ["", "  \n ", "x" * 70_000, "a\0b", None, 5, ["PLANTED"]])
def test_a_secret_that_is_none_is_refused_and_not_repeated(client: httpx.Client, secret: Any) -> None:
    name = "no-secret"
    client.post("/v1/engines", json={**MINE, "name": name})
    answer = client.put(f"/v1/engines/{name}/credentials", json={"secret": secret})
    assert answer.status_code == 422
    assert "PLANTED" not in answer.text
    assert "xxxx" not in answer.text
    assert named(client, "/v1/engines", name)["credentials"] is None


def test_a_level_above_is_seen_without_its_addresses_and_not_changed(
    client: httpx.Client, platform: httpx.Client, provider: WireServer
) -> None:
    made(platform, "shared", "/v1/platform/engines", endpoint=f"{provider.url}/v1", external=False)
    seen = named(client, "/v1/engines", "shared")
    assert (seen["owner"], seen["endpoint"], seen["parameters"]) == ("operator", None, None)
    problem(client.patch("/v1/engines/shared", json={"model": "mine"}), 403, "forbidden")
    problem(client.put("/v1/engines/shared/credentials", json={"secret": "x"}), 403, "forbidden")
    problem(client.post("/v1/engines", json={**MINE, "name": "shared"}), 409, "conflict")
    assert client.post("/v1/engines/shared/test").json()["ok"]
    problem(client.post("/v1/engines/offline/test"), 409, "conflict")
    problem(client.get("/v1/platform/engines"), 403, "forbidden")


def test_the_operator_changes_what_is_shipped_and_it_is_audited(
    platform: httpx.Client, provider: WireServer, database: DatabaseUrls
) -> None:
    before = named(platform, "/v1/platform/engines", "gemini")
    assert before["credentials"] == "env"
    changed = platform.patch("/v1/platform/engines/gemini", json={"limits": {"requests_per_minute": 500}})
    assert changed.json()["limits"]["requests_per_minute"] == 500
    made(platform, "operators", "/v1/platform/engines", endpoint=f"{provider.url}/v1")
    platform.put("/v1/platform/engines/operators/credentials", json={"secret": PLANTED})
    assert platform.post("/v1/platform/engines/operators/test").json()["ok"]
    assert provider.received[-1].headers["authorization"] == f"Bearer {PLANTED}"
    with psycopg.connect(database.admin) as connection:
        rows = connection.execute(
            "select action, before, after from owner_audit_event where subject in ('gemini', 'operators') order by at"
        ).fetchall()
    assert [row[0] for row in rows] == ["engine.change", "engine.create", "engine.credentials"]
    assert "PLANTED" not in str(rows)
    platform.patch("/v1/platform/engines/gemini", json={"limits": before["limits"]})


def test_a_partners_engines_are_for_its_tenants(api: ApiServer, platform: httpx.Client, client: httpx.Client) -> None:
    partner = platform.post("/v1/platform/partners", json={"slug": "engines", "name": "Engines Ltd"}).json()["id"]
    wanted = {"name": "partner", "scopes": ["read", "configure"], "partner_id": partner}
    key = platform.post("/v1/platform/api-keys", json=wanted).json()["key"]
    with api.client(key) as theirs:
        assert theirs.get("/v1/platform/engines").json()["items"] == []
        made(theirs, "partners", "/v1/platform/engines")
        assert named(theirs, "/v1/platform/engines", "partners")["owner"] == "partner"
        env = {**MINE, "name": "stolen", "credentials": "env:OPENAI_API_KEY"}
        problem(theirs.post("/v1/platform/engines", json=env), 422, "invalid_input")
        problem(theirs.patch("/v1/platform/engines/gemini", json={"model": "x"}), 404, "not_found")
    assert "partners" not in [e["name"] for e in client.get("/v1/engines").json()["items"]]


def test_an_engine_that_the_tenant_may_not_use_is_not_tested(
    api: ApiServer, platform: httpx.Client, provider: WireServer
) -> None:
    limited = api.tenant("limited-engines")
    made(platform, "elsewhere", "/v1/platform/engines", endpoint=f"{provider.url}/v1", region="us-east1")
    for change in ({"allowed_engines": ["offline"]}, {"allowed_engines": None, "allowed_regions": ["eu"]}):
        answer = platform.patch(f"/v1/platform/tenants/{limited.id}", json=change)
        assert answer.status_code == 200, answer.text
        assert answer.json()["allowed_regions"] == change.get("allowed_regions")
        # a process takes a tenant's row as read for two seconds
        until = time.monotonic() + 30
        with api.client(limited.key) as theirs:
            while (answer := theirs.post("/v1/engines/elsewhere/test")).status_code == 200:
                assert time.monotonic() < until
            problem(answer, 403, "forbidden")
        platform.patch(f"/v1/platform/tenants/{limited.id}", json={"allowed_engines": None, "allowed_regions": None})


def test_the_command_line_does_the_same(
    api: ApiServer, tenant: Tenant, provider: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_URL", api.url)
    monkeypatch.setenv("PARLEY_API_KEY", tenant.key)

    def parley(*arguments: str, says: str = "", ends: int = 0) -> str:
        result = CliRunner().invoke(app, ["engine", *arguments], input=says)
        assert result.exit_code == ends, result.output
        assert "PLANTED" not in result.output
        return result.output

    where = f"endpoint={provider.url}/v1"
    parley("add", "by-hand", "--kind", "openai_compatible", "--model", "gpt-4o-mini", where, "limits.concurrency=4")
    parley("set-credentials", "by-hand", says=f"{PLANTED}\n")
    assert "by-hand" in parley("list")
    parley("set", "by-hand", "limits.requests_per_minute=500", "parameters.top_p=0.9", "region=eu")
    shown = json.loads(parley("show", "by-hand"))
    assert (shown["limits"]["requests_per_minute"], shown["limits"]["concurrency"]) == (500, 4)
    assert (shown["parameters"], shown["region"], shown["credentials"]) == ({"top_p": 0.9}, "eu", "db")
    assert "answered in" in parley("test", "by-hand")
    provider.respond = lambda _: openai_wire.error(503, None)
    assert "not available" in parley("test", "by-hand", ends=1)
    parley("show", "nobodys", ends=1)
    parley("set", "by-hand", "nonsense", ends=1)
    monkeypatch.setenv("PARLEY_API_KEY", api.platform_key)
    assert "whisper" in parley("list")
    assert "by-hand" not in parley("list")
    assert "by-hand" in parley("list", "--tenant", tenant.id)
