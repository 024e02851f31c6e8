"""One request to an engine: priced and turned into the records that are committed as soon as it is answered."""

from collections.abc import Sequence
from typing import Protocol

from domain.clock import utc_now
from domain.engine import CallOutcome, EngineCall, EngineConfig, Usage
from domain.ids import derived_id, new_id
from engines.protocols import LanguageModelEngine, TranscriptionEngine
from storage.protocols import UsageEvent

MILLION = 1_000_000
MS_PER_HOUR = 3_600_000


class Engines(Protocol):
    """The process's engines, built once per configuration. Raises EngineRejected for an unknown kind."""

    def transcription(self, config: EngineConfig) -> TranscriptionEngine: ...

    def language_model(self, config: EngineConfig, fallback: Sequence[EngineConfig] = ()) -> LanguageModelEngine: ...


def cost_usd(config: EngineConfig, usage: Usage) -> float:
    """US dollars by the configuration's price table; what is read from a cache, written to it or thought is not billed
    as plain input or output too."""
    price = config.price
    plain_input = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
    plain_output = max(0, usage.output_tokens - usage.thinking_tokens)
    written = price.input_per_million if price.cache_write_per_million is None else price.cache_write_per_million
    thought = price.output_per_million if price.thinking_per_million is None else price.thinking_per_million
    tokens = (
        plain_input * price.input_per_million
        + usage.cached_tokens * price.cached_per_million
        + usage.cache_write_tokens * written
        + plain_output * price.output_per_million
        + usage.thinking_tokens * thought
    )
    return tokens / MILLION + usage.audio_ms / MS_PER_HOUR * price.audio_per_hour


def answered(
    config: EngineConfig, request_hash: str, *, model: str, usage: Usage, latency_ms: int, answer: str | None
) -> EngineCall:
    """The record of an answer. `answer` is redacted text or a content key, never original words."""
    return EngineCall(
        id=new_id(),
        request_hash=request_hash,
        engine=config.name,
        model=model,
        outcome=CallOutcome.ANSWERED,
        usage=usage,
        cost_usd=cost_usd(config, usage),
        price_version=config.price.version,
        latency_ms=latency_ms,
        answer=answer,
    )


def failed(
    config: EngineConfig, request_hash: str, *, code: str, latency_ms: int, usage: Usage | None = None
) -> EngineCall:
    """The record of a request without a usable answer; `usage` is what it was billed for all the same."""
    usage = usage or Usage()
    return EngineCall(
        id=new_id(),
        request_hash=request_hash,
        engine=config.name,
        model=config.model,
        outcome=CallOutcome.FAILED,
        usage=usage,
        cost_usd=cost_usd(config, usage),
        price_version=config.price.version,
        latency_ms=latency_ms,
        error_code=code,
    )


def usage_event(call: EngineCall, config: EngineConfig, task_id: str | None) -> UsageEvent:
    """The immutable event of a call; the same call always gives the same event id."""
    return UsageEvent(
        id=derived_id("usage", call.id),
        task_id=task_id,
        engine=call.engine,
        at=utc_now(),
        requests=call.usage.requests,
        input_tokens=call.usage.input_tokens,
        output_tokens=call.usage.output_tokens,
        cached_tokens=call.usage.cached_tokens,
        thinking_tokens=call.usage.thinking_tokens,
        audio_ms=call.usage.audio_ms,
        cost_usd=call.cost_usd,
        price_version=call.price_version,
        cache_write_tokens=call.usage.cache_write_tokens,
    )
