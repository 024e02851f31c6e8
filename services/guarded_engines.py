"""Around every engine that is asked over a network: its limits, its circuit breaker, then the call, then its fallbacks.

Engines that run in this process need none of it and are given as they are.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from domain.engine import EngineConfig, Usage
from domain.errors import (
    EngineAnswerError,
    EngineError,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineTimeout,
    EngineUnavailable,
    Unavailable,
)
from engines.language_models.layout import conversation_text, task_text
from engines.protocols import (
    AnswerRequest,
    CallAudio,
    LanguageModelEngine,
    ModelAnswer,
    Progress,
    TranscriptionAnswer,
    TranscriptionEngine,
    TranscriptionRequest,
)
from services.engine_limits import EngineLine, Permit
from storage.protocols import EngineGate

IN_PROCESS = frozenset({"offline", "whisper"})
"""Kinds whose models run in the worker itself: their limit is the worker's slots, and they have no network to fail."""

FAILURES_TO_OPEN = 5
COOL_DOWN_SECONDS = 20.0
PAUSE_SECONDS = 5.0
"""How long nobody asks after a 429 that does not say when to come back."""

LONGEST_PAUSE_SECONDS = 60.0
TRIES_TO_BE_TAKEN = 3
WORTH_WAITING_SECONDS = 20.0
"""A longer pause is not waited for here, where it would hold a worker's slot."""

A = TypeVar("A")

_FRESH_SECONDS = 2.0
_LEARNT = 0.1
"""How much the newest answer counts in what is expected of the next."""

_log = logging.getLogger(__name__)


@dataclass
class _Tokens:
    """What one engine's requests take, learnt from its answers. Before the first: four characters a token, and a
    quarter of the answer's limit."""

    characters_per_token: float = 4.0
    output: float | None = None

    def expected(self, request: AnswerRequest) -> float:
        output = request.max_output_tokens / 4 if self.output is None else self.output
        return characters(request) / self.characters_per_token + min(output, request.max_output_tokens)

    def learn(self, request: AnswerRequest, usage: Usage) -> None:
        if usage.input_tokens > 0:
            seen = characters(request) / usage.input_tokens
            self.characters_per_token += _LEARNT * (min(max(seen, 0.5), 12.0) - self.characters_per_token)
        known = self.output if self.output is not None else float(usage.output_tokens)
        self.output = known + _LEARNT * (usage.output_tokens - known)


def characters(request: AnswerRequest) -> int:
    """About how long the request is on the wire."""
    schema = json.dumps(request.schema, separators=(",", ":"))
    return len(request.system) + len(conversation_text(request.turns)) + len(task_text(request)) + len(schema)


@dataclass
class _State:
    """What this process knows of one engine."""

    line: EngineLine
    tokens: _Tokens = field(default_factory=_Tokens)
    read_at: float = float("-inf")
    failures: int = 0
    paused_until: float = float("-inf")
    open_since: float | None = None
    """By this process's clock; None while the breaker is closed."""


class EngineGuard:
    """The limits and breakers of one process's engines. Needs the shared gate; `holder` names the process."""

    def __init__(self, gate: EngineGate, holder: str, *, cool_down: float = COOL_DOWN_SECONDS) -> None:
        self._gate = gate
        self._holder = holder
        self._cool_down = cool_down
        self._states: dict[str, _State] = {}

    def tokens_of(self, config: EngineConfig) -> _Tokens:
        return self._state(config).tokens

    @asynccontextmanager
    async def request(self, config: EngineConfig, tokens: float) -> AsyncIterator[Permit]:
        """The block is one request of about so many tokens. What it raises is counted and raised again.

        Raises EngineUnavailable while the breaker is open, EngineRateLimited when the limits give no place for long.
        """
        state = self._state(config)
        await self._require_closed(config, state)
        async with self._turn(config, state, tokens) as permit:
            try:
                yield permit
            except EngineError as error:
                await self._count(config, state, permit, error)
                raise
            if state.failures or state.open_since is not None:
                state.failures, state.open_since = 0, None
                await self._tell(self._gate.answered(config.id))

    @asynccontextmanager
    async def _turn(self, config: EngineConfig, state: _State, tokens: float) -> AsyncIterator[Permit]:
        """Without limits only a 429 of the provider's is waited for."""
        if any(config.limits.model_dump().values()):
            async with state.line.permit(tokens) as permit:
                yield permit
            return
        if (left := state.paused_until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LONGEST_PAUSE_SECONDS))
        yield Permit(tokens)

    def _state(self, config: EngineConfig) -> _State:
        known = self._states.get(config.id)
        if known is None:
            known = self._states[config.id] = _State(EngineLine(config, self._gate, self._holder))
        elif known.line.config is not config:
            known.line.config = config  # limits that were changed hold from the next slice on
        return known

    async def _require_closed(self, config: EngineConfig, state: _State) -> None:
        """Lets nobody through while the breaker is open, but for one that tries once it has cooled down."""
        now = time.monotonic()
        if now - state.read_at >= _FRESH_SECONDS:
            state.read_at = now
            await self._read(state, now)
        if state.open_since is None:
            return
        left = state.open_since + self._cool_down - now
        if left <= 0:
            with suppress(Unavailable):
                if await self._gate.probe(config.id, cool_down=self._cool_down):
                    state.open_since = now  # others of this process wait for what comes of it
                    return
            left = _FRESH_SECONDS
        raise EngineUnavailable(
            f"engine {config.name} failed {FAILURES_TO_OPEN} times or more in a row and is left alone for now",
            retry_after=max(left, 1.0),
        )

    async def _read(self, state: _State, now: float) -> None:
        """What all processes together know. While the database is away, what was known stays."""
        with suppress(Unavailable):
            seen = await state.line.look()
            state.failures = seen.failures
            state.paused_until = max(state.paused_until, now + seen.starts_at - seen.at)
            state.open_since = None if seen.state == "closed" else now - max(0.0, seen.at - seen.changed_at)

    async def _count(self, config: EngineConfig, state: _State, permit: Permit, error: EngineError) -> None:
        if isinstance(error, EngineAnswerError):
            permit.settle(_total(error.usage) if error.usage else permit.tokens)
        elif isinstance(error, EngineRateLimited):
            permit.settle(0)
            pause = PAUSE_SECONDS if error.retry_after is None else error.retry_after
            _log.warning("engine %s limits the rate: nobody asks it for %.0f s", config.name, pause)
            state.paused_until = time.monotonic() + pause
            await self._tell(self._gate.pause(config.id, pause))
        elif isinstance(error, EngineUnavailable | EngineTimeout):
            if isinstance(error, EngineUnavailable):
                permit.settle(0)
            state.failures += 1
            state.read_at = float("-inf")
            await self._tell(self._gate.failed(config.id, threshold=FAILURES_TO_OPEN, detail=error.code))

    @staticmethod
    async def _tell(telling: Coroutine[Any, Any, None]) -> None:
        """The engine's answer counts more than that others hear of it."""
        try:
            await telling
        except Unavailable as error:
            _log.warning("an engine's state cannot be written: %s", error.message)


async def _in_turn(once: Callable[[], Awaitable[A]]) -> A:
    """Asks again, after its pause, what the provider would not take yet: a 429 is no failure, nothing was done or
    billed. What is to wait longer, or is not taken again and again, goes back to the orchestration."""
    for _ in range(TRIES_TO_BE_TAKEN - 1):
        try:
            return await once()
        except EngineRateLimited as error:
            if (error.retry_after or PAUSE_SECONDS) > WORTH_WAITING_SECONDS:
                raise
    return await once()


def _total(usage: Usage) -> int:
    return usage.input_tokens + usage.output_tokens


OpenLanguageModel = Callable[[EngineConfig], Awaitable[LanguageModelEngine]]
OpenTranscription = Callable[[EngineConfig], Awaitable[TranscriptionEngine]]

_FALLS_BACK = (EngineUnavailable, EngineTimeout, EngineQuotaExhausted, EngineRateLimited)


class GuardedLanguageModel:
    """Fulfils `LanguageModelEngine`. `chain` is the engine and its fallbacks, in order; the answer names the one that
    gave it. When none does, the first one's trouble is raised: it is the one that was asked for."""

    def __init__(self, chain: Sequence[EngineConfig], open_engine: OpenLanguageModel, guard: EngineGuard) -> None:
        self._chain = chain
        self._open = open_engine
        self._guard = guard

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        first: EngineError | None = None
        for config in self._chain:
            try:
                answer = await self._one(config, request, progress)
            except _FALLS_BACK as error:
                first = first or error
            else:
                return answer if config is self._chain[0] else replace(answer, by=config)
        assert first is not None
        raise first

    async def test(self) -> str:
        return await (await self._open(self._chain[0])).test()

    async def _one(self, config: EngineConfig, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        engine = await self._open(config)
        if config.kind in IN_PROCESS:
            return await engine.answer(request, progress)
        learnt = self._guard.tokens_of(config)

        async def once() -> ModelAnswer:
            async with self._guard.request(config, learnt.expected(request)) as permit:
                answer = await engine.answer(request, progress)
                learnt.learn(request, answer.usage)
                permit.settle(_total(answer.usage) or permit.tokens)
                return answer

        return await _in_turn(once)


class GuardedTranscription:
    """Fulfils `TranscriptionEngine`: limits on requests and on how many are under way, and the breaker."""

    def __init__(self, config: EngineConfig, open_engine: OpenTranscription, guard: EngineGuard) -> None:
        self._config = config
        self._open = open_engine
        self._guard = guard

    async def transcribe(
        self, audio: CallAudio, request: TranscriptionRequest, progress: Progress
    ) -> TranscriptionAnswer:
        engine = await self._open(self._config)
        if self._config.kind in IN_PROCESS:
            return await engine.transcribe(audio, request, progress)

        async def once() -> TranscriptionAnswer:
            async with self._guard.request(self._config, 0):
                return await engine.transcribe(audio, request, progress)

        return await _in_turn(once)

    async def test(self) -> str:
        return await (await self._open(self._config)).test()
