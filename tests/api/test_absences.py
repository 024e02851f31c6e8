"""What the API does while a part is away: without Temporal it accepts, without Postgres it says so."""

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest

from domain.errors import Unavailable
from infra.embedded.process import free_port
from services.backlog import BacklogLimit
from services.readiness import Probe, Readiness
from tests.api.test_bad_input import problem
from tests.support.api_bodies import chat
from tests.support.api_server import ApiServer, api_server, api_settings
from tests.support.stack import DatabaseUrls, TemporalServer


def test_without_temporal_conversations_are_accepted(api_without_temporal: ApiServer) -> None:
    api = api_without_temporal
    tenant = api.tenant("no-temporal")
    with api.client(tenant.key) as client:
        accepted = client.post("/v1/conversations", params={"wait": 0.5}, json=chat())
        assert (accepted.status_code, accepted.json()["started"]) == (202, False), accepted.text
        explained = client.get(accepted.json()["links"]["explain"]).json()
        assert (explained["temporal_answered"], explained["run"]["state"]) == (False, "pending")
        assert "Temporal does not answer" in explained["answer"]
        rerun = client.post(f"/v1/conversations/{accepted.json()['id']}/rerun")
        assert rerun.status_code == 202
    ready = httpx.get(f"{api.url}/readyz", timeout=10)
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert {part["name"]: part["ok"] for part in ready.json()["parts"]}["temporal"] is False


def test_what_was_seen_of_parts_is_for_operators(api_without_temporal: ApiServer) -> None:
    api = api_without_temporal

    def details(key: str | None) -> dict[str, str | None]:
        with api.client(key) as client:
            return {part["name"]: part["detail"] for part in client.get("/readyz").json()["parts"]}

    anonymous = details(None)
    assert (anonymous["search index"], anonymous["temporal"]) == (None, "unavailable")
    assert details("parley_" + "y" * 43) == details(api.tenant("curious").key) == anonymous
    assert "documents" in (details(api.platform_key)["search index"] or "")


class Gate:
    """A TCP relay to Postgres that can be closed: what is on its way is cut, and nothing new is let in."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._open = True
        self._pipes: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._pipes += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

    def shut(self) -> None:
        self._open = False
        for pipe in self._pipes:
            _cut(pipe)
        self._pipes.clear()

    def reopen(self) -> None:
        self._open = True

    def end(self) -> None:
        self._listener.close()
        self.shut()


def _cut(pipe: socket.socket) -> None:
    with suppress(OSError):
        pipe.shutdown(socket.SHUT_RDWR)
    pipe.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _cut(source)
    _cut(sink)


@pytest.fixture(scope="module")
def gated(
    database: DatabaseUrls, temporal_server: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ApiServer, Gate]]:
    with psycopg.connect(database.app) as connection:
        gate = Gate((connection.info.host, connection.info.port))
        real = f"{connection.info.host}:{connection.info.port}"
    through = {"database_url": database.app, "platform_database_url": database.platform}
    settings = api_settings(
        database,
        tmp_path_factory.mktemp("gated"),
        temporal_address=temporal_server.address,
        **{name: url.replace(real, f"127.0.0.1:{gate.port}") for name, url in through.items()},
    )
    with api_server(settings, database) as server:
        yield server, gate
    gate.end()


def test_without_postgres_everything_says_so_and_comes_back(gated: tuple[ApiServer, Gate]) -> None:
    api, gate = gated
    tenant = api.tenant("gated")
    with api.client(tenant.key) as client:
        client.post("/v1/sources", json={"slug": "mail"})
        body = chat()
        first = client.post("/v1/conversations", json=body, headers={"Idempotency-Key": "k"})
        assert first.status_code == 202, first.text
        gate.shut()
        try:
            for answer in (
                client.post("/v1/conversations", json=chat()),
                client.get("/v1/conversations"),
                client.get(first.json()["links"]["explain"]),
                client.post("/v1/uploads", json={"size": 1, "sha256": "a" * 64}),
                client.get("/v1/search"),
                client.get("/v1/sources"),
                client.post("/v1/sources/mail/events", json={"id": "2"}),
            ):
                found = problem(answer, 503, "unavailable")
                assert found["retryable"] is True
                assert int(answer.headers["retry-after"]) > 0
            with api.client("parley_" + "y" * 43) as unknown:  # cannot be looked up: 503, not 401
                problem(unknown.get("/v1/me"), 503, "unavailable")
            ready = httpx.get(f"{api.url}/readyz", timeout=10)
            assert (ready.status_code, ready.json()["status"]) == (503, "not_ready")
            assert httpx.get(f"{api.url}/healthz").status_code == 200
        finally:
            gate.reopen()
        again = client.post("/v1/conversations", json=body, headers={"Idempotency-Key": "k"})
        assert (again.status_code, again.content) == (202, first.content)


def test_it_starts_without_postgres(database: DatabaseUrls, tmp_path: Path) -> None:
    nowhere = f"postgresql://parley_app:x@127.0.0.1:{free_port()}/parley"
    settings = api_settings(
        database,
        tmp_path,
        temporal_address=f"127.0.0.1:{free_port()}",
        database_url=nowhere,
        platform_database_url=nowhere,
    )
    with api_server(settings, database) as api:
        with api.client("parley_" + "y" * 43) as client:
            problem(client.get("/v1/conversations"), 503, "unavailable")
        assert httpx.get(f"{api.url}/readyz", timeout=10).status_code == 503


def test_without_the_content_store_nothing_is_accepted(
    database: DatabaseUrls, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    settings = api_settings(database, tmp_path, temporal_address=temporal_server.address)
    with api_server(settings, database) as api, api.client(api.tenant("no-content").key) as client:
        assert client.post("/v1/conversations", json=chat()).status_code == 202
        client.post("/v1/sources", json={"slug": "events"})
        shutil.move(tmp_path / "content", tmp_path / "elsewhere")
        problem(client.post("/v1/conversations", json=chat()), 503, "unavailable")
        problem(client.post("/v1/sources/events/events", json=chat()), 503, "unavailable")
        assert client.get("/v1/conversations").status_code == 200
        assert httpx.get(f"{api.url}/readyz").status_code == 503
        shutil.move(tmp_path / "elsewhere", tmp_path / "content")
        assert client.post("/v1/conversations", json=chat()).status_code == 202
        [source] = [s for s in client.get("/v1/sources").json()["items"] if s["slug"] == "events"]
        assert source["health"]["events"] == {"accepted": 0, "received": 0, "dead_lettered": 0}


class FixedAge:
    def __init__(self, age: float) -> None:
        self.age = age

    async def seconds(self, tenant_id: str) -> float:
        return self.age


def test_a_backlog_that_is_too_old_takes_no_more(
    database: DatabaseUrls, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    ages = FixedAge(10.0)
    settings = api_settings(database, tmp_path, temporal_address=temporal_server.address)
    backlog = BacklogLimit(ages, limit_seconds=60, cache_seconds=0)
    with api_server(settings, database, backlog=backlog) as api, api.client(api.tenant("busy").key) as client:
        fine = client.post("/v1/conversations", json=chat())
        assert fine.status_code == 202
        assert fine.headers["ratelimit"] == '"backlog";r=50;t=0'
        assert fine.headers["ratelimit-policy"] == '"backlog";q=60;qu="backlog-seconds"'
        ages.age = 200.0
        refused = client.post("/v1/conversations", json=chat())
        found = problem(refused, 429, "limit_exceeded")
        assert (found["retryable"], refused.headers["retry-after"]) == (True, "14")
        assert refused.headers["ratelimit"] == '"backlog";r=0;t=14'
        assert client.post("/v1/uploads", json={"size": 1, "sha256": "a" * 64}).status_code == 429
        assert client.get("/v1/conversations").status_code == 200


def test_the_backlogs_age_is_that_of_the_oldest_not_begun(
    api_without_temporal: ApiServer, database: DatabaseUrls
) -> None:
    tenant = api_without_temporal.tenant("waiting")
    with api_without_temporal.client(tenant.key) as client:
        client.post("/v1/conversations", json=chat())
        with psycopg.connect(database.admin) as connection:
            connection.execute(
                "update conversation set updated_at = now() - interval '1 hour' where tenant_id = %s", (tenant.id,)
            )
        threading.Event().wait(2.1)  # what was known a moment ago is remembered for two seconds
        problem(client.post("/v1/conversations", json=chat()), 429, "limit_exceeded")


async def test_a_part_that_hangs_or_breaks_does_not_hold_up_the_report() -> None:
    async def hang() -> str:
        await asyncio.Event().wait()
        return "never"

    async def away() -> None:
        raise Unavailable("secret address")

    async def broken() -> None:
        raise ZeroDivisionError("secret")

    async def fine() -> str:
        return "as it should be"

    probes = [Probe("a", True, fine), Probe("b", False, hang), Probe("c", False, away), Probe("d", False, broken)]
    report = await Readiness(probes, probe_seconds=0.2).report()
    assert (report.ready, report.degraded) == (True, True)
    assert [(part.ok, part.detail) for part in report.parts] == [
        (True, "as it should be"),
        (False, "no answer within 0.2 s"),
        (False, "unavailable"),
        (False, "ZeroDivisionError"),
    ]
