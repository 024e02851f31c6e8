"""The pages on the real API with some weeks of conversations, looked at in the system's Chromium."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.support.api_seed import storage_of
from tests.support.api_server import ApiServer, Tenant, api_server, api_settings
from tests.support.stack import ROOT, DatabaseUrls, TemporalServer
from tests.support.web_seed import Seeded, WebSeeder

LAPTOP = {"width": 1366, "height": 860}
PHONE = {"width": 390, "height": 844}
SCREENS = ROOT / ".parley" / "screens"
PASSWORD = "a password for tests"
ROLES = ("operator", "tenant_admin", "partner_admin", "supervisor", "analyst", "viewer", "auditor")


@dataclass(frozen=True)
class Site:
    """The pages of one tenant. People are called after their roles."""

    api: ApiServer
    tenant: Tenant
    seeded: Seeded

    @property
    def url(self) -> str:
        return self.api.url

    def email(self, role: str) -> str:
        return f"{role.replace('_', '-')}@example.com"


@pytest.fixture(scope="module")
def api(
    database: DatabaseUrls, temporal_server: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    settings = api_settings(database, tmp_path_factory.mktemp("web"), temporal_address=temporal_server.address)
    with api_server(settings, database) as server:
        yield server


@pytest.fixture(scope="module")
def site(api: ApiServer) -> Site:
    """A tenant with conversations and a person of each role."""
    tenant = api.tenant("harbour")
    with api.client(api.platform_key) as platform:
        platform.headers["Parley-Tenant"] = tenant.id
        for role in ROLES:
            body = {"email": f"{role.replace('_', '-')}@example.com", "role": role, "password": PASSWORD}
            made = platform.post("/v1/users", json={**body, "name": role.replace("_", " ").title()})
            assert made.status_code == 201, made.text

    async def fill() -> Seeded:
        async with storage_of(api.settings) as storage:
            with api.client(tenant.key) as client:
                return await WebSeeder(storage, tenant.id, client).fill()

    return Site(api, tenant, asyncio.run(fill()))


@pytest.fixture(scope="module")
def call_id(site: Site) -> str:
    return site.seeded["call"]


def form_of(page: str) -> str:
    """The token of a page's form."""
    found = re.search(r'name="form" value="([^"]+)"', page)
    assert found, page[:500]
    return found[1]


def signed_in(site: Site, role: str = "operator") -> httpx.Client:
    """A client with the cookies of somebody who signed in, without a browser."""
    client = httpx.Client(base_url=site.url, timeout=30)
    form = {"form": form_of(client.get("/sign-in").text), "tenant": "harbour", "email": site.email(role)}
    answer = client.post("/sign-in", data={**form, "password": PASSWORD})
    assert answer.status_code == 303, answer.text[:2000]
    return client


@pytest.fixture
def site_client(site: Site) -> Iterator[httpx.Client]:
    client = signed_in(site)
    yield client
    client.close()


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:  # the site first: once a browser runs, no loop may begin here
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        opened = playwright.chromium.launch(executable_path=chromium, args=options)
        yield opened
        opened.close()


@dataclass
class Visit:
    """A page that is being looked at, and what its console said."""

    page: Page
    site: Site
    said: list[str]

    def go(self, path: str) -> None:
        self.page.goto(self.site.url + path)

    def sign_in(self, role: str = "operator", path: str = "/dashboard") -> None:
        self.go(f"/sign-in?tenant=harbour&next={path}")
        self.page.get_by_label("E-mail").fill(self.site.email(role))
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"**{path}*")


class Visits:
    """Opens pages; closes them at the end, and then nothing may have been said on a console."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser = browser
        self._site = site
        self._contexts: list[BrowserContext] = []
        self._visits: list[Visit] = []

    def open(self, **options: Any) -> Visit:
        context = self._browser.new_context(**{"viewport": LAPTOP, "locale": "en-GB", **options})
        context.set_default_timeout(15_000)
        page = context.new_page()
        visit = Visit(page, self._site, [])
        page.on("console", lambda message: _note(visit, message))
        page.on("pageerror", lambda error: visit.said.append(f"error: {error}"))
        self._contexts.append(context)
        self._visits.append(visit)
        return visit

    def close(self) -> list[str]:
        said = [line for visit in self._visits for line in visit.said]
        for context in self._contexts:
            context.close()
        return said


def _note(visit: Visit, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        visit.said.append(f"{message.type}: {message.text}")


@pytest.fixture
def visits(browser: Browser, site: Site) -> Iterator[Visits]:
    opened = Visits(browser, site)
    yield opened
    assert opened.close() == []


@pytest.fixture
def visit(visits: Visits) -> Visit:
    return visits.open()


@pytest.fixture(scope="session")
def screens() -> Path:
    SCREENS.mkdir(parents=True, exist_ok=True)
    return SCREENS
