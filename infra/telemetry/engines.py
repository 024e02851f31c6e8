"""Every request to an engine is counted, and traced: engine, model, tokens, cost, outcome. Never what was said."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from domain.engine import EngineConfig, Usage
from domain.errors import ParleyError
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
from infra.telemetry import metrics
from services.engine_calls import cost_usd

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

ANSWERED = "answered"

Used = Callable[[Usage], None]


class ObservedTranscription:
    """A transcription engine with somebody who counts."""

    def __init__(self, engine: TranscriptionEngine, config: EngineConfig, tracing: "Tracing | None") -> None:
        self._engine = engine
        self._config = config
        self._tracing = tracing

    async def transcribe(
        self, audio: CallAudio, request: TranscriptionRequest, progress: Progress
    ) -> TranscriptionAnswer:
        with _call(self._config, self._tracing) as used:
            answer = await self._engine.transcribe(audio, request, progress)
            used(answer.usage)
            return answer

    async def test(self) -> str:
        return await self._engine.test()


class ObservedLanguageModel:
    """A language model with somebody who counts."""

    def __init__(self, engine: LanguageModelEngine, config: EngineConfig, tracing: "Tracing | None") -> None:
        self._engine = engine
        self._config = config
        self._tracing = tracing

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        with _call(self._config, self._tracing) as used:
            answer = await self._engine.answer(request, progress)
            used(answer.usage)
            return answer

    async def test(self) -> str:
        return await self._engine.test()


@contextmanager
def _call(config: EngineConfig, tracing: "Tracing | None") -> Iterator[Used]:
    """Around a request; what is raised inside goes on as it is, and its code is the outcome."""
    told: list[Usage] = []
    began, start_time = time.perf_counter(), time.time_ns()
    outcome = ANSWERED
    try:
        yield told.append
    except ParleyError as error:
        outcome = error.code
        raise
    except BaseException as error:
        outcome = "cancelled" if not isinstance(error, Exception) else "internal"
        raise
    finally:
        metrics.ENGINE_SECONDS.labels(config.name, outcome).observe(time.perf_counter() - began)
        usage = told[0] if told else None
        if usage is not None:
            _count(config, usage)
        if tracing is not None:
            _trace(config, outcome, usage, start_time, tracing)


def _count(config: EngineConfig, usage: Usage) -> None:
    for kind, tokens in _tokens(usage).items():
        if tokens:
            metrics.ENGINE_TOKENS.labels(config.name, kind).inc(tokens)
    if usage.audio_ms:
        metrics.ENGINE_AUDIO.labels(config.name).inc(usage.audio_ms / 1000)
    metrics.ENGINE_COST.labels(config.name).inc(cost_usd(config, usage))


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached": usage.cached_tokens,
        "thinking": usage.thinking_tokens,
    }


def _trace(config: EngineConfig, outcome: str, usage: Usage | None, start_time: int, tracing: "Tracing") -> None:
    from opentelemetry.trace import SpanKind, StatusCode

    attributes: dict[str, str | int | float] = {
        "parley.engine": config.name,
        "parley.kind": config.kind,
        "parley.model": config.model,
        "parley.outcome": outcome,
    }
    if usage is not None:
        attributes |= {f"parley.tokens.{kind}": tokens for kind, tokens in _tokens(usage).items()}
        attributes |= {"parley.audio_ms": usage.audio_ms, "parley.cost_usd": cost_usd(config, usage)}
    span = tracing.tracer.start_span("engine call", kind=SpanKind.CLIENT, attributes=attributes, start_time=start_time)
    if outcome != ANSWERED:
        span.set_status(StatusCode.ERROR)
    span.end()
