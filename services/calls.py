"""One request to a language model: recorded before anybody uses its answer, and found instead of made again."""

import logging
import time
from asyncio import Semaphore
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.engine import CallOutcome, EngineCall, EngineConfig
from domain.errors import (
    EngineAnswerEmpty,
    EngineAnswerError,
    EngineAnswerMalformed,
    EngineAnswerRunaway,
    EngineAnswerTruncated,
    EngineBlocked,
    EngineDefect,
    EngineRefused,
    ParleyError,
    where,
)
from engines.protocols import AnswerRequest, LanguageModelEngine, ModelAnswer, Progress
from services import engine_calls
from services.answers import runs_in_circles
from services.questions import Layout, Part, request_hash, request_of

_log = logging.getLogger(__name__)


class CallLog(Protocol):
    """Where the calls of one conversation are found again and committed."""

    def find(self, part: str) -> EngineCall | None:
        """The call that asked this part: an answered one, or one whose answer was of no use."""
        ...

    def of_earlier_entry(self, call: EngineCall) -> bool:
        """Whether an earlier entry has used it: what was of no use then is asked again."""
        ...

    async def record(self, call: EngineCall, task_ids: Sequence[str]) -> None:
        """Returns when the call may be relied on. Costs nothing for engines that cost nothing."""
        ...


@dataclass(frozen=True)
class Caller:
    """The engine, how it is asked side by side, and where calls are recorded."""

    config: EngineConfig
    engine: LanguageModelEngine
    log: CallLog
    gate: Semaphore
    progress: Progress

    async def call(self, parts: Sequence[Part], layout: Layout) -> EngineCall:
        """An answered call for these parts, found or made. Raises EngineError, and whatever is not the engine's."""
        hashes = tuple(part.hash for part in parts)
        found = self.log.find(hashes[0])
        if found is not None and set(hashes) <= set(found.parts):
            return recalled(found)
        request = request_of(parts, layout)
        async with self.gate:
            began = time.monotonic()
            try:
                answer = await self._answer(request)
            except EngineAnswerError as error:
                told = _told_apart(error)
            else:
                return await self._record(
                    parts,
                    engine_calls.answered(
                        answer.by or self.config,
                        request_hash(parts),
                        model=answer.model,
                        usage=answer.usage,
                        latency_ms=_elapsed_ms(began),
                        answer=answer.text,
                        parts=hashes,
                    ),
                )
            latency = _elapsed_ms(began)
            call = engine_calls.failed(self.config, request_hash(parts), told, latency_ms=latency, parts=hashes)
            return recalled(await self._record(parts, call))

    async def _record(self, parts: Sequence[Part], call: EngineCall) -> EngineCall:
        await self.log.record(call, [part.question.task.task.id for part in parts])
        return call

    async def _answer(self, request: AnswerRequest) -> ModelAnswer:
        """Every trouble an engine makes is an EngineError, also one that no adapter foresaw."""
        try:
            return await self.engine.answer(request, self.progress)
        except ParleyError:
            raise
        except Exception as error:
            names = ", ".join(task.name for task in request.tasks)
            _log.error("%s of engine %s failed: %s", names, self.config.name, where(error))
            raise EngineDefect(f"unexpected {type(error).__qualname__}") from None
        finally:
            self.progress(1.0)


_ERRORS: Mapping[str, type[EngineAnswerError]] = {
    kind.code: kind
    for kind in (
        EngineRefused,
        EngineBlocked,
        EngineAnswerTruncated,
        EngineAnswerRunaway,
        EngineAnswerEmpty,
        EngineAnswerMalformed,
    )
}
_WORDS = {
    EngineRefused: "the model declined to answer",
    EngineBlocked: "a filter of the provider's withheld the answer",
    EngineAnswerTruncated: "the answer reached the output limit",
    EngineAnswerRunaway: "the answer repeats itself until the output limit",
    EngineAnswerEmpty: "the answer is empty",
    EngineAnswerMalformed: "the answer is not what the engine's API gives",
}


def recalled(call: EngineCall) -> EngineCall:
    """The call if it was answered. Raises the EngineAnswerError it was recorded with: a retry meets what the first try
    met, without asking again."""
    if call.outcome is CallOutcome.ANSWERED:
        return call
    kind = _ERRORS.get(call.error_code or "", EngineAnswerMalformed)
    error = kind(_WORDS[kind], raw=call.answer, usage=call.usage)
    error.call_id = call.id
    raise error


def _told_apart(error: EngineAnswerError) -> EngineAnswerError:
    """An answer that was cut because it was long, or because it went round in circles."""
    if isinstance(error, EngineAnswerTruncated) and error.raw is not None and runs_in_circles(error.raw):
        return EngineAnswerRunaway(_WORDS[EngineAnswerRunaway], raw=error.raw, usage=error.usage)
    return error


def _elapsed_ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
