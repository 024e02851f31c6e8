"""Imports by a real worker process over real servers: killed, paused, cancelled, with Temporal away and back."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from domain.contracts import ImportRef
from infra.embedded.process import free_port
from infra.temporal.client import Connection
from infra.temporal.client import connect as connect_as_product
from services.dispatch import OPEN_RUNS
from tests.support import stack
from tests.support.import_ground import PATIENCE, ROWS, Ground, Sender, file_of, import_ground, sender_of, until
from tests.support.rows import chat_row, ndjson
from tests.support.stack import DatabaseUrls

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def test_killed_in_the_middle(ground: Ground, sender: Sender) -> None:
    """kill -9 with 400 of 1,000 rows committed and the next batch begun, twice."""
    ground.end_all()
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
    ground.end_all()
    ground.hold()
    first = ground.start_worker()
    import_id = sender.hand_in(file_of("b"), source="crm")
    await ground.held()
    first.send_signal(signal.SIGTERM)
    ground.let_go()
    assert await asyncio.to_thread(first.wait, PATIENCE) == 0
    ground.start_worker()
    await sender.until_state(import_id, "completed")
    sender.check(import_id, "b")


async def test_two_of_the_same_file_side_by_side(ground: Ground, sender: Sender) -> None:
    ids = [sender.hand_in(file_of("c"), source="crm") for _ in range(2)]
    ground.worker()
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
    ground.worker()
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
    ground.worker()
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
    ground.worker()
    import_id = sender.hand_in(ndjson([chat_row("1"), b"x" * 1_100_000]), source="crm")
    shown = await sender.until_state(import_id, "failed")
    assert (shown["reason"], shown["detail"]) == ("invalid_input", "line 2: is too long")
    assert shown["rows"]["created"] == 1


async def test_imported_conversations_are_started_a_few_at_a_time(ground: Ground, sender: Sender) -> None:
    """Nobody serves the conversations' queue here, so those that are started stay open."""
    ground.worker()
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
    port = free_port()
    with import_ground(database, tmp_path, f"127.0.0.1:{port}") as ground, sender_of(ground, "away") as sender:
        yield Away(sender, port)


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
