"""The real API for tests: uvicorn on a port of its own, in a thread with its own loop, over real servers."""

import asyncio
import base64
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn

from api.__main__ import for_serving, server_config
from api.app import create_app
from infra.api_wiring import open_api_services
from infra.embedded.process import free_port
from infra.secrets import SecretRef
from infra.settings import Profile, Settings
from services import starter_library
from services.backlog import BacklogLimit
from services.readers import Readers
from storage.postgres.provisioning import Provisioning
from tests.support.stack import DatabaseUrls

SCOPES = ("ingest", "read", "configure", "operate")

LIMITS = {
    kind: {"warn_at": 800, "stop_at": 1000}
    for kind in ("conversations", "audio_minutes", "requests", "tokens", "cost_usd")
}


def api_settings(database: DatabaseUrls, folder: Path, *, temporal_address: str, **more: object) -> Settings:
    """Settings of an API over this database, with keys and content in `folder`."""
    for name in ("master.key", "codec.key"):
        path = folder / name
        if not path.exists():
            path.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    port = free_port()
    values: dict[str, object] = {
        "profile": Profile.EMBEDDED,
        "home": folder,
        "database_url": database.app,
        "platform_database_url": database.platform,
        "temporal_address": temporal_address,
        "temporal_ui_url": "http://temporal.example",
        "content_url": (folder / "content").as_uri(),
        "master_key": SecretRef(f"file:{folder / 'master.key'}"),
        "codec_key": SecretRef(f"file:{folder / 'codec.key'}"),
        "api_port": port,
        "public_url": f"http://127.0.0.1:{port}",
        "max_body_bytes": 8 * 1024 * 1024,
        "max_upload_bytes": 16 * 1024 * 1024,
        "audio_url_hosts": ("audio.example.com",),
        "engine_hosts": ("127.0.0.1",),
        **more,
    }
    return Settings.model_validate(values)


@dataclass
class Tenant:
    """A tenant set up through the API, with a key of each scope and one of all."""

    id: str
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.keys["all"]


@dataclass
class ApiServer:
    settings: Settings
    platform_key: str
    url: str
    tenants: dict[str, Tenant] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)

    def client(self, key: str | None, **options: object) -> httpx.Client:
        """A client with this key; none for None."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, **options)  # type: ignore[arg-type]

    def async_client(self, key: str, **options: object) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"}
        limits = httpx.Limits(max_connections=100)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60, limits=limits, **options)  # type: ignore[arg-type]

    def tenant(self, slug: str) -> Tenant:
        """Made through the API with the first mention."""
        if slug not in self.tenants:
            self.tenants[slug] = self._make_tenant(slug)
        return self.tenants[slug]

    def _make_tenant(self, slug: str) -> Tenant:
        with self.client(self.platform_key) as platform:
            made = platform.post("/v1/platform/tenants", json=tenant_body(slug))
            assert made.status_code == 201, made.text
            tenant = Tenant(made.json()["id"])
            for name, scopes in {**{scope: [scope] for scope in SCOPES}, "all": list(SCOPES)}.items():
                body = {"name": f"{slug} {name}", "scopes": scopes, "tenant_id": tenant.id}
                key = platform.post("/v1/platform/api-keys", json=body)
                assert key.status_code == 201, key.text
                tenant.keys[name] = key.json()["key"]
        return tenant


def tenant_body(slug: str, **more: object) -> dict[str, object]:
    """A body of `POST /v1/platform/tenants`."""
    return {
        "slug": slug,
        "name": slug.title(),
        "limits": LIMITS,
        "retention": {"audio_days": 30, "text_days": 90, "insight_days": 365},
        "time_zone": "Europe/Berlin",
        "languages": ["en", "de"],
        **more,
    }


@contextmanager
def api_server(
    settings: Settings,
    database: DatabaseUrls,
    *,
    backlog: BacklogLimit | None = None,
    readers: Readers | None = None,
) -> Iterator[ApiServer]:
    """Serves until the block ends. `backlog` puts another limit in the place of the usual one, `readers` others in the
    place of those of `engines.formats`."""
    platform_key = asyncio.run(_provision(database))
    ready, server_errors = threading.Event(), list[BaseException]()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        async with open_api_services(for_serving(settings), readers=readers) as services:
            if backlog is not None:
                object.__setattr__(services, "backlog", backlog)
            server = uvicorn.Server(server_config(settings, create_app(services)))
            servers.append(server)
            ready.set()
            await server.serve()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            server_errors.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="api", daemon=True)
    thread.start()
    assert ready.wait(30)
    url = f"http://127.0.0.1:{settings.api_port}"
    _wait_until_it_answers(url, server_errors)
    try:
        yield ApiServer(settings, platform_key, url, errors=server_errors)
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def _wait_until_it_answers(url: str, errors: list[BaseException]) -> None:
    for _ in range(300):
        assert not errors, errors
        try:
            if httpx.get(f"{url}/healthz", timeout=2).is_success:
                return
        except httpx.HTTPError:
            threading.Event().wait(0.05)
    raise AssertionError("the API does not answer")


async def _provision(database: DatabaseUrls) -> str:
    """The starter library and a platform key: what set-up commands do with the owner's URL."""
    async with Provisioning.connect(database.owner) as provisioning:
        async with provisioning.configuration() as config:
            await starter_library.install(config)
        issued = await provisioning.create_api_key("platform", scopes=SCOPES)
        return issued.key.get_secret_value()
