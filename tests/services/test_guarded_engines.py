"""Limits, breaker and fallbacks around engines, with the real shared gate: each guard stands for a process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from domain.engine import EngineConfig, EngineFamily, EngineLimits, Usage
from domain.errors import (
    EngineAnswerTruncated,
    EngineError,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
    Unavailable,
)
from domain.ids import new_id
from domain.starter import CSAT
from engines.protocols import AnswerRequest, LanguageModelEngine, ModelAnswer, Progress
from services import engine_limits, guarded_engines
from services.engine_limits import BURST_SECONDS, SHARE
from services.guarded_engines import FAILURES_TO_OPEN, TRIES_TO_BE_TAKEN, EngineGuard, GuardedLanguageModel
from storage.postgres.database import PostgresDatabase
from tests.support.language_models import ask, request_for


@dataclass
class Scripted:
    """An engine that does what its script says; when that is empty, it answers. It notes when it is asked."""

    script: deque[EngineError] = field(default_factory=deque)
    asked: list[float] = field(default_factory=list)
    busy: int = 0
    most: int = 0
    held: asyncio.Event | None = None

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        self.asked.append(asyncio.get_running_loop().time())
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            if self.held is not None:
                await self.held.wait()
            if self.script:
                raise self.script.popleft()
            return ModelAnswer(text="{}", model="m", usage=Usage(input_tokens=100, output_tokens=20))
        finally:
            self.busy -= 1

    async def test(self) -> str:
        return "well"


async def stored(db: PostgresDatabase, name: str = "hosted", **changes: Any) -> EngineConfig:
    wanted: dict[str, Any] = {
        "id": new_id(),
        "name": f"{name}-{new_id()[:8]}",
        "family": EngineFamily.LANGUAGE_MODEL,
        "kind": "gemini",
        "model": "m",
        "external": True,
        **changes,
    }
    config = EngineConfig.model_validate(wanted)
    await db.platform.put_engine_of("operator", config)
    return config


def guarded(
    db: PostgresDatabase, engines: dict[str, Scripted], *chain: EngineConfig, cool_down: float = 60.0
) -> GuardedLanguageModel:
    """As one process has it."""

    async def open_engine(config: EngineConfig) -> LanguageModelEngine:
        return engines[config.name]

    return GuardedLanguageModel(chain, open_engine, EngineGuard(db.engine_gate, new_id(), cool_down=cool_down))


def most_within(times: list[float], seconds: float) -> int:
    """The most requests any stretch of so many seconds holds."""
    times = sorted(times)
    return max(sum(1 for t in times if start <= t < start + seconds) for start in times)


async def test_two_processes_together_keep_the_limit_on_requests(db: PostgresDatabase) -> None:
    config = await stored(db, limits=EngineLimits(requests_per_minute=1200))
    model = Scripted()
    processes = [guarded(db, {config.name: model}, config) for _ in range(2)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(ask(processes[n % 2], request_for((CSAT,))) for n in range(60)))
    rate = 1200 / 60 * SHARE
    assert len(model.asked) == 60
    # a request may be late, and then it is nearer to the next one: that is what the rest of the limit is for
    assert most_within(model.asked, 2.0) <= rate * (2.0 + BURST_SECONDS + 0.5)
    assert max(model.asked) - min(model.asked) >= 60 / rate - BURST_SECONDS - 1.0


async def test_tokens_are_paced_by_what_requests_turn_out_to_take(db: PostgresDatabase) -> None:
    config = await stored(db, limits=EngineLimits(tokens_per_minute=60 * 1200))
    model = Scripted()
    process = guarded(db, {config.name: model}, config)
    async with asyncio.timeout(60):
        await asyncio.gather(*(ask(process, request_for((CSAT,))) for _ in range(40)))
    # 40 requests of 120 tokens at 1,152 tokens a second, less the burst: they were never let go all at once
    assert max(model.asked) - min(model.asked) >= 1.0
    await asyncio.gather(*(ask(process, request_for((CSAT,))) for _ in range(10)))
    learnt = process._guard.tokens_of(config)
    assert learnt.output == pytest.approx(20, abs=1)


async def test_no_more_are_under_way_than_all_processes_may_have(db: PostgresDatabase) -> None:
    config = await stored(db, limits=EngineLimits(concurrency=4))
    model = Scripted()
    processes = [guarded(db, {config.name: model}, config) for _ in range(3)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(ask(processes[n % 3], request_for((CSAT,))) for n in range(60)))
    assert 1 <= model.most <= 4
    assert len(model.asked) == 60


async def test_whoever_gives_up_leaves_its_place(db: PostgresDatabase) -> None:
    config = await stored(db, limits=EngineLimits(concurrency=1, requests_per_minute=6000))
    model = Scripted(held=asyncio.Event())
    process = guarded(db, {config.name: model}, config)
    async with asyncio.timeout(30):
        first = asyncio.create_task(ask(process, request_for((CSAT,))))
        while not model.asked:
            await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(ask(process, request_for((CSAT,)))) for _ in range(3)]
        await asyncio.sleep(0)
        for task in (first, *waiting):
            task.cancel()
        await asyncio.gather(first, *waiting, return_exceptions=True)
        assert model.held is not None
        model.held.set()
        await ask(process, request_for((CSAT,)))
    assert model.most == 1


async def test_who_waits_too_long_is_told_so(db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_limits, "LONGEST_WAIT_SECONDS", 0.2)
    config = await stored(db, limits=EngineLimits(requests_per_minute=1))
    process = guarded(db, {config.name: Scripted()}, config)
    await db.engine_gate.pause(config.id, 60)
    with pytest.raises(EngineRateLimited):
        await ask(process, request_for((CSAT,)))


@pytest.mark.parametrize("limits", [EngineLimits(requests_per_minute=6000), EngineLimits()], ids=["limits", "none"])
async def test_a_429_stops_everybody_and_is_asked_again(db: PostgresDatabase, limits: EngineLimits) -> None:
    config = await stored(db, limits=limits)
    model = Scripted(deque([EngineRateLimited("429", retry_after=2.0)]))
    one, two = (guarded(db, {config.name: model}, config) for _ in range(2))
    async with asyncio.timeout(30):
        first = asyncio.create_task(ask(one, request_for((CSAT,))))
        while not model.asked:
            await asyncio.sleep(0.01)
        await asyncio.gather(first, ask(two, request_for((CSAT,))))
    assert len(model.asked) == 3
    assert model.asked[2] - model.asked[0] >= 1.5
    assert model.asked[1] - model.asked[0] >= 1.5 or not limits.requests_per_minute


async def test_a_429_that_goes_on_is_told(db: PostgresDatabase) -> None:
    config = await stored(db)
    model = Scripted(deque(EngineRateLimited("429", retry_after=0.05) for _ in range(10)))
    with pytest.raises(EngineRateLimited):
        await ask(guarded(db, {config.name: model}, config), request_for((CSAT,)))
    assert len(model.asked) == TRIES_TO_BE_TAKEN


async def test_a_long_pause_is_not_waited_for_here(db: PostgresDatabase) -> None:
    config = await stored(db)
    model = Scripted(deque([EngineRateLimited("429", retry_after=600.0)]))
    with pytest.raises(EngineRateLimited) as raised:
        await ask(guarded(db, {config.name: model}, config), request_for((CSAT,)))
    assert raised.value.retry_after == 600.0
    assert len(model.asked) == 1


async def test_the_breaker_opens_for_every_process_and_closes_by_a_try(db: PostgresDatabase) -> None:
    config = await stored(db)
    model = Scripted(deque(EngineUnavailable("500") for _ in range(FAILURES_TO_OPEN)))
    one, two = (guarded(db, {config.name: model}, config, cool_down=1.0) for _ in range(2))
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(EngineUnavailable):
            await ask(one, request_for((CSAT,)))
    with pytest.raises(EngineUnavailable) as raised:
        await ask(two, request_for((CSAT,)))
    assert raised.value.retry_after is not None
    assert len(model.asked) == FAILURES_TO_OPEN, "nobody asks while it is open"

    async def until_it_answers(process: GuardedLanguageModel) -> None:
        while True:
            with suppress(EngineUnavailable):
                await ask(process, request_for((CSAT,)))
                return
            await asyncio.sleep(0.05)

    async with asyncio.timeout(30):
        await asyncio.gather(until_it_answers(one), until_it_answers(two))


async def test_refusals_and_bad_answers_open_no_breaker(db: PostgresDatabase) -> None:
    config = await stored(db)
    troubles: list[EngineError] = [EngineAnswerTruncated("x", usage=Usage(output_tokens=5)), EngineRejected("401")]
    model = Scripted(deque(troubles * FAILURES_TO_OPEN))
    process = guarded(db, {config.name: model}, config)
    for _ in range(2 * FAILURES_TO_OPEN):
        with pytest.raises((EngineAnswerTruncated, EngineRejected)):
            await ask(process, request_for((CSAT,)))
    await ask(process, request_for((CSAT,)))


async def test_a_single_answer_ends_the_row_of_failures(db: PostgresDatabase) -> None:
    config = await stored(db)
    model = Scripted()
    process = guarded(db, {config.name: model}, config)
    for _ in range(3):
        model.script.extend(EngineTimeout("late") for _ in range(FAILURES_TO_OPEN - 1))
        for _ in range(FAILURES_TO_OPEN - 1):
            with pytest.raises(EngineTimeout):
                await ask(process, request_for((CSAT,)))
        await ask(process, request_for((CSAT,)))


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: EngineUnavailable("500"),
        lambda: EngineTimeout("late"),
        lambda: EngineQuotaExhausted("402"),
        lambda: EngineRateLimited("429", retry_after=600.0),
    ],
)
async def test_the_fallback_answers_and_is_named(db: PostgresDatabase, trouble: Callable[[], EngineError]) -> None:
    first, second, third = [await stored(db, name) for name in ("first", "second", "third")]
    engines = {
        first.name: Scripted(deque([trouble()])),
        second.name: Scripted(deque([trouble()])),
        third.name: Scripted(),
    }
    process = guarded(db, engines, first, second, third)
    assert (await ask(process, request_for((CSAT,)))).by == third
    assert [len(engine.asked) for engine in engines.values()] == [1, 1, 1]


async def test_what_the_engine_refuses_is_nobody_elses_to_answer(db: PostgresDatabase) -> None:
    first, second = [await stored(db, name) for name in ("first", "second")]
    engines = {first.name: Scripted(deque([EngineRejected("401")])), second.name: Scripted()}
    with pytest.raises(EngineRejected):
        await ask(guarded(db, engines, first, second), request_for((CSAT,)))
    assert engines[second.name].asked == []


async def test_when_nobody_answers_the_first_ones_trouble_is_told(db: PostgresDatabase) -> None:
    first, second = [await stored(db, name) for name in ("first", "second")]
    engines = {
        first.name: Scripted(deque([EngineQuotaExhausted("first")])),
        second.name: Scripted(deque([EngineTimeout("second")])),
    }
    with pytest.raises(EngineQuotaExhausted, match="first"):
        await ask(guarded(db, engines, first, second), request_for((CSAT,)))


async def test_while_the_database_is_away_requests_wait_and_then_go(
    db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = await stored(db, limits=EngineLimits(requests_per_minute=6000))
    model = Scripted()
    away = True
    real = db.engine_gate.slice

    async def flaky(wanted: Any) -> Any:
        if away:
            raise Unavailable("the database is away")
        return await real(wanted)

    monkeypatch.setattr(db.engine_gate, "slice", flaky)
    monkeypatch.setattr(engine_limits, "_AWAY_SECONDS", 0.05)
    asking = asyncio.create_task(ask(guarded(db, {config.name: model}, config), request_for((CSAT,))))
    await asyncio.sleep(0.2)
    assert model.asked == []
    away = False
    async with asyncio.timeout(30):
        await asking


def test_the_estimate_learns_and_stays_within_reason() -> None:
    learnt = guarded_engines._Tokens()
    request = request_for((CSAT,))
    first = learnt.expected(request)
    for _ in range(100):
        learnt.learn(request, Usage(input_tokens=10_000, output_tokens=5))
    assert learnt.expected(request) > first
    assert learnt.characters_per_token >= 0.5
    assert learnt.output == 5
    for _ in range(200):
        learnt.learn(request, Usage(input_tokens=1, output_tokens=10**9))
    assert learnt.characters_per_token <= 12
    assert learnt.expected(request) <= guarded_engines.characters(request) + request.max_output_tokens
