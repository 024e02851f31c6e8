"""Accounts over the API: who may give which role, what is kept of a password, what comes back."""

import httpx
import psycopg
import pytest

from tests.api.test_bad_input import problem
from tests.support.api_server import ApiServer, Tenant, tenant_body
from tests.support.stack import DatabaseUrls

PASSWORD = "long enough for a test"


def account(address: str, **more: str) -> dict[str, str]:
    return {"email": address, "name": "Ada", "role": "viewer", "password": PASSWORD, **more}


def test_an_account_is_made_listed_and_changed(client: httpx.Client) -> None:
    made = client.post("/v1/users", json=account("Ada@Example.COM"))
    assert made.status_code == 201, made.text
    user = made.json()
    assert (user["email"], user["state"], user["has_password"]) == ("ada@example.com", "active", True)
    assert "password" not in {key for key in user if key != "has_password"}
    problem(client.post("/v1/users", json=account("ada@EXAMPLE.com")), 409, "conflict")
    changed = client.patch(f"/v1/users/{user['id']}", json={"role": "analyst", "name": "Ada B"}).json()
    assert (changed["role"], changed["name"], changed["state"]) == ("analyst", "Ada B", "active")
    assert [u["email"] for u in client.get("/v1/users").json()["items"]] == ["ada@example.com"]
    assert client.patch(f"/v1/users/{user['id']}", json={"state": "gone"}).status_code == 200
    assert client.get("/v1/users").json()["items"] == []
    problem(client.patch(f"/v1/users/{user['id']}", json={"state": "active"}), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b@c"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": "x" * 250 + "@example.com"}, "email"),
        ({"name": ""}, "name"),
        ({"role": "king"}, "role"),
        ({"password": "short"}, "password"),
        ({"password": "aaaaaaaaaaaaaaaa"}, "password"),
        ({"password": "x1y2" * 65}, "password"),
        ({"password": "wrong-input@example.com"}, "password"),
        ({"state": "active"}, "state"),
    ],
)
def test_bad_input_names_the_field_and_not_the_password(
    client: httpx.Client, change: dict[str, str], field: str
) -> None:
    answer = client.post("/v1/users", json=account("wrong-input@example.com", **change))
    found = problem(answer, 422, "invalid_input")
    assert [e["field"] for e in found["errors"]] == [field]
    assert change.get("password", PASSWORD) not in answer.text
    assert client.get("/v1/users").json()["items"] == []


def test_roles_above_the_tenant_are_given_from_above(api: ApiServer, tenant: Tenant) -> None:
    with api.client(api.platform_key) as platform:
        partner = platform.post("/v1/platform/partners", json={"slug": "users-host", "name": "Host"}).json()["id"]
        wanted = {"name": "p", "scopes": ["configure"], "partner_id": partner}
        partner_key = platform.post("/v1/platform/api-keys", json=wanted).json()["key"]
        own = platform.post("/v1/platform/tenants", json=tenant_body("users-hosted", partner_id=partner)).json()["id"]
        platform.headers["Parley-Tenant"] = own
        operator = platform.post("/v1/users", json=account("op@example.com", role="operator"))
        assert operator.status_code == 201
    with api.client(partner_key) as client:
        client.headers["Parley-Tenant"] = own
        assert client.post("/v1/users", json=account("pa@example.com", role="partner_admin")).status_code == 201
        problem(client.post("/v1/users", json=account("op2@example.com", role="operator")), 403, "forbidden")
        # Nor is an operator's account changed from below.
        path = f"/v1/users/{operator.json()['id']}"
        problem(client.patch(path, json={"state": "locked"}), 403, "forbidden")
        problem(client.put(f"{path}/password", json={"password": PASSWORD}), 403, "forbidden")
    with api.client(tenant.key) as client:
        for role in ("operator", "partner_admin"):
            problem(client.post("/v1/users", json=account("x@example.com", role=role)), 403, "forbidden")
        assert client.post("/v1/users", json=account("ta@example.com", role="tenant_admin")).status_code == 201


def test_nothing_is_kept_of_a_password_but_its_slow_hash(client: httpx.Client, database: DatabaseUrls) -> None:
    keyed = {"Idempotency-Key": "user-1"}
    body = account("kept@example.com")
    first = client.post("/v1/users", json=body, headers=keyed)
    again = client.post("/v1/users", json={**body, "password": "another one of these"}, headers=keyed)
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    with psycopg.connect(database.admin) as connection:
        for table in ("user_account", "idempotency_key", "audit_event"):
            rows = connection.execute(f"select t::text from {table} t".encode()).fetchall()
            assert not any(PASSWORD in str(row) for row in rows), table
        stored = connection.execute("select password_hash from user_account").fetchall()
        audited = connection.execute("select after from audit_event where action = 'user.create'").fetchall()
    assert all(str(row[0]).startswith("$argon2id$") for row in stored)
    assert {"role": "viewer"} in [row[0] for row in audited]
