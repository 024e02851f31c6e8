"""Every way a run can end that is not complete: stages that fail, hang, time out, are superseded or cancelled."""

import asyncio

import pytest
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from domain.contracts import (
    BACKPRESSURE_REASON,
    HEARTBEAT_REASON,
    TIMEOUT_REASON,
    ConcludeRequest,
    IngestResult,
    Outcome,
    PersistResult,
    PlanResult,
)
from domain.conversation import Channel, Stage, Status
from domain.errors import (
    ContentMissing,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineRejected,
    EngineUnavailable,
    Superseded,
    Unavailable,
    UndecodableContent,
)
from tests.support.workflows import BOUND, World, events, fast, hang, names, until, use_policies

STAGES = ["ingest", "transcribe", "normalize", "plan", "persist"]


def call(world: World) -> None:
    world.script.answers["ingest"] = IngestResult(transcription=world.script.kind)


async def failure(world: World, **changes: object) -> ApplicationError:
    """The failure a run ends with."""
    handle = await world.start(channel=Channel.CALL, **changes)
    with pytest.raises(WorkflowFailureError) as caught:
        await asyncio.wait_for(handle.result(), BOUND)
    assert isinstance(caught.value.cause, ApplicationError)
    description = await handle.describe()
    assert description.status is WorkflowExecutionStatus.FAILED
    attributes = {p.key.name: p.value for p in description.typed_search_attributes.search_attributes}
    assert attributes["ParleyOutcome"] == "failed"
    [request] = world.script.called("conclude")
    assert attributes["ParleyStage"] == request.stage
    return caught.value.cause


def concluded(world: World) -> ConcludeRequest:
    [request] = world.script.called("conclude")
    assert isinstance(request, ConcludeRequest)
    return request


@pytest.mark.parametrize("stage", STAGES)
async def test_a_stage_that_comes_back_is_tried_again(world: World, stage: str) -> None:
    call(world)
    world.script.on(stage, Unavailable("the database does not answer"), Unavailable("the database does not answer"))
    async with world.workers():
        assert (await world.outcome(channel=Channel.CALL)).outcome is Outcome.COMPLETED
    assert len(world.script.called(stage)) == 3


@pytest.mark.parametrize("stage", STAGES)
async def test_retries_used_up_are_a_dead_letter(world: World, stage: str) -> None:
    call(world)
    world.script.on(stage, *[Unavailable("the database does not answer")] * 20)
    async with world.workers():
        error = await failure(world)
    request = concluded(world)
    assert (request.conclusion, request.stage, request.reason) == ("failed", stage, "unavailable")
    assert (request.attempts, request.detail) == (3, "the database does not answer")
    assert (error.type, error.message) == ("unavailable", "the database does not answer")


@pytest.mark.parametrize("stage", STAGES)
async def test_what_no_retry_helps_is_tried_once(world: World, stage: str) -> None:
    call(world)
    world.script.on(stage, ContentMissing("the raw content is gone"))
    async with world.workers():
        await failure(world)
    assert len(world.script.called(stage)) == 1
    assert (concluded(world).reason, concluded(world).attempts) == ("content_missing", 1)


async def test_an_unexpected_error_tells_its_type_only(world: World) -> None:
    world.script.on("ingest", *[KeyError("jane@example.com")] * 3)
    async with world.workers():
        error = await failure(world)
    assert (error.type, error.message) == ("internal", "unexpected KeyError")


async def test_content_that_cannot_be_decoded_parks(world: World) -> None:
    world.script.on("ingest", UndecodableContent("the audio is no audio"))
    async with world.workers():
        outcome = await world.outcome()
    assert (outcome.outcome, outcome.reason) == (Outcome.PARKED, "undecodable_content")
    request = concluded(world)
    assert (request.conclusion, request.stage, request.detail) == ("parked", "ingest", "the audio is no audio")


async def test_a_used_up_quota_parks_a_transcription(world: World) -> None:
    call(world)
    world.script.on("transcribe", EngineQuotaExhausted("the daily quota is used up"))
    async with world.workers():
        outcome = await world.outcome(channel=Channel.CALL)
    assert (outcome.outcome, outcome.reason) == (Outcome.PARKED, "engine_quota_exhausted")
    assert "persist" not in world.script.called()


async def test_a_try_that_hangs_times_out_and_is_tried_again(world: World) -> None:
    use_policies(normalize=fast(start_to_close=0.5))
    world.script.on("normalize", hang)
    async with world.workers():
        assert (await world.outcome()).outcome is Outcome.COMPLETED
    assert len(world.script.called("normalize")) == 2


async def test_a_stage_that_always_hangs_is_a_dead_letter(world: World) -> None:
    use_policies(normalize=fast(start_to_close=0.3))
    world.script.on("normalize", hang, hang, hang)
    async with world.workers():
        await failure(world)
    assert (concluded(world).reason, concluded(world).attempts) == (TIMEOUT_REASON, 3)


async def test_a_lost_heartbeat_is_noticed_long_before_the_try_may_end(world: World) -> None:
    use_policies(ingest=fast(start_to_close=300, schedule_to_close=600, heartbeat=0.5, maximum_attempts=2))

    async def beat_then_hang(_: object) -> None:
        activity.heartbeat(0.1)
        await hang(_)

    world.script.on("ingest", beat_then_hang, beat_then_hang)
    async with world.workers():
        await failure(world)
    assert (concluded(world).reason, concluded(world).attempts) == (HEARTBEAT_REASON, 2)


async def test_a_stage_nobody_serves_is_backpressure_not_failure(world: World) -> None:
    call(world)
    use_policies(transcribe=fast(schedule_to_close=0.5))
    async with world.workers(engines=()):
        outcome = await world.outcome(channel=Channel.CALL)
    assert (outcome.outcome, outcome.reason) == (Outcome.PARKED, BACKPRESSURE_REASON)
    assert concluded(world).stage is Stage.TRANSCRIBE


async def test_a_stage_that_was_tried_and_then_ran_out_of_time_is_judged_by_its_failure(world: World) -> None:
    use_policies(ingest=fast(schedule_to_close=1, initial_interval=0.6, maximum_interval=0.6, maximum_attempts=50))
    world.script.on("ingest", *[Unavailable("the database does not answer")] * 20)
    async with world.workers():
        await failure(world)
    assert concluded(world).reason == "unavailable"


async def test_a_rate_limit_is_waited_out_and_is_no_failure(world: World) -> None:
    world.script.on("analyze", EngineRateLimited("too many requests", retry_after=1.0))
    async with world.workers():
        handle = await world.start()
        assert (await handle.result()).outcome is Outcome.COMPLETED
    first, second = (
        at for (name, _), at in zip(world.script.calls, world.script.times, strict=True) if name == "analyze"
    )
    assert 1.0 <= second - first < 1.0 + 1.0 + 2.0  # Retry-After, jitter of up to a second, a slow machine


async def test_a_rate_limit_beyond_the_time_allowed_parks(world: World) -> None:
    call(world)
    world.script.on("transcribe", EngineRateLimited("too many requests", retry_after=3600))
    async with world.workers():
        outcome = await world.outcome(channel=Channel.CALL)
    assert (outcome.outcome, outcome.reason) == (Outcome.PARKED, "engine_rate_limited")


@pytest.mark.parametrize("stage", [*STAGES, "analyze"])
async def test_a_superseded_run_ends_quietly(world: World, stage: str) -> None:
    call(world)
    world.script.on(stage, Superseded("a newer revision has taken over"))
    async with world.workers():
        outcome = await world.outcome(channel=Channel.CALL)
    assert outcome.outcome is Outcome.SUPERSEDED
    assert "conclude" not in world.script.called()
    assert world.script.called()[-1] == stage


async def test_a_run_superseded_while_it_persists_or_concludes_ends_quietly(world: World) -> None:
    world.script.on("persist", PersistResult(status=Status.PROCESSING, superseded=True))
    async with world.workers():
        assert (await world.outcome()).outcome is Outcome.SUPERSEDED
        world.script.on("ingest", ContentMissing("gone")).on("conclude", Superseded("a newer entry has taken over"))
        assert (await world.outcome()).outcome is Outcome.SUPERSEDED


async def test_one_engine_failing_stops_neither_the_others_nor_persist(world: World) -> None:
    world.script.answers["plan"] = PlanResult(batches=(world.script.batch("bad"), world.script.batch("good")))

    async def by_engine(request: object) -> object:
        if request.batch.engine == "bad":  # type: ignore[attr-defined]
            raise EngineRejected("the credentials are refused")
        return world.script.answers["analyze"]

    world.script.on("analyze", by_engine, by_engine)
    world.script.answers["persist"] = PersistResult(status=Status.COMPLETED_WITH_GAPS, values=6)
    async with world.workers():
        outcome = await world.outcome()
    assert (outcome.outcome, outcome.values) == (Outcome.COMPLETED_WITH_GAPS, 6)
    assert sorted(r.batch.engine for r in world.script.called("analyze")) == ["bad", "good"]
    assert world.script.called()[-1] == "persist"
    assert "conclude" not in world.script.called()


@pytest.mark.parametrize(
    ("error", "reason"),
    [(EngineQuotaExhausted("used up"), "engine_quota_exhausted"), (None, BACKPRESSURE_REASON)],
)
async def test_an_engine_that_has_to_wait_parks_the_run_after_the_others_are_persisted(
    world: World, error: Exception | None, reason: str
) -> None:
    use_policies(analyze=fast(schedule_to_close=1.5))
    waiting = world.script.batch("waiting", kind=world.script.kind if error else "served-by-nobody")
    world.script.answers["plan"] = PlanResult(batches=(waiting, world.script.batch("good")))

    async def by_engine(request: object) -> object:
        if error is not None and request.batch.engine == "waiting":  # type: ignore[attr-defined]
            raise error
        return world.script.answers["analyze"]

    world.script.on("analyze", by_engine, by_engine)
    async with world.workers():
        outcome = await world.outcome()
    assert (outcome.outcome, outcome.reason, outcome.values) == (Outcome.PARKED, reason, 6)
    assert world.script.called()[-2:] == ["persist", "conclude"]
    assert concluded(world).stage is Stage.ANALYZE


async def test_a_plan_that_fails_locally_is_tried_remotely(world: World) -> None:
    world.script.on("plan", *[Unavailable("the database does not answer")] * 3)
    async with world.workers():
        handle = await world.start()
        assert (await handle.result()).outcome is Outcome.COMPLETED
    planned = [
        local for (name, _), local in zip(world.script.calls, world.script.locals, strict=True) if name == "plan"
    ]
    assert planned == [True, True, True, False]


async def test_a_plan_that_hangs_gives_way_within_its_local_time(world: World) -> None:
    use_policies(plan_local=fast(start_to_close=0.5, schedule_to_close=5, maximum_attempts=2))
    world.script.on("plan", hang, hang)
    async with world.workers():
        handle = await world.start()
        assert (await handle.result()).outcome is Outcome.COMPLETED
    scheduled = [
        e.activity_task_scheduled_event_attributes.activity_type.name
        for e in await events(handle)
        if e.HasField("activity_task_scheduled_event_attributes")
    ]
    assert "plan" in scheduled


async def test_a_cancelled_run_is_parked_first(world: World) -> None:
    world.script.on("normalize", hang)
    async with world.workers():
        entry = world.entry()
        handle = await world.start_entry(entry)
        await until(lambda: "normalize" in world.script.called(), "normalize runs")
        await world.orchestrator.cancel(entry.run, "the operator asked for it")
        with pytest.raises(WorkflowFailureError) as caught:
            await asyncio.wait_for(handle.result(), BOUND)
    assert isinstance(caught.value.cause, CancelledError)
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    request = concluded(world)
    assert (request.conclusion, request.stage, request.reason) == ("parked", "normalize", "cancelled")


async def test_a_run_cancelled_among_engines_is_parked_first(world: World) -> None:
    world.script.answers["plan"] = PlanResult(batches=(world.script.batch("a"), world.script.batch("b")))
    world.script.on("analyze", hang, hang)
    async with world.workers():
        entry = world.entry()
        handle = await world.start_entry(entry)
        await until(lambda: world.script.called().count("analyze") == 2, "both engines run")
        await world.orchestrator.cancel(entry.run, "the operator asked for it")
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(handle.result(), BOUND)
    assert concluded(world).stage is Stage.ANALYZE


async def test_bad_input_fails_the_run_instead_of_retrying_for_ever(world: World) -> None:
    async with world.workers():
        handle = await world.client.start_workflow(
            "ConversationWorkflow", {"nonsense": True}, id=f"bad/{world.queue}", task_queue=world.queue
        )
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(handle.result(), BOUND)
    assert world.script.called() == []


async def test_a_run_that_cannot_be_concluded_fails_and_says_so(world: World) -> None:
    world.script.on("ingest", ContentMissing("gone")).on("conclude", *[Unavailable("no database")] * 5)
    async with world.workers():
        handle = await world.start()
        with pytest.raises(WorkflowFailureError) as caught:
            await asyncio.wait_for(handle.result(), BOUND)
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.type == "not_concluded"
    assert "workflow_execution_failed" in names(await events(handle))


async def test_a_retryable_engine_error_is_retried(world: World) -> None:
    world.script.on("analyze", EngineUnavailable("503"), EngineUnavailable("503"))
    async with world.workers():
        assert (await world.outcome()).outcome is Outcome.COMPLETED
    assert len(world.script.called("analyze")) == 3
