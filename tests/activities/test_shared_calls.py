"""The tasks of one conversation share their calls: fused, or on one prefix. One task's trouble stays its own, and what
was paid for once is not paid for again. Counted at the provider's side of the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.conversation import Status
from domain.engine import CallOutcome
from domain.errors import EngineRateLimited, EngineUnavailable
from domain.ledger import Reason, RunState
from domain.values import EvidenceState
from tests.support import gemini_server as wire
from tests.support.gemini_server import Reply
from tests.support.model_provider import Fault, ModelProvider, Seen, common_prefix, no_fault, once
from tests.support.shared_calls import AT_ONCE, COMPLAINT, FIELDS, TASKS, World, chat, long_chat, shared_calls
from tests.support.stack import DatabaseUrls


@pytest.fixture
async def world(database: DatabaseUrls, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    slug = f"shared-{abs(hash(request.node.nodeid))}"
    async with shared_calls(database, tmp_path / "content", slug) as made:
        yield made


def replying(*replies: Reply | None) -> Fault:
    """These replies to the first requests, in their order."""
    left = list(replies)
    return lambda seen: left.pop(0) if left else None


def on(key: str, reply: Reply) -> Fault:
    """This reply whenever the field is asked for."""
    return lambda seen: reply if key in seen.fields else None


def with_value(provider: ModelProvider, key: str, value: object, *, always: bool = False) -> Fault:
    """A field answered with this value the first time it is asked for, or always."""
    done: set[str] = set()

    def fault(seen: Seen) -> Reply | None:
        if key not in seen.fields or (key in done and not always):
            return None
        done.add(key)
        right = provider.right(seen)
        right[key]["value"] = value
        return wire.answer(json.dumps(right))

    return fault


# -- fused


async def test_the_tasks_of_a_short_chat_are_one_call(world: World) -> None:
    run, result = await world.whole_way(chat())
    assert (result.status, result.values) == (Status.COMPLETED, 7)
    (seen,) = world.provider.seen
    assert set(seen.fields) == FIELDS
    values = await world.stages.values(run)
    (call,) = await world.calls(run)
    assert len(call.parts) == len(TASKS)
    assert {v.call_group for v in values.values()} == {call.id}
    assert {v.evidence_state for v in values.values()} == {EvidenceState.VERIFIED}
    assert {(v.turns_read, v.turns_total) for v in values.values()} == {(1, 1)}
    rows = await world.ledger(run)
    assert {row.engine_calls for row in rows.values()} == {(call.id,)}
    assert await _usage(world) == (1, call.usage.input_tokens, call.usage.output_tokens, len(TASKS))


async def _usage(world: World) -> tuple[int, int, int, int]:
    """(requests, tokens in, tokens out, tasks) over the tenant's usage events."""
    async with world.stages.database.tenant_tx(world.tenant.id) as tx:
        row = await tx.session.row(  # type: ignore[attr-defined]
            """
            select sum(requests)::int, sum(input_tokens)::int, sum(output_tokens)::int, count(distinct task_id)::int
            from usage_event
            where tenant_id = $1
            """,
            world.tenant.id,
        )
    return tuple(row.values())


async def test_a_task_whose_part_does_not_hold_is_asked_again_alone_with_the_validators_words(world: World) -> None:
    world.provider.fault = with_value(world.provider, "contact_reason", "weather")
    run, result = await world.whole_way(chat())
    assert (result.status, result.values) == (Status.COMPLETED, 7)
    first, second = world.provider.seen
    assert second.fields == ("contact_reason",)
    assert second.repair == "contact_reason.value breaks the schema's rule `enum`"
    assert set(second.schema["properties"]) == {"contact_reason"}
    assert "weather" not in second.text
    values = await world.stages.values(run)
    groups = {key: value.call_group for key, value in values.items()}
    assert groups.pop("contact_reason") is None
    assert len(set(groups.values())) == 1
    assert None not in groups.values()
    assert first.number == 1


async def test_after_one_repair_the_task_has_failed_and_the_raw_answer_is_kept(world: World) -> None:
    world.provider.fault = with_value(world.provider, "csat", 11, always=True)
    run, result = await world.whole_way(chat())
    assert (result.status, result.values) == (Status.COMPLETED_WITH_GAPS, 6)
    assert world.provider.asked()[1:] == [("csat",)]
    rows = await world.ledger(run)
    csat = rows.pop("csat")
    assert (csat.state, csat.reason) == (RunState.FAILED, Reason.SCHEMA_MISMATCH)
    assert {row.state for row in rows.values()} == {RunState.RAN}
    raw = {call.id: call.answer for call in await world.calls(run)}
    assert ['"value": 11' in (raw[call] or "") for call in csat.engine_calls] == [True, True]
    assert "csat" not in await world.stages.values(run)


async def test_an_unreadable_answer_is_repaired_once_together(world: World) -> None:
    world.provider.fault = replying(wire.answer("<html>busy</html>"))
    _, result = await world.whole_way(chat())
    assert (result.status, result.values) == (Status.COMPLETED, 7)
    _, second = world.provider.seen
    assert set(second.fields) == FIELDS
    assert second.repair == "the answer is not JSON"


@pytest.mark.parametrize(
    ("reply", "requests", "reason"),
    [
        (wire.answer("<html>busy</html>"), 2 + 6, Reason.ANSWER_MALFORMED),
        (wire.answer('{"csat": {"ki'), 2 + 6, Reason.ANSWER_MALFORMED),
        (wire.html(), 2 + 6, Reason.ANSWER_MALFORMED),
        (wire.withheld("SAFETY"), 1 + 6, Reason.ANSWER_BLOCKED),
        (wire.prompt_blocked(), 1 + 6, Reason.ANSWER_BLOCKED),
        (wire.answer("I'm sorry, but I can't help with that."), 1 + 6, Reason.ANSWER_REFUSED),
        (wire.answer("  "), 1 + 6, Reason.ANSWER_EMPTY),
        (wire.no_candidates(), 1 + 6, Reason.ANSWER_EMPTY),
        (wire.answer('{"csat": {"kind": "stat', finish="MAX_TOKENS"), 1 + 6, Reason.ANSWER_TRUNCATED),
        (wire.answer('{"csat": {"explanation": "' + "ha " * 400, finish="MAX_TOKENS"), 1 + 12, Reason.ANSWER_RUNAWAY),
        (wire.error(400, "INVALID_ARGUMENT"), 1 + 6, Reason.ENGINE_REJECTED),
    ],
)
async def test_what_always_fails_fails_by_its_own_name_after_a_bounded_number_of_calls(
    world: World, reply: Reply, requests: int, reason: Reason
) -> None:
    world.provider.fault = lambda seen: reply
    run, result = await world.whole_way(chat())
    assert (result.status, result.values) == (Status.COMPLETED_WITH_GAPS, 0)
    assert len(world.provider.seen) == requests
    rows = await world.ledger(run)
    assert {(row.state, row.reason) for row in rows.values()} == {(RunState.FAILED, reason)}
    assert await world.stages.values(run) == {}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (wire.withheld("SAFETY"), Reason.ANSWER_BLOCKED),
        (wire.answer('{"summary": {"kind": "stat', finish="MAX_TOKENS"), Reason.ANSWER_TRUNCATED),
        (wire.answer("I cannot answer that."), Reason.ANSWER_REFUSED),
        (wire.error(400, "INVALID_ARGUMENT"), Reason.ENGINE_REJECTED),
    ],
)
async def test_whoever_spoils_a_shared_call_does_the_others_no_harm(world: World, reply: Reply, reason: Reason) -> None:
    """The summary's words upset the model: every call that asks for it."""
    world.provider.fault = on("summary", reply)
    run, result = await world.whole_way(chat())
    assert (result.status, result.values) == (Status.COMPLETED_WITH_GAPS, 6)
    rows = await world.ledger(run)
    assert (rows["summary"].state, rows["summary"].reason) == (RunState.FAILED, reason)
    assert {row.state for slug, row in rows.items() if slug != "summary"} == {RunState.RAN}


async def test_an_answer_that_was_cut_off_is_billed_and_kept(world: World) -> None:
    cut = wire.answer('{"summary": {"kind": "stat', finish="MAX_TOKENS", prompt=900, candidates=64, total=964)
    world.provider.fault = on("summary", cut)
    run, _ = await world.whole_way(chat())
    failed = [call for call in await world.calls(run) if call.outcome is CallOutcome.FAILED]
    assert len(failed) == 2
    assert {(c.error_code, c.usage.output_tokens, c.answer) for c in failed} == {
        ("engine_answer_truncated", 64, '{"summary": {"kind": "stat')
    }
    assert {c.id for c in failed} == set((await world.ledger(run))["summary"].engine_calls)


# -- on one prefix


async def test_long_chats_share_a_prefix_that_one_call_warms(world: World) -> None:
    _, result = await world.whole_way(long_chat())
    assert (result.status, result.values) == (Status.COMPLETED, 7)
    first, *rest = world.provider.seen
    assert len(rest) == 5
    assert {key for seen in world.provider.seen for key in seen.fields} == FIELDS
    assert len({seen.prefix for seen in world.provider.seen}) == 1, "schema, system text and turns, byte for byte"
    assert all(common_prefix(first.text, seen.text) >= len(first.prefix) for seen in rest)
    assert first.ended is not None
    assert all(seen.began >= first.ended for seen in rest), "the first one goes alone"


async def test_a_repair_stays_on_the_prefix(world: World) -> None:
    world.provider.fault = with_value(world.provider, "sentiment", "gloomy")
    _, result = await world.whole_way(long_chat())
    assert result.status is Status.COMPLETED
    assert len(world.provider.seen) == 7
    assert len({seen.prefix for seen in world.provider.seen}) == 1


async def test_what_a_call_answers_unasked_is_not_stored(world: World) -> None:
    """The schema knows more fields than are asked."""

    def answers_everything(seen: Seen) -> Reply:
        right = {key: world.provider.value(seen, key) for key in seen.schema["properties"]}
        for key in right.keys() - set(seen.fields):
            right[key]["value"] = "nobody asked"
        return wire.answer(json.dumps(right))

    world.provider.fault = answers_everything
    run, result = await world.whole_way(long_chat())
    assert (result.status, result.values) == (Status.COMPLETED, 7)
    assert "nobody asked" not in {value.value for value in (await world.stages.values(run)).values()}


async def test_killed_between_warming_and_the_rest_nothing_recorded_is_paid_for_again(world: World) -> None:
    run, planned = await world.planned(long_chat())

    def hold_after_the_first(seen: Seen) -> Reply | None:
        world.provider.open.clear()
        return None

    world.provider.fault = hold_after_the_first
    stage = asyncio.create_task(world.stages.analyze(run, planned))
    async with asyncio.timeout(60):
        while len(world.provider.seen) < 1 + AT_ONCE:
            await asyncio.sleep(0.01)
    stage.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage
    under_way = {seen.fields for seen in world.provider.seen[1:]}
    assert len(under_way) == AT_ONCE
    world.provider.fault = no_fault
    world.provider.open.set()
    assert len(await world.calls(run)) == 1, "the warming call is recorded before the rest begins"

    before = len(world.provider.seen)
    await world.analyzed(run, planned)
    assert (await world.stages.persist(run)).status is Status.COMPLETED
    again = [seen.fields for seen in world.provider.seen[before:]]
    warmed = world.provider.seen[0].fields
    assert warmed not in again
    assert len(again) == 5
    assert sorted(again) == sorted({seen.fields for seen in world.provider.seen} - {warmed})
    assert under_way <= set(again), "only what was under way is asked twice"


async def test_one_call_of_the_fan_out_away_is_asked_again_and_nothing_else(world: World) -> None:
    failing = replying(None, None, wire.error(503, "UNAVAILABLE"))
    world.provider.fault = failing
    run, planned = await world.planned(long_chat())
    with pytest.raises(EngineUnavailable):
        await world.stages.analyze(run, planned)
    assert len(world.provider.seen) == 6
    world.attempt(2)
    await world.stages.analyze(run, planned)
    assert world.provider.asked()[6:] == [world.provider.seen[2].fields]
    assert (await world.stages.persist(run)).status is Status.COMPLETED


async def test_when_the_warming_call_is_away_the_next_one_warms(world: World) -> None:
    world.provider.fault = replying(wire.error(500, "INTERNAL"))
    run, planned = await world.planned(long_chat())
    assert await world.analyzed(run, planned) == 2
    first, second, *rest = world.provider.seen
    assert second.ended is not None
    assert all(seen.began >= second.ended for seen in rest)
    assert world.provider.asked().count(first.fields) == 2
    assert len(world.provider.seen) == 7


async def test_a_rate_limit_at_the_warming_call_spares_the_provider_the_rest(world: World) -> None:
    world.provider.fault = lambda seen: wire.rate_limited("1s")
    run, planned = await world.planned(long_chat())
    with pytest.raises(EngineRateLimited) as raised:
        await world.stages.analyze(run, planned)
    assert raised.value.retry_after == 1.0
    assert len(world.provider.seen) == 1
    await world.analyzed(run, planned)
    assert (await world.stages.persist(run)).status is Status.COMPLETED_WITH_GAPS
    rows = await world.ledger(run)
    assert {(row.state, row.reason) for row in rows.values()} == {(RunState.PARKED, Reason.ENGINE_RATE_LIMITED)}


# -- paid once, however the calls are cut the next time


async def test_answers_are_found_again_when_other_tasks_are_asked_with_them(world: World) -> None:
    """A worker with other thresholds, or a task switched off meanwhile: what was answered stays answered."""
    run, planned = await world.planned(chat())
    await world.stages.analyze(run, planned)
    assert len(world.provider.seen) == 1
    run = await world.again(run)
    await world.change_tasks(fuse=False)
    await world.analyzed(run, await world.stages.plan(run))
    assert len(world.provider.seen) == 1
    assert (await world.stages.persist(run)).values == 7


async def test_a_redrive_asks_again_what_was_of_no_use_and_nothing_else(world: World) -> None:
    world.provider.fault = with_value(world.provider, "csat", 11, always=True)
    run, _ = await world.whole_way(chat())
    assert len(world.provider.seen) == 2
    world.provider.fault = no_fault
    again = await world.again(run)
    await world.analyzed(again, await world.stages.plan(again))
    assert world.provider.asked()[2:] == [("csat",)]
    assert world.provider.seen[2].repair is None
    assert (await world.stages.persist(again)).status is Status.COMPLETED
    assert (await world.stages.values(run))["csat"].value == 3


async def test_a_failed_answer_is_not_bought_again_by_a_retry(world: World) -> None:
    """The shared call is cut off; of the calls after it one is away. The retry asks that one only."""
    cut = wire.answer('{"csat": {"kind": "stat', finish="MAX_TOKENS")
    failing = iter([cut, None, None, wire.error(503, "UNAVAILABLE")])
    world.provider.fault = lambda seen: next(failing, None)
    run, planned = await world.planned(chat())
    assert await world.analyzed(run, planned) == 2
    assert len(world.provider.seen) == 1 + 6 + 1
    assert (await world.stages.persist(run)).values == 7


async def test_nothing_is_asked_twice_when_all_goes_well(world: World) -> None:
    for intake in (chat("a"), long_chat("b"), chat("c", (COMPLAINT, "I am sorry to hear that.", "Please hurry up."))):
        await world.whole_way(intake)
    assert len(world.provider.seen) == 1 + 6 + 1
    assert once(world.provider.seen)
