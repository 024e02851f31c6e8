"""Imports by a real worker process over real servers: killed, paused, cancelled, with Temporal away and back."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from domain.contracts import ImportRef
from infra.embedded.process import free_port
from infra.settings import default_config_dir
from infra.temporal.client import Connection
from infra.temporal.client import connect as connect_as_product
from services.dispatch import OPEN_RUNS
from tests.support import stack
from tests.support.api_server import ApiServer, Tenant, api_server, api_settings
from tests.support.rows import chat_row, ndjson
from tests.support.stack import ROOT, DatabaseUrls, TemporalServer
from tests.support.workflows import BOUND, until

pytestmark = pytest.mark.slow

ROWS = 1000
BAD = {17: b"{", 500: b'{"external_id": "x"}', 502: b"[]x", 999: b"\xff"}
"""Lines that no conversation can be made of, by number."""


def file_of(prefix: str) -> bytes:
    return ndjson([BAD.get(n, chat_row(f"{prefix}-{n:04}")) for n in range(1, ROWS + 1)])


@dataclass
class Ground:
    """An API, and worker processes that come and go."""

    api: ApiServer
    database: DatabaseUrls
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, *roles: str) -> subprocess.Popen[bytes]:
        given, number = self.api.settings, len(self.running)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "TEMPORAL_"))},
            "PARLEY_PROFILE": "embedded",
            "PARLEY_HOME": str(self.folder),
            "PARLEY_DATABASE_URL": given.database_url.get_secret_value(),
            "PARLEY_PLATFORM_DATABASE_URL": given.platform_database_url.get_secret_value(),
            "PARLEY_CONTENT_URL": given.content_url,
            "PARLEY_MASTER_KEY": str(given.master_key),
            "PARLEY_CODEC_KEY": str(given.codec_key),
            "PARLEY_TEMPORAL_ADDRESS": given.temporal_address,
            "PARLEY_CONFIG_DIR": str(self.folder / "config"),
            "PARLEY_READY_FILE": str(self.folder / f"ready-{number}"),
        }
        command = [sys.executable, "-m", "tests.support.import_worker_main", str(self.folder), *(roles or ("imports",))]
        with (self.folder / f"log-{number}").open("wb") as log:
            self.running.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
        return self.running[-1]

    async def ready(self) -> None:
        number = len(self.running) - 1

        def there() -> bool:
            assert self.running[number].poll() is None, (self.folder / f"log-{number}").read_text()
            return (self.folder / f"ready-{number}").exists()

        await until(there, "the worker is ready")

    async def end(self, process: subprocess.Popen[bytes], how: int) -> None:
        process.send_signal(how)
        await asyncio.to_thread(process.wait, BOUND)

    def hold(self) -> None:
        (self.folder / "held").unlink(missing_ok=True)
        (self.folder / "hold").touch()

    async def held(self) -> None:
        await until((self.folder / "held").exists, "the reader is in the middle of the file")

    def let_go(self) -> None:
        (self.folder / "hold").unlink(missing_ok=True)

    def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.admin) as connection:
            return connection.execute(query.encode(), arguments).fetchall()


@dataclass
class Sender:
    """One tenant and what it imports."""

    ground: Ground
    tenant: Tenant
    client: httpx.Client

    def hand_in(self, body: bytes, **params: Any) -> str:
        answer = self.client.post("/v1/imports", content=body, params=params)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def shown(self, import_id: str) -> dict[str, Any]:
        return dict(self.client.get(f"/v1/imports/{import_id}").raise_for_status().json())

    async def until_state(self, import_id: str, state: str) -> dict[str, Any]:
        await until(lambda: self.shown(import_id)["state"] == state, f"the import is {state}")
        return self.shown(import_id)

    def check(self, import_id: str, prefix: str) -> None:
        """Nothing lost, nothing doubled, and every row answered for."""
        numbers = [n for n in range(1, ROWS + 1) if n not in BAD]
        stored = self.ground.rows(
            """
            select external_id, revision,
              (select count(*) from conversation_revision where (tenant_id, conversation_id) = (c.tenant_id, c.id)),
              (select count(*) from conversation_entry where (tenant_id, conversation_id) = (c.tenant_id, c.id))
            from conversation c
            where tenant_id = %s and external_id like %s
            """,
            self.tenant.id,
            f"{prefix}-%",
        )
        assert Counter(stored) == Counter((f"{prefix}-{n:04}", 1, 1, 1) for n in numbers)
        lines = self.ground.rows(
            "select number, part, outcome, problems is not null from import_row where import_id = %s", import_id
        )
        assert Counter(lines) == Counter(
            (n, 1, "failed" if n in BAD else "created", n in BAD) for n in range(1, ROWS + 1)
        )
        shown = self.shown(import_id)["rows"]
        assert shown == {"read": ROWS, "created": ROWS - 4, "unchanged": 0, "revised": 0, "failed": 4}
        kept = Path(self.ground.api.settings.content_url.removeprefix("file://")) / self.tenant.id
        assert not list((kept / "imports").glob("*"))


@pytest.fixture(scope="module")
def ground(
    database: DatabaseUrls, temporal_server: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("imports")
    shutil.copytree(default_config_dir(), folder / "config")
    policies = folder / "config" / "policies.toml"
    shorter = re.sub(r"(\[import_rows\][^\[]*?heartbeat = )\d+", r"\g<1>4", policies.read_text())
    policies.write_text(shorter)
    settings = api_settings(database, folder, temporal_address=temporal_server.address)
    with api_server(settings, database) as api:
        made = Ground(api, database, folder)
        yield made
        for process in made.running:
            process.kill()
            process.wait()


@pytest.fixture
def sender(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Sender]:
    tenant = ground.api.tenant(request.node.name.replace("_", "-").removeprefix("test-")[:60])
    with ground.api.client(tenant.key) as client:
        yield Sender(ground, tenant, client)
    ground.let_go()
    for process in ground.running:
        process.kill()
        process.wait()


async def test_killed_in_the_middle(ground: Ground, sender: Sender) -> None:
    """kill -9 with 400 of 1,000 rows committed and the next batch begun, twice."""
    ground.hold()
    first = ground.start_worker()
    import_id = sender.hand_in(file_of("a"), source="crm")
    await ground.held()
    assert sender.shown(import_id)["rows"]["read"] == 400
    await ground.end(first, signal.SIGKILL)
    ground.hold()
    second = ground.start_worker()
    await ground.held()
    await ground.end(second, signal.SIGKILL)
    ground.let_go()
    ground.start_worker()
    await sender.until_state(import_id, "completed")
    sender.check(import_id, "a")


async def test_stopped_in_order_it_goes_on_elsewhere(ground: Ground, sender: Sender) -> None:
    ground.hold()
    first = ground.start_worker()
    import_id = sender.hand_in(file_of("b"), source="crm")
    await ground.held()
    first.send_signal(signal.SIGTERM)
    ground.let_go()
    assert await asyncio.to_thread(first.wait, BOUND) == 0
    ground.start_worker()
    await sender.until_state(import_id, "completed")
    sender.check(import_id, "b")


async def test_two_of_the_same_file_side_by_side(ground: Ground, sender: Sender) -> None:
    ids = [sender.hand_in(file_of("c"), source="crm") for _ in range(2)]
    ground.start_worker()
    shown = [(await sender.until_state(import_id, "completed"))["rows"] for import_id in ids]
    assert [(rows["read"], rows["failed"]) for rows in shown] == [(ROWS, 4), (ROWS, 4)]
    assert sum(rows["created"] for rows in shown) == sum(rows["unchanged"] for rows in shown) == ROWS - 4
    counts = sender.ground.rows(
        "select count(*), count(distinct conversation_id) from conversation_entry where tenant_id = %s",
        sender.tenant.id,
    )
    assert counts == [(ROWS - 4, ROWS - 4)]


async def test_paused_resumed_and_cancelled(ground: Ground, sender: Sender) -> None:
    ground.hold()
    ground.start_worker()
    import_id = sender.hand_in(file_of("d"), source="crm")
    await ground.held()
    client = await product_client(ground)
    assert sender.client.post(f"/v1/imports/{import_id}/pause").json()["state"] == "paused"
    ground.let_go()
    await until(lambda: _ended(client, sender, import_id, 1), "the run has ended")
    assert sender.shown(import_id)["rows"]["read"] == 400
    ground.hold()
    sender.client.post(f"/v1/imports/{import_id}/resume").raise_for_status()
    await ground.held()
    assert sender.client.post(f"/v1/imports/{import_id}/cancel").json()["state"] == "cancelled"
    ground.let_go()
    await until(lambda: _ended(client, sender, import_id, 2), "the second run has ended")
    shown = sender.shown(import_id)
    assert (shown["state"], shown["rows"]["read"]) == ("cancelled", 400)
    assert sender.ground.rows("select count(*) from conversation where tenant_id = %s", sender.tenant.id) == [(399,)]


async def test_cancelled_in_temporal_it_is_paused(ground: Ground, sender: Sender) -> None:
    ground.hold()
    ground.start_worker()
    import_id = sender.hand_in(file_of("e"), source="crm")
    await ground.held()
    client = await product_client(ground)
    await client.get_workflow_handle(_ref(sender, import_id, 1).workflow_id).cancel()
    ground.let_go()
    shown = await sender.until_state(import_id, "paused")
    assert shown["reason"] == "cancelled"
    sender.client.post(f"/v1/imports/{import_id}/resume").raise_for_status()
    await sender.until_state(import_id, "completed")
    sender.check(import_id, "e")


async def test_what_cannot_be_read_fails_with_its_reason(ground: Ground, sender: Sender) -> None:
    ground.start_worker()
    import_id = sender.hand_in(ndjson([chat_row("1"), b"x" * 1_100_000]), source="crm")
    shown = await sender.until_state(import_id, "failed")
    assert (shown["reason"], shown["detail"]) == ("invalid_input", "line 2: is too long")
    assert shown["rows"]["created"] == 1


async def test_imported_conversations_are_started_a_few_at_a_time(ground: Ground, sender: Sender) -> None:
    """Nobody serves the conversations' queue here, so those that are started stay open."""
    ground.start_worker()
    import_id = sender.hand_in(file_of("g"), source="crm")
    await sender.until_state(import_id, "completed")
    started = "select count(*) from conversation_entry where tenant_id = %s and state = 'started'"
    await until(lambda: ground.rows(started, sender.tenant.id) == [(OPEN_RUNS,)], "as many as there is room for")
    live = sender.client.post("/v1/conversations", json={**chat_row("live"), "source": "crm"})
    assert (live.status_code, live.json()["started"]) == (202, True)
    ground.rows(
        "update conversation_entry set state = 'closed' where tenant_id = %s and state = 'started' returning 1",
        sender.tenant.id,
    )
    await until(lambda: ground.rows(started, sender.tenant.id) == [(OPEN_RUNS,)], "the next ones")


@dataclass
class Away:
    """An API with nothing at Temporal's address, which is on this port."""

    sender: Sender
    port: int


@pytest.fixture
def away(database: DatabaseUrls, tmp_path: Path) -> Iterator[Away]:
    shutil.copytree(default_config_dir(), tmp_path / "config")
    port = free_port()
    settings = api_settings(database, tmp_path, temporal_address=f"127.0.0.1:{port}")
    with api_server(settings, database) as api:
        tenant = api.tenant("temporal-was-away")
        with api.client(tenant.key) as client:
            ground = Ground(api, database, tmp_path)
            yield Away(Sender(ground, tenant, client), port)
            for process in ground.running:
                process.kill()
                process.wait()


async def test_temporal_away_at_the_post(away: Away) -> None:
    sender = away.sender
    answer = sender.client.post("/v1/imports", content=file_of("h"), params={"source": "crm"})
    assert (answer.status_code, answer.json()["started"]) == (202, False)
    assert sender.shown(answer.json()["id"])["state"] == "waiting"
    with stack.temporal_server(grpc_port=away.port):
        sender.ground.start_worker("imports", "conversations")  # the reconciler is among the conversations
        await sender.until_state(answer.json()["id"], "completed")
        sender.check(answer.json()["id"], "h")


def _ref(sender: Sender, import_id: str, entry: int) -> ImportRef:
    return ImportRef(tenant_id=sender.tenant.id, import_id=import_id, entry=entry)


async def product_client(ground: Ground) -> Client:
    return await connect_as_product(Connection.from_settings(ground.api.settings, identity="test"))


async def _ended(client: Client, sender: Sender, import_id: str, entry: int) -> bool:
    described = await client.get_workflow_handle(_ref(sender, import_id, entry).workflow_id).describe()
    return described.status is WorkflowExecutionStatus.COMPLETED
