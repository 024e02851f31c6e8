"""One request to an engine: priced and turned into the records that are committed as soon as it is answered."""

from collections.abc import Sequence
from typing import Protocol

from domain.clock import utc_now
from domain.engine import CallOutcome, EngineCall, EngineConfig, Usage
from domain.errors import EngineAnswerError
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
    config: EngineConfig,
    request_hash: str,
    *,
    model: str,
    usage: Usage,
    latency_ms: int,
    answer: str | None,
    parts: tuple[str, ...] = (),
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
        parts=parts,
    )


def failed(
    config: EngineConfig, request_hash: str, error: EngineAnswerError, *, latency_ms: int, parts: tuple[str, ...] = ()
) -> EngineCall:
    """The record of a request whose answer is of no use, with what came of it and what it is billed for."""
    usage = error.usage or Usage()
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
        answer=error.raw,
        error_code=error.code,
        parts=parts,
    )


def usage_events(call: EngineCall, task_ids: Sequence[str | None]) -> tuple[UsageEvent, ...]:
    """The immutable events of a call, one a task; the same call always gives the same event ids.

    Tasks that were asked together share the bill in equal parts; what does not divide goes to the first ones, so the
    parts always add up to the whole. The request itself is counted with the first.
    """
    count, at = len(task_ids), utc_now()
    return tuple(
        UsageEvent(
            id=derived_id("usage", call.id) if count == 1 else derived_id("usage", call.id, str(task_id)),
            task_id=task_id,
            engine=call.engine,
            at=at,
            requests=_share(call.usage.requests, count, number, whole=True),
            input_tokens=_share(call.usage.input_tokens, count, number),
            output_tokens=_share(call.usage.output_tokens, count, number),
            cached_tokens=_share(call.usage.cached_tokens, count, number),
            cache_write_tokens=_share(call.usage.cache_write_tokens, count, number),
            thinking_tokens=_share(call.usage.thinking_tokens, count, number),
            audio_ms=_share(call.usage.audio_ms, count, number),
            cost_usd=call.cost_usd / count,
            price_version=call.price_version,
        )
        for number, task_id in enumerate(task_ids)
    )


def _share(total: int, count: int, number: int, *, whole: bool = False) -> int:
    """What falls to one of `count`; `whole`: everything to the first."""
    if whole:
        return total if number == 0 else 0
    return total // count + (number < total % count)
