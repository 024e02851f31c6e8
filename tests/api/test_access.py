"""Who may do what: generated from the OpenAPI document, so that a new route is covered unasked."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest

from api.app import bare_app
from domain.contracts import Conclusion
from domain.conversation import Stage
from infra.embedded.process import free_port
from tests.api.test_bad_input import problem
from tests.support.api_bodies import chat
from tests.support.api_seed import Seeder, storage_of
from tests.support.api_server import SCOPES, ApiServer, Tenant, tenant_body
from tests.support.stack import DatabaseUrls

DOCUMENT = bare_app().openapi()


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    scopes: tuple[str, ...] | None
    names: tuple[str, ...]
    has_body: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def of_tenant(self) -> bool:
        return self.scopes is not None and not self.path.startswith(("/v1/platform", "/v1/me"))


def _operations() -> list[Operation]:
    found = []
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            parameters = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"]
            scopes = operation.get("x-scopes")
            found.append(
                Operation(
                    method.upper(),
                    path,
                    None if scopes is None else tuple(scopes),
                    tuple(parameters),
                    "requestBody" in operation,
                )
            )
    return found


OPERATIONS = _operations()
KEYED = [operation for operation in OPERATIONS if operation.scopes is not None]
OF_TENANT = [operation for operation in OPERATIONS if operation.of_tenant]
WITH_IDS = [operation for operation in OF_TENANT if operation.names and operation.names != ("slug",)]
"""Tasks are the operator's and seen by every tenant: a slug names one, and nobody owns it."""

BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/conversations/{conversation_id}/messages": {"messages": [{"author": "c1", "text": "mine now"}]},
    "PATCH /v1/conversations/{conversation_id}": {"tags": ["mine"]},
    "PATCH /v1/users/{user_id}": {"name": "mine now"},
    "PUT /v1/users/{user_id}/password": {"password": "mine from now on"},
    "POST /v1/sources": {"slug": "walls"},
    "PATCH /v1/sources/{source_id}": {"name": "mine now"},
    "POST /v1/engines": {"name": "walls", "family": "language_model", "kind": "anthropic", "model": "m"},
    "PATCH /v1/engines/{name}": {"model": "m-2"},
    "PUT /v1/engines/{name}/credentials": {"secret": "mine now"},
    "POST /v1/platform/partners": {"slug": "walls", "name": "Walls"},
    "POST /v1/platform/tenants": tenant_body("walls"),
    "PATCH /v1/platform/tenants/{tenant_id}": {"name": "mine now"},
    "POST /v1/platform/api-keys": {"name": "k", "scopes": ["read"]},
}
"""Right bodies: a wall that only a wrong body meets is none."""


@dataclass(frozen=True)
class Owned:
    """What tenant `owner` has, by the name of the path parameter."""

    tenant: Tenant
    ids: dict[str, str]


@pytest.fixture(scope="module")
async def owned(api: ApiServer) -> Owned:
    tenant = api.tenant("owner")
    with api.client(tenant.key) as client:
        conversation = client.post("/v1/conversations", json=chat()).json()["id"]
        upload = client.post("/v1/uploads", json={"size": 4, "sha256": "a" * 64}).json()["id"]
        async with storage_of(api.settings) as storage:
            seeder = Seeder(storage, tenant.id)
            run = await seeder.normalized(conversation)
            await seeder.concluded(run, Conclusion.FAILED, Stage.ANALYZE, "engine_unavailable")
        engine = {**BODIES["POST /v1/engines"], "name": "owned", "endpoint": f"http://127.0.0.1:{free_port()}"}
        assert client.post("/v1/engines", json=engine).status_code == 201
        letter = client.get("/v1/dead-letters").json()["items"][0]["id"]
        user = {"email": "a@b.example", "name": "A", "role": "viewer", "password": "long enough to be one"}
        account = client.post("/v1/users", json=user).json()["id"]
        source = client.post("/v1/sources", json={"slug": "theirs"}).json()["id"]
        event = client.post(f"/v1/sources/{source}/events", json={"external_id": "unfinished"}).json()["id"]
        imported = client.post("/v1/imports", content=json.dumps(chat())).json()["id"]
    ids = {"conversation_id": conversation, "upload_id": upload, "dead_letter_id": letter, "slug": "csat"}
    ids |= {"tenant_id": tenant.id, "user_id": account, "source_id": source, "event_id": event, "import_id": imported}
    ids["name"] = "owned"
    return Owned(tenant, ids)


def send(client: httpx.Client, operation: Operation, ids: dict[str, str]) -> httpx.Response:
    path = operation.path.format(**{name: ids[name] for name in operation.names})
    if operation.path == "/v1/uploads/{upload_id}" and operation.method == "PUT":
        return client.put(path, content=b"RIFF")
    if operation.has_body:
        return client.request(operation.method, path, json=BODIES.get(str(operation), {}))
    return client.request(operation.method, path)


def test_every_route_but_health_wants_a_key() -> None:
    assert {operation.path for operation in OPERATIONS if operation.scopes is None} == {"/healthz", "/readyz"}


@pytest.mark.parametrize("operation", KEYED, ids=str)
def test_no_key_or_a_wrong_one(api: ApiServer, owned: Owned, operation: Operation) -> None:
    unknown = "parley_" + "x" * 43
    for header in (None, "Bearer", unknown, f"Bearer {unknown}", f"Basic {unknown}", f"Bearer {chr(233) * 40}"):
        headers = {"Authorization": header.encode("latin-1")} if header else {}
        with httpx.Client(base_url=api.url, headers=headers) as client:  # type: ignore[arg-type]
            answer = send(client, operation, owned.ids)
            problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("operation", OF_TENANT, ids=str)
def test_a_key_without_the_scope_is_refused(api: ApiServer, owned: Owned, operation: Operation) -> None:
    assert operation.scopes
    for scope in SCOPES:
        with api.client(owned.tenant.keys[scope]) as client:
            answer = send(client, operation, owned.ids)
            if scope in operation.scopes:
                assert answer.status_code not in (401, 403), answer.text
            else:
                problem(answer, 403, "forbidden")


@pytest.mark.parametrize("operation", WITH_IDS, ids=str)
def test_another_tenants_ids_do_not_exist(api: ApiServer, owned: Owned, operation: Operation) -> None:
    stranger = api.tenant("stranger")
    with api.client(owned.tenant.key) as owner, api.client(stranger.key) as other:
        mine = owner.get(f"/v1/conversations/{owned.ids['conversation_id']}").json()
        answer = send(other, operation, owned.ids)
        problem(answer, 404, "not_found")
        assert owned.ids["conversation_id"] not in answer.text
        after = owner.get(f"/v1/conversations/{owned.ids['conversation_id']}").json()
        assert {**after, "stages": None} == {**mine, "stages": None}


@pytest.mark.parametrize("operation", OF_TENANT, ids=str)
def test_a_tenants_key_acts_on_its_own_tenant_only(api: ApiServer, owned: Owned, operation: Operation) -> None:
    stranger = api.tenant("stranger")
    with api.client(stranger.key) as client:
        client.headers["Parley-Tenant"] = owned.tenant.id
        problem(send(client, operation, owned.ids), 403, "forbidden")


@pytest.mark.parametrize(
    "path",
    ["/v1/conversations", "/v1/search", "/v1/dead-letters", "/v1/imports"],
    ids=["conversations", "search", "dead letters", "imports"],
)
def test_lists_show_nothing_of_others(api: ApiServer, owned: Owned, path: str) -> None:
    with api.client(api.tenant("stranger").key) as other:
        answer = other.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.json()["items"] == []


# -- levels -------------------------------------------------------------------------------------------------


def test_who_am_i(api: ApiServer, tenant: Tenant) -> None:
    with api.client(tenant.keys["read"]) as client:
        me = client.get("/v1/me").json()
    assert (me["level"], me["tenant_id"], me["scopes"], me["name"]) == ("tenant", tenant.id, ["read"], "acme read")
    with api.client(api.platform_key) as client:
        assert client.get("/v1/me").json()["level"] == "operator"


def test_a_platform_key_names_the_tenant_it_acts_on(api: ApiServer, owned: Owned) -> None:
    url = f"/v1/conversations/{owned.ids['conversation_id']}"
    with api.client(api.platform_key) as client:
        problem(client.get(url), 403, "forbidden")
        assert client.get(url, headers={"Parley-Tenant": owned.tenant.id}).status_code == 200
        assert client.get(url, headers={"Parley-Tenant": api.tenant("stranger").id}).status_code == 404
        for nobody in ("0" * 32, "owner", "../../x", ""):
            assert client.get(url, headers={"Parley-Tenant": nobody}).status_code in (403, 404)


def test_a_partner_acts_on_its_own_tenants(api: ApiServer, owned: Owned) -> None:
    with api.client(api.platform_key) as platform:
        partner = platform.post("/v1/platform/partners", json={"slug": "hosting", "name": "Hosting Ltd"}).json()["id"]
        wanted = {"name": "partner", "scopes": ["read", "configure"], "partner_id": partner}
        key = platform.post("/v1/platform/api-keys", json=wanted).json()["key"]
    with api.client(key) as client:
        assert client.get("/v1/me").json()["level"] == "partner"
        made = client.post("/v1/platform/tenants", json=tenant_body("of-the-partner"))
        assert (made.status_code, made.json()["partner_id"]) == (201, partner)
        own = made.json()["id"]
        assert [t["id"] for t in client.get("/v1/platform/tenants").json()["items"]] == [own]
        assert client.get("/v1/conversations", headers={"Parley-Tenant": own}).json()["items"] == []
        problem(client.get("/v1/conversations", headers={"Parley-Tenant": owned.tenant.id}), 404, "not_found")
        for body in (
            {"name": "k", "scopes": ["read"], "tenant_id": owned.tenant.id},
            {"name": "k", "scopes": ["read"]},
            {"name": "k", "scopes": ["operate"], "tenant_id": own},
            {"name": "k", "scopes": ["read"], "partner_id": "0" * 32},
        ):
            assert client.post("/v1/platform/api-keys", json=body).status_code in (403, 404), body
        fine = client.post("/v1/platform/api-keys", json={"name": "k", "scopes": ["read"], "tenant_id": own})
        assert fine.status_code == 201
        problem(client.post("/v1/platform/partners", json={"slug": "another", "name": "A"}), 403, "forbidden")
        foreign = tenant_body("of-another", partner_id="0" * 32)
        problem(client.post("/v1/platform/tenants", json=foreign), 403, "forbidden")
    with api.client(owned.tenant.key) as client:
        problem(client.get("/v1/platform/tenants"), 403, "forbidden")
        problem(client.post("/v1/platform/tenants", json=tenant_body("sub")), 403, "forbidden")


def test_setting_up_refuses_what_is_wrong(api: ApiServer) -> None:
    with api.client(api.platform_key) as client:
        assert client.post("/v1/platform/tenants", json=tenant_body("twice")).status_code == 201
        problem(client.post("/v1/platform/tenants", json=tenant_body("twice")), 409, "conflict")
        for change, field in (
            ({"limits": {}}, "limits.conversations"),
            ({"time_zone": "Mars/Olympus"}, "body"),
            ({"partner_id": "0" * 32}, "partner_id"),
            ({"slug": "Not A Slug"}, "slug"),
            ({"retention": {"audio_days": 0, "text_days": 1, "insight_days": 1}}, "retention.audio_days"),
            ({"name": "a\0"}, "name"),
        ):
            answer = client.post("/v1/platform/tenants", json={**tenant_body("wrong"), **change})
            assert field in [e["field"] for e in problem(answer, 422, "invalid_input")["errors"]], answer.text
        past = {"name": "k", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}
        assert problem(client.post("/v1/platform/api-keys", json=past), 422, "invalid_input")


def test_a_key_is_stored_as_its_hash_only(api: ApiServer, tenant: Tenant, database: DatabaseUrls) -> None:
    with psycopg.connect(database.admin) as connection:
        rows = connection.execute("select k::text from api_key k").fetchall()
    assert rows
    assert not any(tenant.key.removeprefix("parley_") in str(row) for row in rows)


def test_a_revoked_key_is_refused_within_seconds(api: ApiServer, tenant: Tenant, database: DatabaseUrls) -> None:
    with api.client(api.platform_key) as platform:
        body = {"name": "short-lived", "scopes": ["read"], "tenant_id": tenant.id}
        issued = platform.post("/v1/platform/api-keys", json=body).json()
    with psycopg.connect(database.admin) as connection:
        connection.execute("update api_key set revoked_at = now() where id = %s", (issued["id"],))
    with api.client(issued["key"]) as client:  # never seen before, so nothing is remembered of it
        problem(client.get("/v1/me"), 401, "unauthenticated")


def test_a_suspended_tenant_may_be_looked_at_only(api: ApiServer, database: DatabaseUrls) -> None:
    suspended = api.tenant("suspended")
    with psycopg.connect(database.admin) as connection:
        connection.execute("update tenant set state = 'suspended' where id = %s", (suspended.id,))
    with api.client(suspended.key) as client:
        problem(client.post("/v1/conversations", json=chat()), 403, "forbidden")
        assert client.get("/v1/conversations").status_code == 200
