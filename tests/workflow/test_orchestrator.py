"""Starting, looking at, waiting for and cancelling runs, with Temporal there and away."""

import asyncio
import time
import uuid
from datetime import UTC, datetime

import pytest
from temporalio import activity
from temporalio.client import Client

from domain.contracts import Outcome
from domain.conversation import Channel, Lane, Stage
from domain.errors import ContentMissing, Unavailable, UndecodableContent
from infra.embedded.process import free_port
from infra.temporal.orchestrator import TemporalOrchestrator
from infra.temporal.queues import TemporalQueues
from tests.support import stack
from tests.support.workflows import (
    BOUND,
    Script,
    World,
    connect,
    events,
    fast,
    hang,
    until,
    use_policies,
)


async def test_starting_twice_is_one_run_and_a_completed_one_is_found(world: World) -> None:
    entry = world.entry()
    conversation = world.conversation(entry)
    started = await asyncio.gather(*(world.orchestrator.start(entry, conversation) for _ in range(10)))
    assert len(set(started)) == 1
    async with world.workers():
        await world.handle(entry.run).result()
    assert await world.orchestrator.start(entry, conversation) == started[0]
    assert world.script.called().count("ingest") == 1


async def test_a_failed_run_may_be_started_again_under_its_id(world: World) -> None:
    world.script.on("ingest", ContentMissing("gone"))
    entry = world.entry()
    async with world.workers():
        first = await world.orchestrator.start(entry, world.conversation(entry))
        assert await world.orchestrator.wait(entry.run, BOUND)
        again = await world.orchestrator.start(entry, world.conversation(entry))
        assert again != first
        assert (await world.handle(entry.run).result()).outcome is Outcome.COMPLETED


async def test_a_stuck_run_tells_what_it_tries_and_why_that_fails(world: World) -> None:
    use_policies(ingest=fast(initial_interval=60, maximum_interval=60, maximum_attempts=5, schedule_to_close=600))
    world.script.on("ingest", Unavailable("the content store does not answer"))
    entry = world.entry()
    async with world.workers():
        run_id = await world.orchestrator.start(entry, world.conversation(entry))

        async def failed_once() -> bool:
            pending = (await world.orchestrator.inspect(entry.run)).pending
            return bool(pending and pending[0].last_failure)

        await until(failed_once, "a first failure")
        seen = await world.orchestrator.inspect(entry.run)
        await world.handle(entry.run).terminate()
    assert (seen.status, seen.temporal_run_id) == ("running", run_id)
    [step] = seen.pending
    assert (step.stage, step.state, step.attempt, step.maximum_attempts) == ("ingest", "scheduled", 2, 5)
    assert step.last_failure == "unavailable: the content store does not answer"
    assert step.next_retry_at is not None
    assert 0 < (step.next_retry_at - datetime.now(UTC)).total_seconds() <= 61
    assert seen.link is not None
    assert seen.link.startswith("http://ui.test/namespaces/default/workflows/conversation%2F")
    assert seen.link.endswith(f"/{run_id}/history")


async def test_a_run_temporal_does_not_know(world: World) -> None:
    run = world.entry().run
    seen = await world.orchestrator.inspect(run)
    assert (seen.status, seen.temporal_run_id, seen.pending) == ("unknown", None, ())
    assert await world.orchestrator.wait(run, 0.4) is False
    await world.orchestrator.cancel(run, "nothing to cancel")


async def test_waiting_ends_with_the_run_or_with_the_time(world: World) -> None:
    go = asyncio.Event()

    async def held(_: object) -> object:
        await go.wait()
        return world.script.answers["ingest"]

    world.script.on("ingest", held)
    entry = world.entry()
    async with world.workers():
        await world.orchestrator.start(entry, world.conversation(entry))
        assert await world.orchestrator.wait(entry.run, 0.3) is False
        go.set()
        assert await world.orchestrator.wait(entry.run, BOUND) is True


async def test_statuses_are_temporals_words(world: World) -> None:
    world.script.on("ingest", UndecodableContent("no audio"))
    async with world.workers():
        parked, terminated = world.entry(), world.entry()
        handle = await world.start_entry(parked)
        await handle.result()
        world.script.on("ingest", hang)
        await (await world.start_entry(terminated)).terminate()
    assert (await world.orchestrator.inspect(parked.run)).status == "completed"
    assert (await world.orchestrator.inspect(terminated.run)).status == "terminated"


async def test_temporal_away_is_unavailable_in_seconds_and_back_is_back() -> None:
    """A lazy client starts while there is no server, says so quickly, and works once there is one."""
    port = free_port()
    client = await connect(f"127.0.0.1:{port}", "default", lazy=True)
    world = World(client, Script())
    entry = world.entry()
    began = time.monotonic()
    for call in (
        lambda: world.orchestrator.start(entry, world.conversation(entry)),
        lambda: world.orchestrator.inspect(entry.run),
        world.orchestrator.ping,
        lambda: world.orchestrator.wait(entry.run, 5),
        lambda: world.orchestrator.cancel(entry.run, "x"),
        lambda: TemporalQueues(client, ["q"]).queues(),
    ):
        with pytest.raises(Unavailable):
            await call()
    assert time.monotonic() - began < 6 * 4
    with stack.temporal_server(grpc_port=port):
        await world.orchestrator.ping()
        assert await world.orchestrator.start(entry, world.conversation(entry))
    with pytest.raises(Unavailable):
        await world.orchestrator.inspect(entry.run)


async def test_queues_tell_pollers_and_backlog(world: World, client: Client) -> None:
    nobody = f"nobody-{uuid.uuid4().hex}"
    for _ in range(3):
        await client.start_workflow("Nothing", id=uuid.uuid4().hex, task_queue=nobody)
    inspector = TemporalQueues(client, [world.queue, nobody])
    async with world.workers():
        await world.outcome()

        async def counted() -> bool:
            return (await inspector.queues())[1].backlog == 3

        await until(counted, "the backlog is counted")
        served, waiting = await inspector.queues()
    assert (served.task_queue, served.backlog) == (world.queue, 0)
    assert served.workflow_pollers >= 1
    assert served.activity_pollers >= 1
    assert (waiting.workflow_pollers, waiting.activity_pollers) == (0, 0)
    assert waiting.backlog_age_seconds >= 0


async def test_live_goes_before_backfill_and_tenants_take_turns(world: World, client: Client) -> None:
    """One slot, work of two tenants and two lanes waiting: live first, then the tenants alternate."""
    order: list[str] = []
    other = World(client, world.script, queue=world.queue)
    tenants = {world.tenant_id: "a", other.tenant_id: "b"}

    async def note(run: object) -> object:
        order.append(f"{run.lane.value[0]}{tenants[run.tenant_id]}")  # type: ignore[attr-defined]
        return world.script.answers["ingest"]

    world.script.acts["ingest"].extend([note] * 100)
    entries = [world.entry(lane=Lane.BACKFILL) for _ in range(12)]
    entries += [other.entry(lane=Lane.BACKFILL) for _ in range(4)]
    entries += [other.entry(lane=Lane.LIVE) for _ in range(2)]
    for entry in entries:
        owner = world if entry.run.tenant_id == world.tenant_id else other
        await owner.orchestrator.start(entry, owner.conversation(entry))
    orchestrator: TemporalOrchestrator = world.orchestrator
    async with world.workers(slots=1, workflow_slots=2):
        assert all(await asyncio.gather(*(orchestrator.wait(entry.run, BOUND) for entry in entries)))
    # A worker polls for several tasks at once, so one that was handed out before may still go first.
    assert order[:4].count("lb") == 2, order
    last_of_b = max(place for place, who in enumerate(order) if who == "bb")
    assert last_of_b <= 10, order  # by turns after the two live ones, not behind all twelve of the other tenant


async def test_the_lane_and_the_tenant_reach_the_activities(world: World) -> None:
    seen: list[tuple[int | None, str | None]] = []

    async def note(_: object) -> object:
        priority = activity.info().priority
        seen.append((priority.priority_key, priority.fairness_key))
        return world.script.answers["ingest"]

    world.script.on("ingest", note)
    async with world.workers():
        await world.outcome(lane=Lane.BACKFILL, channel=Channel.CHAT, enter_at=Stage.INGEST)
    assert seen == [(4, world.tenant_id)]


async def test_a_summary_names_channel_and_source_and_nothing_personal(world: World) -> None:
    async with world.workers():
        handle = await world.start(entry=3, enter_at=Stage.PLAN, channel=Channel.EMAIL)
        await handle.result()
    assert await (await handle.describe()).static_summary() == "email from api, revision 1, entry 3 from plan"
    assert len(await events(handle)) > 1
