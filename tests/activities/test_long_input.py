"""Conversations that are long for a task: read in windows and merged, or not asked, and the value says how much was
read."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.conversation import Status
from domain.errors import EngineUnavailable
from domain.ledger import Reason, RunState
from domain.values import EvidenceState, ValueKind
from tests.support import gemini_server as wire
from tests.support.gemini_server import Reply
from tests.support.model_provider import Seen, once
from tests.support.shared_calls import FIELDS, World, long_chat, shared_calls
from tests.support.stack import DatabaseUrls

MESSAGES = 160
WINDOWED = {"long_input": "windowed", "long_from_tokens": 2_500}
CHOICES_AND_NUMBERS = FIELDS - {"summary", "next_actions", "churn_reason"}


@pytest.fixture
async def world(database: DatabaseUrls, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with shared_calls(database, tmp_path / "content", f"long-{abs(hash(request.node.nodeid))}") as made:
        await made.change_tasks(**WINDOWED)
        yield made


def numbers(seen: Seen) -> list[int]:
    return [turn["turn"] for turn in seen.turns]


async def test_every_turn_is_read_in_some_window_and_the_value_says_so(world: World) -> None:
    run, result = await world.whole_way(long_chat(messages=MESSAGES))
    assert (result.status, result.values) == (Status.COMPLETED, 7)
    reading = [seen for seen in world.provider.seen if "It was read part by part" not in seen.received.parts[1]]
    windows = {tuple(numbers(seen)) for seen in reading}
    assert len(windows) == 3
    assert {number for window in windows for number in window} == set(range(1, MESSAGES + 1))
    for window in windows:
        assert {key for seen in reading if tuple(numbers(seen)) == window for key in seen.fields} == FIELDS
    values = await world.stages.values(run)
    assert {(value.turns_read, value.turns_total) for value in values.values()} == {(MESSAGES, MESSAGES)}
    assert {value.evidence_state for value in values.values()} == {EvidenceState.VERIFIED}


async def test_tasks_share_the_windows_they_read(world: World) -> None:
    """Fused per window: the windows are short enough."""
    await world.whole_way(long_chat(messages=MESSAGES))
    assert [len(seen.fields) for seen in world.provider.seen] == [7, 7, 7, 1, 1, 1]


async def test_quotes_keep_the_turns_numbers(world: World) -> None:
    run, _ = await world.whole_way(long_chat(messages=MESSAGES))
    summary = (await world.stages.values(run))["summary"]
    assert summary.explanation.startswith("From 3 parts of the conversation.")
    for quote in summary.evidence:
        assert f"Message {quote.turn - 1}:" in quote.quote


async def test_a_text_is_written_over_what_the_windows_gave_and_the_turns_they_quote(world: World) -> None:
    await world.whole_way(long_chat(messages=MESSAGES))
    over = [seen for seen in world.provider.seen if "It was read part by part" in seen.received.parts[1]]
    assert {seen.fields for seen in over} == {("summary",), ("next_actions",), ("churn_reason",)}
    for seen in over:
        lines = [json.loads(line) for line in seen.received.parts[1].splitlines() if line.startswith('{"turns"')]
        assert [line["field"] for line in lines] == [seen.fields[0]] * 3
        assert len(seen.turns) == 3, "one quoted turn a window"


async def test_numbers_and_choices_are_merged_by_rule_without_a_call(world: World) -> None:
    def by_window(seen: Seen) -> Reply | None:
        """Negative, positive, negative; the last window knows no satisfaction."""
        if len(seen.fields) < 7:
            return None
        first, last = numbers(seen)[0] == 1, numbers(seen)[-1] == MESSAGES
        right = world.provider.right(seen)
        right["sentiment"]["value"] = "negative" if first or last else "positive"
        right["csat"]["value"] = 1 if first else 4
        if last:
            right["csat"] = {"kind": "unknown", "explanation": "", "evidence": []}
        return wire.answer(json.dumps(right))

    world.provider.fault = by_window
    run, result = await world.whole_way(long_chat(messages=MESSAGES))
    assert result.status is Status.COMPLETED
    values = await world.stages.values(run)
    assert values["sentiment"].value == "negative"
    assert len({quote.turn for quote in values["sentiment"].evidence}) == 2, "of the windows that say so"
    assert (values["csat"].value, values["csat"].kind) == (4, ValueKind.INFERRED)


async def test_a_window_that_is_away_is_asked_again_and_no_other(world: World) -> None:
    failing = iter([None, wire.error(503, "UNAVAILABLE")])
    world.provider.fault = lambda seen: next(failing, None)
    run, planned = await world.planned(long_chat(messages=MESSAGES))
    with pytest.raises(EngineUnavailable):
        await world.stages.analyze(run, planned)
    assert len(world.provider.seen) == 3
    lost = numbers(world.provider.seen[1])
    world.attempt(2)
    await world.stages.analyze(run, planned)
    assert numbers(world.provider.seen[3]) == lost
    assert [len(seen.fields) for seen in world.provider.seen[3:]] == [7, 1, 1, 1]
    assert (await world.stages.persist(run)).status is Status.COMPLETED


async def test_a_window_whose_answer_cannot_be_had_fails_the_task_and_no_other(world: World) -> None:
    """No value is made of a part of the conversation that passes for the whole."""

    def blocked(seen: Seen) -> Reply | None:
        return wire.withheld("SAFETY") if "csat" in seen.fields and 80 in numbers(seen) else None

    world.provider.fault = blocked
    run, result = await world.whole_way(long_chat(messages=MESSAGES))
    assert (result.status, result.values) == (Status.COMPLETED_WITH_GAPS, 6)
    rows = await world.ledger(run)
    assert (rows["csat"].state, rows["csat"].reason) == (RunState.FAILED, Reason.ANSWER_BLOCKED)
    assert "csat" not in await world.stages.values(run)


async def test_a_second_entry_finds_every_window(world: World) -> None:
    run, planned = await world.planned(long_chat(messages=MESSAGES))
    await world.stages.analyze(run, planned)
    asked = len(world.provider.seen)
    again = await world.again(run)
    await world.analyzed(again, await world.stages.plan(again))
    assert len(world.provider.seen) == asked
    assert (await world.stages.persist(again)).values == 7
    assert once(world.provider.seen)


async def test_too_long_is_no_gap_and_says_why(world: World) -> None:
    await world.change_tasks(long_input="skip", long_from_tokens=2_500)
    run, result = await world.whole_way(long_chat(messages=MESSAGES))
    assert result.status is Status.COMPLETED
    assert world.provider.seen == []
    rows = await world.ledger(run)
    assert {(row.state, row.reason) for row in rows.values()} == {(RunState.SKIPPED, Reason.TOO_LONG)}
    assert all("the task reads 2,500" in (row.detail or "") for row in rows.values())


async def test_a_message_longer_than_a_window_is_read_in_pieces_of_the_same_turn(world: World) -> None:
    intake = long_chat(messages=2)
    assert intake.messages is not None
    story = " ".join(f"Then on day {n} the courier lost parcel {n * 3} again." for n in range(700))
    messages = (intake.messages[0].model_copy(update={"text": story}), intake.messages[1])
    run, result = await world.whole_way(intake.model_copy(update={"messages": messages}))
    assert (result.status, result.values) == (Status.COMPLETED, 7)
    pieces = [seen.turns[0]["text"] for seen in world.provider.seen if len(seen.fields) == 7]
    assert len(pieces) >= 3
    assert all(numbers(seen)[0] == 1 for seen in world.provider.seen if len(seen.fields) == 7)
    for value in (await world.stages.values(run)).values():
        assert (value.turns_read, value.turns_total) == (2, 2)
        assert all(story[q.start : q.end] == q.quote for q in value.evidence if q.turn == 1)
