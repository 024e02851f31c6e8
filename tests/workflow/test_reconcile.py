"""The reconciler on a real database and a real server: what was forgotten starts, what was lost is settled."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, ScheduleOverlapPolicy

from domain.contracts import LOST_REASON, Outcome, ReconcileRequest, ReconcileResult, RunRef
from domain.conversation import Conversation, Stage, StageStatus, Status
from domain.errors import Unavailable
from infra.embedded.process import free_port
from infra.temporal import schedules
from infra.temporal.schedules import ensure_reconcile_schedule, keep_reconcile_schedule
from services.ports import Orchestrator
from services.reconcile import Reconciler
from storage.postgres.database import PostgresDatabase
from storage.protocols import ConversationFilter, Page, RunEntry, Tenant
from tests.support import storage as made
from tests.support.stack import DatabaseUrls
from tests.support.workflows import World, connect, hang, until

NOW = ReconcileRequest(grace=0, stale=0)


@pytest.fixture(scope="module")
async def db(database: DatabaseUrls) -> AsyncIterator[PostgresDatabase]:
    connected = await PostgresDatabase.connect(database.app, database.platform, pool_max=8)
    yield connected
    await connected.close()


@dataclass
class Desk:
    """A tenant of its own, conversations accepted for it, and the reconciler over its world."""

    db: PostgresDatabase
    world: World
    tenant: Tenant

    def reconciler(self, orchestrator: Orchestrator | None = None) -> Reconciler:
        return Reconciler(self.db, orchestrator or self.world.orchestrator)

    async def accept(self, **changes: object) -> RunRef:
        async with self.db.tenant_tx(self.tenant.id) as tx:
            return await made.enter(tx, await made.accept_in(tx), **changes)

    async def entry(self, run: RunRef) -> RunEntry:
        async with self.db.tenant_tx(self.tenant.id) as tx:
            return await tx.runs.get(run)

    async def conversation(self, run: RunRef) -> Conversation:
        async with self.db.tenant_tx(self.tenant.id) as tx:
            return await tx.conversations.get(run.conversation_id)

    async def begin(self, run: RunRef, stage: Stage = Stage.NORMALIZE) -> None:
        """What a run's first stages leave behind."""
        async with self.db.tenant_tx(self.tenant.id) as tx:
            await tx.runs.hold(run)
            await tx.runs.started(run, str(uuid.uuid4()))
            await tx.conversations.set_status(run.conversation_id, Status.PROCESSING)
            await tx.runs.stage(run, Stage.INGEST, StageStatus.COMPLETED)
            await tx.runs.stage(run, stage, StageStatus.RUNNING, attempt=2)


@pytest.fixture
async def desk(database: DatabaseUrls, db: PostgresDatabase, world: World) -> AsyncIterator[Desk]:
    tenant = await made.make_tenant(database.owner)
    desk = Desk(db, replace(world, tenant_id=tenant.id), tenant)
    yield desk
    async with db.tenant_tx(tenant.id) as tx:  # nothing of one test is due in the next
        for conversation in await tx.conversations.list(ConversationFilter(), Page(limit=200)):
            for entry in await tx.runs.list(conversation.id):
                await tx.runs.close(entry.run)


async def test_what_was_accepted_and_never_started_is_started_once(desk: Desk) -> None:
    runs = [await desk.accept() for _ in range(5)]
    assert await desk.reconciler().round(NOW) == ReconcileResult(started=5)
    assert await desk.reconciler().round(NOW) == ReconcileResult()
    async with desk.world.workers():
        for run in runs:
            assert (await desk.world.handle(run).result()).outcome is Outcome.COMPLETED
    assert (await desk.entry(runs[0])).state == "started"


async def test_two_rounds_side_by_side_start_each_entry_once(desk: Desk) -> None:
    runs = [await desk.accept() for _ in range(6)]
    await asyncio.gather(*(desk.reconciler().round(NOW) for _ in range(3)))
    async with desk.world.workers():
        for run in runs:
            await desk.world.handle(run).result()
    assert desk.world.script.called().count("ingest") == 6


async def test_a_fresh_entry_and_one_that_must_wait_are_left_alone(desk: Desk) -> None:
    await desk.accept()
    assert (await desk.reconciler().round(ReconcileRequest(grace=60, stale=0))).started == 0
    await desk.accept(not_before=datetime.now(UTC) + timedelta(hours=1))
    assert (await desk.reconciler().round(NOW)).started == 1


async def test_a_round_is_bounded(desk: Desk) -> None:
    for _ in range(5):
        await desk.accept()
    few = ReconcileRequest(entries=2, grace=0, stale=0)
    assert [(await desk.reconciler().round(few)).started for _ in range(3)] == [2, 2, 1]


async def test_with_temporal_away_entries_stay_and_start_when_it_is_back(desk: Desk) -> None:
    run = await desk.accept()
    nowhere = await connect(f"127.0.0.1:{free_port()}", "default", lazy=True)
    with pytest.raises(Unavailable):
        await desk.reconciler(replace(desk.world, client=nowhere).orchestrator).round(NOW)
    assert (await desk.entry(run)).state == "pending"
    assert (await desk.reconciler().round(NOW)).started == 1


class Refusing:
    """An orchestrator with which one entry cannot be started, whatever is tried."""

    def __init__(self, within: Orchestrator, conversation_id: str) -> None:
        self._within = within
        self._conversation_id = conversation_id

    async def start(self, entry: RunEntry, conversation: Conversation) -> str:
        if conversation.id == self._conversation_id:
            raise ValueError("cannot be started")
        return await self._within.start(entry, conversation)

    def __getattr__(self, name: str) -> object:
        return getattr(self._within, name)


async def test_an_entry_that_cannot_be_started_does_not_stand_in_the_way(desk: Desk) -> None:
    bad, good = await desk.accept(), await desk.accept()
    refusing: Orchestrator = Refusing(desk.world.orchestrator, bad.conversation_id)  # type: ignore[assignment]
    assert await desk.reconciler(refusing).round(NOW) == ReconcileResult(started=1, deferred=1)
    assert (await desk.entry(good)).state == "started"
    not_before = (await desk.entry(bad)).not_before
    assert not_before is not None
    assert not_before > datetime.now(UTC) + timedelta(minutes=4)
    assert await desk.reconciler(refusing).round(NOW) == ReconcileResult()


async def test_a_running_run_with_a_silent_lease_is_left_alone(desk: Desk) -> None:
    desk.world.script.on("ingest", hang)
    run = await desk.accept()
    await desk.reconciler().round(NOW)
    await desk.begin(run)
    async with desk.world.workers():
        await until(lambda: "ingest" in desk.world.script.called(), "ingest runs")
        assert await desk.reconciler().round(NOW) == ReconcileResult()
        assert (await desk.conversation(run)).status is Status.PROCESSING
        await desk.world.handle(run).terminate()


@pytest.mark.parametrize("how", ["terminated", "failed"])
async def test_a_run_that_ended_without_a_conclusion_is_a_dead_letter(desk: Desk, how: str) -> None:
    run = await desk.accept()
    await desk.reconciler().round(NOW)
    await desk.begin(run)
    if how == "terminated":
        await desk.world.handle(run).terminate("the operator")
    else:
        desk.world.script.on("ingest", ValueError(), ValueError(), ValueError())
        desk.world.script.on("conclude", *[ValueError()] * 3)
        async with desk.world.workers():
            assert await desk.world.orchestrator.wait(run, 30)
    assert await desk.reconciler().round(NOW) == ReconcileResult(dead_lettered=1)
    conversation = await desk.conversation(run)
    assert (conversation.status, conversation.status_reason) == (Status.FAILED, LOST_REASON)
    assert (await desk.entry(run)).state == "closed"
    async with desk.db.tenant_tx(desk.tenant.id) as tx:
        [letter] = await tx.dead_letters.list(open_only=True, page=Page())
    assert (letter.stage, letter.error_type, letter.attempts) == (Stage.NORMALIZE, LOST_REASON, 2)
    assert letter.detail == f"Temporal ended the run: {how}"
    assert await desk.reconciler().round(NOW) == ReconcileResult()


async def test_a_run_temporal_has_lost_begins_again(desk: Desk) -> None:
    run = await desk.accept()
    await desk.begin(run)
    assert await desk.reconciler().round(NOW) == ReconcileResult(restarted=1)
    async with desk.world.workers():
        assert (await desk.world.handle(run).result()).outcome is Outcome.COMPLETED


async def test_a_lease_taken_for_a_run_that_has_just_closed_is_given_back(desk: Desk) -> None:
    run = await desk.accept()
    await desk.begin(run)
    async with desk.db.tenant_tx(desk.tenant.id) as tx:
        await tx.runs.close(run)
        await tx.runs.hold(run)
    assert await desk.reconciler().round(NOW) == ReconcileResult()
    assert list(await desk.db.platform.stale_leases(10, older_than_seconds=0)) == []


async def test_the_schedule_is_created_once_and_begins_at_once(world: World, client: Client) -> None:
    schedule_id = f"reconcile-{uuid.uuid4().hex}"

    async def ensure(request: ReconcileRequest) -> bool:
        return await ensure_reconcile_schedule(client, request=request, task_queue=world.queue, schedule_id=schedule_id)

    handle = client.get_schedule_handle(schedule_id)
    try:
        async with world.workers(engines=()):
            assert await ensure(NOW) is True
            await until(lambda: len(world.script.called("reconcile")) >= 1, "the first round")
            assert await ensure(ReconcileRequest(entries=7)) is False
            await until(lambda: ReconcileRequest(entries=7) in world.script.called("reconcile"), "a changed round")
        description = await handle.describe()
        assert description.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
        assert description.schedule.policy.catchup_window == schedules.CATCHUP_WINDOW
        await handle.pause(note="by an operator")
        await ensure(NOW)
        assert (await handle.describe()).schedule.state.paused
    finally:
        await handle.delete()


async def test_a_schedule_that_vanished_comes_back(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "KEEP_EVERY", timedelta(seconds=0.2))
    handle = client.get_schedule_handle(schedules.RECONCILE_SCHEDULE)
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_reconcile_schedule(client, stop, world.queue))

    async def there() -> bool:
        return schedules.RECONCILE_SCHEDULE in [s.id async for s in await client.list_schedules()]

    try:
        await until(there, "the schedule is there")
        await handle.delete()
        await until(there, "the schedule is there again")
    finally:
        stop.set()
        await asyncio.wait_for(keeping, 10)
        await handle.delete()
