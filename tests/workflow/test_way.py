"""The way of a conversation when all goes well: order, re-entry, events, what an operator sees."""

import pytest
from temporalio.client import WorkflowHandle

from domain.contracts import IngestResult, NormalizeResult, Outcome, PersistResult, PlanResult
from domain.conversation import Channel, Lane, Stage, Status
from tests.support.workflows import World, events, names

ALL = ["ingest", "transcribe", "normalize", "plan", "analyze", "persist"]


async def test_a_chat_with_six_tasks_fits_the_event_budget(world: World) -> None:
    async with world.workers():
        handle = await world.start()
        outcome = await handle.result()
    assert (outcome.outcome, outcome.values) == (Outcome.COMPLETED, 6)
    assert world.script.called() == ["ingest", "normalize", "plan", "analyze", "persist"]
    history = await events(handle)
    assert len(history) <= 31, names(history)
    assert "timer_started" not in names(history)


async def test_a_call_is_transcribed_on_the_queue_of_its_engine(world: World) -> None:
    world.script.answers["ingest"] = IngestResult(transcription=world.script.kind)
    async with world.workers():
        handle = await world.start(channel=Channel.CALL)
        assert (await handle.result()).outcome is Outcome.COMPLETED
    assert world.script.called() == ALL
    queues = {
        event.activity_task_scheduled_event_attributes.activity_type.name:
            event.activity_task_scheduled_event_attributes.task_queue.name
        for event in await events(handle)
        if event.HasField("activity_task_scheduled_event_attributes")
    }  # fmt: skip
    assert queues["transcribe"] == f"parley-transcription-{world.script.kind}"
    assert queues["analyze"] == f"parley-language-model-{world.script.kind}"
    assert queues["persist"] == world.queue


@pytest.mark.parametrize("stage", [Stage.INGEST, Stage.TRANSCRIBE, Stage.NORMALIZE, Stage.PLAN])
async def test_an_entry_begins_at_its_stage(world: World, stage: Stage) -> None:
    world.script.answers["ingest"] = IngestResult(transcription=world.script.kind)
    async with world.workers():
        outcome = await world.outcome(
            channel=Channel.CALL, enter_at=stage, entry=2, transcription=world.script.kind
        )  # fmt: skip
    assert outcome.outcome is Outcome.COMPLETED
    assert world.script.called() == ALL[ALL.index(stage.value) :]


async def test_an_entry_at_transcribe_that_does_not_know_its_engine_asks_ingest(world: World) -> None:
    world.script.answers["ingest"] = IngestResult(transcription=world.script.kind)
    async with world.workers():
        await world.outcome(channel=Channel.CALL, enter_at=Stage.TRANSCRIBE, entry=2)
    assert world.script.called() == ALL


@pytest.mark.parametrize("stage", [Stage.ANALYZE, Stage.PERSIST])
async def test_an_entry_after_the_plan_plans_first_because_planned_runs_belong_to_an_entry(
    world: World, stage: Stage
) -> None:
    async with world.workers():
        await world.outcome(enter_at=stage, entry=2)
    assert world.script.called() == ["plan", "analyze", "persist"]


async def test_a_run_limited_to_some_tasks_says_so_to_the_plan(world: World) -> None:
    entry = world.entry(enter_at=Stage.PLAN)
    entry = entry.model_copy(update={"task_ids": (entry.run.conversation_id,)})
    async with world.workers():
        await (await world.start_entry(entry)).result()
    [request] = world.script.called("plan")
    assert request.task_ids == (entry.run.conversation_id,)


async def test_nothing_to_analyse_persists_at_once(world: World) -> None:
    world.script.answers["plan"] = PlanResult(batches=(), skipped=6)
    world.script.answers["persist"] = PersistResult(status=Status.COMPLETED, values=0)
    async with world.workers():
        assert (await world.outcome()).outcome is Outcome.COMPLETED
    assert "analyze" not in world.script.called()


async def test_gaps_are_said(world: World) -> None:
    world.script.answers["persist"] = PersistResult(status=Status.COMPLETED_WITH_GAPS, values=4)
    async with world.workers():
        outcome = await world.outcome()
    assert (outcome.outcome, outcome.values) == (Outcome.COMPLETED_WITH_GAPS, 4)


async def test_a_source_that_has_not_settled_parks_before_the_plan(world: World) -> None:
    world.script.answers["normalize"] = NormalizeResult(turns=2, settled=False)
    async with world.workers():
        outcome = await world.outcome()
    assert (outcome.outcome, outcome.reason) == (Outcome.PARKED, "settling")
    assert world.script.called() == ["ingest", "normalize", "conclude"]
    [request] = world.script.called("conclude")
    assert (request.conclusion, request.stage, request.reason) == ("parked", "plan", "settling")


async def test_what_the_web_ui_shows(world: World) -> None:
    async with world.workers():
        handle = await world.start(lane=Lane.BACKFILL)
        await handle.result()
        details = await _current_details(handle)
    description = await handle.describe()
    assert await description.static_summary() == "chat from api, revision 1"
    attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes.search_attributes}
    attributes.pop("BuildIds", None)
    assert attributes == {
        "ParleyTenant": world.tenant_id,
        "ParleyChannel": "chat",
        "ParleySource": "api",
        "ParleyLane": "backfill",
        "ParleyOutcome": "completed",
    }
    assert "- **analyze (default)** done" in details
    assert "- **plan** 1 engines, 0 tasks skipped" in details
    history = await events(handle)
    started = history[0].workflow_execution_started_event_attributes
    assert (started.priority.priority_key, started.priority.fairness_key) == (4, world.tenant_id)


async def _current_details(handle: WorkflowHandle) -> str:  # type: ignore[type-arg]
    from temporalio.api.sdk.v1 import WorkflowMetadata

    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert isinstance(metadata, WorkflowMetadata)
    return metadata.current_details


async def test_histories_and_failures_hold_no_plain_text(world: World) -> None:
    planted = "pineapple-4471"

    async def leak(_: object) -> None:
        raise ValueError(f"the customer said {planted}")

    world.script.on("ingest", leak)
    entry = world.entry(channel=Channel.CHAT)
    world.script.answers["plan"] = PlanResult(batches=(world.script.batch("secret-engine-name"),))
    async with world.workers():
        handle = await world.start_entry(entry)
        await handle.result()
    history = await handle.fetch_history()
    raw = b"".join(event.SerializeToString() for event in history.events)
    for word in (planted, "secret-engine-name", "task_run_ids", "chat from api", "conversation_id", "unexpected"):
        assert word.encode() not in raw, word
    assert world.tenant_id.encode() in raw  # the workflow's id and the search attributes are plain
