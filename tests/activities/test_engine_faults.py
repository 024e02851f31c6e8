"""Whatever an engine does, no wrong value is stored, and every run ends ran, failed or parked with its reason."""

import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from domain.conversation import Status
from domain.errors import EngineError
from domain.ledger import REASONS, Reason, RunState
from domain.values import EvidenceState, FieldValue, ValueKind
from engines.language_models import gemini
from engines.protocols import AnswerRequest
from services import questions
from tests.support import gemini_server as wire
from tests.support.gemini_server import Reply
from tests.support.model_provider import ModelProvider, Seen
from tests.support.shared_calls import COMPLAINT, MOST_TRIES, World, chat, long_chat, shared_calls
from tests.support.stack import DatabaseUrls

SPANISH = "El cliente dice que el paquete no ha llegado y que quiere que le devuelvan su dinero porque ya es tarde."


@pytest.fixture
async def world(database: DatabaseUrls, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with shared_calls(database, tmp_path / "content", f"faults-{abs(hash(request.node.nodeid))}") as made:
        yield made


def unknown_options(provider: ModelProvider, seen: Seen) -> Reply:
    right = provider.right(seen)
    for answer in right.values():
        if isinstance(answer["value"], str) and len(answer["value"]) < 20:
            answer["value"] = "Very Negative"
    return wire.answer(json.dumps(right))


def invented_quotes(provider: ModelProvider, seen: Seen) -> Reply:
    right = provider.right(seen)
    for answer in right.values():
        answer["evidence"] = [{"turn": 1, "quote": "I have never been happier with a company"}]
    return wire.answer(json.dumps(right))


def another_language(provider: ModelProvider, seen: Seen) -> Reply:
    right = provider.right(seen)
    for key, answer in right.items():
        if key in ("summary", "next_actions", "churn_reason"):
            answer["value"] = SPANISH
    return wire.answer(json.dumps(right))


def half(provider: ModelProvider, seen: Seen) -> Reply:
    whole = json.dumps(provider.right(seen))
    return wire.answer(whole[: len(whole) // 2])


FAULTS: Sequence[Callable[[ModelProvider, Seen], Reply]] = (
    lambda provider, seen: wire.html(),
    lambda provider, seen: wire.html(502),
    lambda provider, seen: wire.answer("<!doctype html><p>busy</p>"),
    half,
    lambda provider, seen: wire.half_json(),
    lambda provider, seen: wire.dropped(),
    unknown_options,
    invented_quotes,
    another_language,
    lambda provider, seen: wire.rate_limited("0.1s"),
    lambda provider, seen: wire.error(500, "INTERNAL"),
    lambda provider, seen: wire.error(503, "UNAVAILABLE"),
    lambda provider, seen: wire.withheld("SAFETY"),
    lambda provider, seen: wire.answer("I'm sorry, but I can't."),
    lambda provider, seen: wire.answer("[]"),
    lambda provider, seen: wire.answer('{"csat": 5}'),
    lambda provider, seen: wire.answer('{"csat": {"kind": "stated", "val', finish="MAX_TOKENS"),
)


def check_value(value: FieldValue) -> None:
    """What the provider rightly says, or marked as resting on nothing."""
    assert value.kind in (ValueKind.INFERRED, ValueKind.STATED)
    if value.evidence_state is EvidenceState.UNSUPPORTED:
        assert value.evidence == ()
    else:
        assert value.evidence_state is EvidenceState.VERIFIED
        assert all(quote.quote in COMPLAINT or "parcel number" in quote.quote for quote in value.evidence)
    assert value.value in (3, "The customer wants the parcel, or the money back.", "positive", "low", "billing")


@pytest.mark.parametrize("seed", range(12))
async def test_faults_at_random_store_nothing_wrong_and_every_run_ends_with_its_reason(world: World, seed: int) -> None:
    chance = random.Random(seed)
    share = chance.choice([0.15, 0.4, 0.8])

    def fault(seen: Seen) -> Reply | None:
        return chance.choice(FAULTS)(world.provider, seen) if chance.random() < share else None

    world.provider.fault = fault
    intake = long_chat(f"random-{seed}", 90) if seed % 2 else chat(f"random-{seed}")
    run, planned = await world.planned(intake)
    tries = await world.analyzed(run, planned)
    assert tries <= MOST_TRIES
    result = await world.stages.persist(run)
    rows = await world.ledger(run)
    assert len(rows) == 6
    for row in rows.values():
        assert row.state in (RunState.RAN, RunState.FAILED, RunState.PARKED)
        assert (row.reason is None) == (row.state is RunState.RAN)
        assert row.reason is None or REASONS[row.reason].remedy
    for value in (await world.stages.values(run)).values():
        check_value(value)
    gaps = any(row.state is not RunState.RAN for row in rows.values())
    assert result.status is (Status.COMPLETED_WITH_GAPS if gaps else Status.COMPLETED)
    assert len(world.provider.seen) <= MOST_TRIES * 20


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (unknown_options, Reason.SCHEMA_MISMATCH),
        (another_language, Reason.SCHEMA_MISMATCH),
    ],
)
async def test_fields_that_fit_are_kept_when_others_do_not(
    world: World, fault: Callable[[ModelProvider, Seen], Reply], reason: Reason
) -> None:
    world.provider.fault = lambda seen: fault(world.provider, seen)
    run, _ = await world.whole_way(chat())
    rows = await world.ledger(run)
    failed = {slug for slug, row in rows.items() if row.state is RunState.FAILED}
    assert failed
    assert {rows[slug].reason for slug in failed} == {reason}
    assert rows["csat"].state is RunState.RAN
    for value in (await world.stages.values(run)).values():
        check_value(value)


async def test_a_quote_that_is_not_there_leaves_a_mark_and_no_quote(world: World) -> None:
    world.provider.fault = lambda seen: invented_quotes(world.provider, seen)
    run, _ = await world.whole_way(chat())
    values = await world.stages.values(run)
    assert {(v.evidence_state, v.evidence) for v in values.values()} == {(EvidenceState.UNSUPPORTED, ())}


async def test_an_engine_that_is_too_slow_is_given_up_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "LEAST_SECONDS", 0.2)
    monkeypatch.setattr(questions, "SLOWEST_TOKENS_PER_SECOND", 10**9)
    monkeypatch.setattr(gemini, "GRACE_SECONDS", 0.1)
    world.provider.fault = lambda seen: wire.HANG
    run, result = await world.whole_way(chat())
    assert (result.status, result.values) == (Status.COMPLETED_WITH_GAPS, 0)
    rows = await world.ledger(run)
    assert {(row.state, row.reason) for row in rows.values()} == {(RunState.FAILED, Reason.ENGINE_TIMEOUT)}
    assert len(world.provider.seen) == MOST_TRIES


async def test_rate_limited_for_ten_minutes_is_parked_and_comes_back(world: World) -> None:
    world.provider.fault = lambda seen: wire.rate_limited("37s")
    run, result = await world.whole_way(chat())
    assert (result.status, result.values) == (Status.COMPLETED_WITH_GAPS, 0)
    rows = await world.ledger(run)
    assert {(row.state, row.reason) for row in rows.values()} == {(RunState.PARKED, Reason.ENGINE_RATE_LIMITED)}
    async with world.stages.database.tenant_tx(world.tenant.id) as tx:
        waiting = [entry for entry in await tx.runs.list(run.conversation_id) if entry.state == "pending"]
    assert len(waiting) == 1
    assert len(waiting[0].task_ids) == 6


async def test_a_defect_of_an_adapter_is_one_calls_trouble(world: World) -> None:
    class Broken:
        async def answer(self, request: AnswerRequest, progress: object) -> object:
            raise RuntimeError("SECRET-WORDS of the customer")

        async def test(self) -> str:
            return ""

    world.stages.engines.model = Broken()  # type: ignore[assignment]
    run, planned = await world.planned(chat())
    with pytest.raises(EngineError) as raised:
        await world.stages.analyze(run, planned)
    assert "SECRET-WORDS" not in str(raised.value)
    await world.analyzed(run, planned)
    rows = await world.ledger(run)
    assert {(row.state, row.reason) for row in rows.values()} == {(RunState.FAILED, Reason.INTERNAL)}
    assert not any("SECRET-WORDS" in (row.detail or "") for row in rows.values())
