"""Signing in and out: sessions, forms, throttled tries, roles. Without a browser."""

import re
import uuid
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from api.app import PAGES
from api.web.visitors import Needs
from domain.people import UserRole
from services.permissions import PERMISSIONS, Permission
from tests.support.api_bodies import chat
from tests.support.api_server import ApiServer
from tests.support.stack import DatabaseUrls
from tests.web.conftest import PASSWORD, form_of

HTML = {"Accept": "text/html"}
WRONG = "Company, e-mail or password is not right."
OPEN_TO_ALL = {"/", "/sign-in", "/static/{name}", "/favicon.ico"}


@pytest.fixture(scope="module")
def people(api: ApiServer) -> dict[str, str]:
    """Role → address, at the tenant `doors`."""
    tenant = api.tenant("doors")
    addresses = {role.value: f"{role.value.replace('_', '-')}@doors.example" for role in UserRole}
    with api.client(api.platform_key) as platform:
        platform.headers["Parley-Tenant"] = tenant.id
        for role, address in addresses.items():
            body = {"email": address, "name": role, "role": role, "password": PASSWORD}
            assert platform.post("/v1/users", json=body).status_code == 201
    return addresses


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, headers=HTML, timeout=30) as client:
        yield client


def sign_in(
    client: httpx.Client, email: str, password: str = PASSWORD, *, tenant: str = "doors", goal: str = ""
) -> httpx.Response:
    """As somebody who was not signed in before."""
    client.cookies.clear()
    form = form_of(client.get("/sign-in").text)
    data = {"form": form, "tenant": tenant, "email": email, "password": password, "next": goal}
    return client.post("/sign-in", data=data)


def forget_tries(database: DatabaseUrls) -> None:
    with psycopg.connect(database.admin) as connection:
        connection.execute("delete from sign_in_try")


def keep_trying(database: DatabaseUrls) -> None:
    """As if whoever has used up their free tries had gone on for some minutes, and tried a moment ago."""
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            """
            update sign_in_try
            set tries = tries + 7, last_at = now()
            where tries in (5, 30)
            """
        )


@pytest.fixture(autouse=True)
def _rested(database: DatabaseUrls) -> None:
    forget_tries(database)


# -- sessions -----------------------------------------------------------------------------------------------


def test_a_session_is_a_cookie_out_of_reach_of_scripts_and_kept_as_a_hash(
    client: httpx.Client, people: dict[str, str], database: DatabaseUrls
) -> None:
    answer = sign_in(client, people["viewer"])
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("parley_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    token = client.cookies["parley_session"]
    with psycopg.connect(database.admin) as connection:
        rows = connection.execute("select s::text from user_session s").fetchall()
        hashes = connection.execute("select password_hash from user_account where email = %s", (people["viewer"],))
        assert str(hashes.fetchone()[0]).startswith("$argon2id$")  # type: ignore[index]
    assert rows
    assert not any(token.split(".")[1] in str(row) for row in rows)
    assert client.get("/dashboard").status_code == 200


def test_signing_out_ends_the_session_and_not_only_the_cookie(client: httpx.Client, people: dict[str, str]) -> None:
    sign_in(client, people["viewer"])
    kept = dict(client.cookies)
    answer = client.post("/sign-out", data={"form": form_of(client.get("/dashboard").text)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?tenant=doors")
    assert "parley_session" not in client.cookies
    stolen = httpx.get(f"{client.base_url}/dashboard", cookies=kept, headers=HTML)
    assert stolen.status_code == 303


@pytest.mark.parametrize("change", ["seen_at = now() - interval '3 hours'", "expires_at = now()", "revoked_at = now()"])
def test_a_session_ends_by_itself(
    client: httpx.Client, people: dict[str, str], database: DatabaseUrls, change: str
) -> None:
    sign_in(client, people["viewer"])
    assert client.get("/dashboard").status_code == 200
    with psycopg.connect(database.admin) as connection:
        connection.execute(f"update user_session set {change}".encode())
    assert client.get("/dashboard").headers["location"].startswith("/sign-in?")


def test_a_changed_password_ends_every_other_session(api: ApiServer, people: dict[str, str]) -> None:
    address, other = "changer@doors.example", "another password here"
    with api.client(api.tenant("doors").key) as admin:
        body = {"email": address, "name": "C", "role": "auditor", "password": PASSWORD}
        assert admin.post("/v1/users", json=body).status_code == 201
    with (
        httpx.Client(base_url=api.url, headers=HTML, timeout=30) as here,
        httpx.Client(base_url=api.url, headers=HTML, timeout=30) as elsewhere,
    ):
        sign_in(here, address)
        sign_in(elsewhere, address)
        form = {"form": form_of(here.get("/account").text), "old": PASSWORD, "new": other, "again": other}
        for wrong, told in (
            ({"old": "not it at all"}, "is not the password you have"),
            ({"again": "something else"}, "is not the same as the new one"),
            ({"new": "short", "again": "short"}, "has at least 12 characters"),
            ({"new": address, "again": address}, "is too easy to guess"),
        ):
            refused = here.post("/account", data={**form, **wrong})
            assert refused.status_code == 422
            assert told in refused.text
            assert other not in refused.text
        changed = here.post("/account", data=form)
        assert changed.status_code == 200, changed.text
        assert "Your password is changed." in changed.text
        assert here.get("/dashboard").status_code == 200  # with its new session
        assert elsewhere.get("/dashboard").status_code == 303
        assert sign_in(elsewhere, address).status_code == 403
        assert sign_in(elsewhere, address, other).status_code == 303


def test_whoever_is_locked_or_given_another_role_is_out_at_once(api: ApiServer, client: httpx.Client) -> None:
    tenant = api.tenant("doors")
    with api.client(tenant.key) as admin:
        body = {"email": "briefly@doors.example", "name": "B", "role": "viewer", "password": PASSWORD}
        user = admin.post("/v1/users", json=body).json()
        for change in ({"role": "analyst"}, {"state": "locked"}):
            assert sign_in(client, user["email"]).status_code == 303
            assert client.get("/dashboard").status_code == 200
            assert admin.patch(f"/v1/users/{user['id']}", json=change).status_code == 200
            assert client.get("/dashboard").status_code == 303
        assert sign_in(client, user["email"]).status_code == 403
        assert admin.patch(f"/v1/users/{user['id']}", json={"state": "active"}).status_code == 200
        assert sign_in(client, user["email"]).status_code == 303
        new = {"password": "given by an admin"}
        assert admin.put(f"/v1/users/{user['id']}/password", json=new).status_code == 200
        assert client.get("/dashboard").status_code == 303


def test_a_session_is_worth_nothing_elsewhere(client: httpx.Client, people: dict[str, str], api: ApiServer) -> None:
    sign_in(client, people["viewer"])
    _, secret = client.cookies["parley_session"].split(".")
    other = api.tenant("elsewhere").id
    for token in (
        f"{other}.{secret}", f"{'0' * 32}.{secret}", secret, f"{other}.", "x", f"{other}.{secret}x", "%C3%A9" * 20,
    ):  # fmt: skip
        answer = httpx.get(f"{api.url}/dashboard", headers=[*HTML.items(), ("Cookie", f"parley_session={token}")])
        assert answer.status_code == 303, token
    # And a key of the API opens no page, nor a cookie the API.
    assert (
        httpx.get(f"{api.url}/dashboard", headers={**HTML, "Authorization": f"Bearer {api.platform_key}"}).status_code
        == 303
    )
    assert client.get("/v1/dashboard").status_code == 401


def test_people_see_their_own_tenant_only(api: ApiServer, client: httpx.Client, people: dict[str, str]) -> None:
    with api.client(api.tenant("elsewhere").key) as other:
        theirs = other.post("/v1/conversations", json=chat(queue="their secret queue")).json()["id"]
    sign_in(client, people["operator"])
    assert client.get(f"/conversations/{theirs}").status_code == 404
    assert client.get(f"/conversations/{theirs}/audio/1").status_code == 404
    for path in ("/dashboard", "/conversations", "/conversations?where=channel+%3D+chat"):
        page = client.get(path)
        assert page.status_code == 200
        assert theirs not in page.text
        assert "their secret queue" not in page.text
    assert sign_in(client, people["operator"], tenant="elsewhere").status_code == 403


# -- forms --------------------------------------------------------------------------------------------------


def test_every_post_wants_the_token_of_its_own_page(
    client: httpx.Client, people: dict[str, str], api: ApiServer
) -> None:
    posts = {
        getattr(route, "path", "")
        for router in PAGES
        for route in router.routes
        if "POST" in (getattr(route, "methods", ()) or ())
    }
    assert posts == {"/sign-in", "/sign-out", "/account"}
    sign_in(client, people["viewer"])
    with httpx.Client(base_url=api.url, headers=HTML, timeout=30) as other:
        foreign = form_of(other.get("/sign-in").text)
    for path in ("/sign-out", "/account"):
        for data in ({"x": ""}, {"form": ""}, {"form": foreign}, {"form": client.cookies["parley_session"]}):
            assert client.post(path, data=data).status_code == 403, (path, data)
        right = {"form": form_of(client.get("/account").text)}
        assert client.post(path, data=right, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert client.post(path, json=right).status_code in (400, 415)
        assert client.post(path, data={**right, "x": "y" * 20_000}).status_code == 413
    assert client.get("/dashboard").status_code == 200  # nobody was signed out


def test_a_sign_in_that_somebody_else_sends_is_refused(client: httpx.Client, people: dict[str, str]) -> None:
    """Otherwise a victim could be signed in as the attacker, and search there."""
    data = {"tenant": "doors", "email": people["viewer"], "password": PASSWORD}
    for form in ({}, {"form": "x" * 43}):
        answer = client.post("/sign-in", data={**data, **form})
        assert "open for too long" in answer.text
        assert "parley_session" not in client.cookies


@pytest.mark.parametrize(
    ("goal", "leads"),
    [
        ("/conversations?where=csat+%3C+3", "/conversations?where=csat+%3C+3"),
        ("//evil.example", "/dashboard"),
        ("/\\evil.example", "/dashboard"),
        ("https://evil.example/", "/dashboard"),
        ("javascript:alert(1)", "/dashboard"),
        ("/\tevil", "/dashboard"),
        ("/x\r\nSet-Cookie: a=b", "/dashboard"),
        ("/sign-in?next=/sign-in", "/dashboard"),
        ("/%2f/evil.example", "/dashboard"),
        ("", "/dashboard"),
        ("/" + "a" * 3000, "/dashboard"),
    ],
)
def test_signing_in_leads_nowhere_else(client: httpx.Client, people: dict[str, str], goal: str, leads: str) -> None:
    answer = sign_in(client, people["viewer"], goal=goal)
    assert (answer.status_code, answer.headers["location"]) == (303, leads)
    again = client.get("/sign-in", params={"next": goal})
    assert (again.status_code, again.headers["location"]) == (303, leads)


def test_who_is_not_signed_in_is_asked_to_and_led_back(client: httpx.Client, people: dict[str, str]) -> None:
    asked = client.get("/conversations?q=refund")
    assert asked.headers["location"] == "/sign-in?next=%2Fconversations%3Fq%3Drefund"
    page = client.get(asked.headers["location"])
    assert 'name="next" value="/conversations?q=refund"' in page.text
    assert client.get("/dashboard?tenant=doors").headers["location"].endswith("&tenant=doors")
    assert client.get("/").headers["location"] == "/dashboard"


# -- tries --------------------------------------------------------------------------------------------------


def test_nothing_tells_whether_an_account_exists(
    client: httpx.Client, people: dict[str, str], database: DatabaseUrls
) -> None:
    def told(tenant: str, email: str) -> list[tuple[int, str]]:
        forget_tries(database)
        answers = [sign_in(client, email, "wrong password", tenant=tenant) for _ in range(5)]
        keep_trying(database)
        answers.append(sign_in(client, email, "wrong password", tenant=tenant))
        return [(a.status_code, re.sub(r"Wait \d+", "Wait n", _message(a.text))) for a in answers]

    known = told("doors", people["viewer"])
    assert known[:5] == [(403, WRONG)] * 5
    assert known[5:] == [(429, "Too many tries. Wait n minutes, then try again.")]
    assert told("doors", "nobody@doors.example") == known
    assert told("no-such-company", people["viewer"]) == known
    assert told("doors", f"{people['viewer'].upper()} ") == known


def test_too_many_tries_wait_for_the_account_also_with_the_right_password(
    client: httpx.Client, people: dict[str, str], database: DatabaseUrls
) -> None:
    for _ in range(5):
        assert sign_in(client, people["analyst"], "wrong password").status_code == 403
    keep_trying(database)
    answer = sign_in(client, people["analyst"], "wrong password")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert sign_in(client, people["analyst"]).status_code == 429
    assert sign_in(client, people["viewer"]).status_code == 303  # others are not kept waiting
    with psycopg.connect(database.admin) as connection:
        connection.execute("update sign_in_try set last_at = last_at - interval '16 minutes'")
        named = connection.execute("select key::text from sign_in_try").fetchall()
    assert not any("analyst" in str(row) for row in named)
    assert sign_in(client, people["analyst"]).status_code == 303


def test_an_address_that_tries_many_accounts_waits(
    client: httpx.Client, people: dict[str, str], database: DatabaseUrls
) -> None:
    def guess() -> int:
        return sign_in(client, f"{uuid.uuid4().hex}@doors.example", "wrong password").status_code

    assert {guess() for _ in range(30)} == {403}
    keep_trying(database)
    assert guess() == 429
    assert sign_in(client, people["viewer"]).status_code == 429


def test_signing_in_is_on_the_audit_trail(client: httpx.Client, people: dict[str, str], database: DatabaseUrls) -> None:
    sign_in(client, people["analyst"], "wrong password")
    sign_in(client, people["analyst"])
    client.post("/sign-out", data={"form": form_of(client.get("/dashboard").text)})
    with psycopg.connect(database.admin) as connection:
        rows = connection.execute(
            """
            select e.action, e.origin, e::text
            from audit_event e
            join user_account u on u.tenant_id = e.tenant_id and u.id::text = e.subject
            where u.email = %s
            """,
            (people["analyst"],),
        ).fetchall()
    assert {"user.create", "user.sign_in.refused", "user.sign_in", "user.sign_out"} <= {str(row[0]) for row in rows}
    assert {row[1] for row in rows if str(row[0]).startswith("user.sign_in")} == {"127.0.0.1"}
    assert not any(PASSWORD in str(row) or "wrong password" in str(row) for row in rows)


# -- roles --------------------------------------------------------------------------------------------------


def test_every_page_but_the_doors_needs_somebody(client: httpx.Client) -> None:
    seen = set()
    for router in PAGES:
        for route in router.routes:
            path, methods = route.path, route.methods  # type: ignore[attr-defined]
            needs = [d.call for d in route.dependant.dependencies if isinstance(d.call, Needs)]  # type: ignore[attr-defined]
            if path in OPEN_TO_ALL:
                assert not needs
                continue
            assert needs, path
            seen.add(path)
            concrete = path.replace("{conversation_id}", str(uuid.uuid4())).replace("{number}", "1")
            for method in methods:
                answer = client.request(method, concrete)
                assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in"), path
                assert client.request(method, concrete, headers={"Accept": "*/*"}).status_code == 401
    assert len(seen) >= 6


@pytest.mark.parametrize("role", list(UserRole), ids=str)
def test_roles_see_what_the_table_says(client: httpx.Client, people: dict[str, str], role: UserRole) -> None:
    sign_in(client, people[role.value])
    results = Permission.EVERY_CONVERSATION in PERMISSIONS[role]
    for path in ("/dashboard", "/conversations"):
        page = client.get(path)
        assert page.status_code == (200 if results else 403)
        if not results:
            assert "may not do this" in page.text
    assert client.get("/account").status_code == 200
    audio = client.get(f"/conversations/{uuid.uuid4()}/audio/1")
    hears = results and Permission.ORIGINALS in PERMISSIONS[role]
    assert audio.status_code == (404 if hears else 403)


def test_the_table_gives_nobody_more_by_accident() -> None:
    assert set(PERMISSIONS) == set(UserRole)
    assert PERMISSIONS[UserRole.VIEWER] == {Permission.EVERY_CONVERSATION}
    of = {p: {role for role in UserRole if p in PERMISSIONS[role]} for p in Permission}
    assert of[Permission.OPERATIONS] == {UserRole.OPERATOR}
    assert of[Permission.PEOPLE] == {UserRole.OPERATOR, UserRole.PARTNER_ADMIN, UserRole.TENANT_ADMIN}
    assert UserRole.SUPERVISOR not in of[Permission.EVERY_CONVERSATION]
    assert of[Permission.ORIGINALS] == {UserRole.OPERATOR, UserRole.TENANT_ADMIN, UserRole.SUPERVISOR}


def _message(page: str) -> str:
    found = re.search(r'id="problem">([^<]*)<', page)
    return found[1] if found else ""
