"""Asks one engine for one task's answer, and judges it: found or made, recorded, checked, repaired once."""

import time
from dataclasses import dataclass
from typing import Protocol

from domain.clock import utc_now
from domain.conversation import Conversation
from domain.engine import EngineCall, EngineConfig
from domain.errors import (
    EngineAnswerEmpty,
    EngineAnswerError,
    EngineAnswerMalformed,
    EngineAnswerTruncated,
    EngineBlocked,
    EngineDefect,
    EngineError,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineRefused,
    EngineRejected,
    EngineTimeout,
)
from domain.fields import answer_schema
from domain.ids import derived_id
from domain.ledger import Reason, RunState, TaskRun
from domain.tasks import EffectiveTask, content_hash
from domain.values import FieldValue, Layer
from engines.protocols import AnswerRequest, LanguageModelEngine, Progress
from services import engine_calls
from services.answers import CheckedValue, SchemaMismatch, check
from services.prompting import SYSTEM_TEXT, render
from storage.protocols import AnswerRecord, Rendition

REASON_OF: dict[type[EngineError], Reason] = {
    EngineRefused: Reason.ANSWER_REFUSED,
    EngineBlocked: Reason.ANSWER_REFUSED,
    EngineAnswerTruncated: Reason.ANSWER_TRUNCATED,
    EngineAnswerEmpty: Reason.ANSWER_EMPTY,
    EngineAnswerMalformed: Reason.ANSWER_MALFORMED,
    SchemaMismatch: Reason.SCHEMA_MISMATCH,
    EngineQuotaExhausted: Reason.ENGINE_QUOTA,
    EngineRateLimited: Reason.ENGINE_RATE_LIMITED,
    EngineRejected: Reason.ENGINE_REJECTED,
    EngineTimeout: Reason.ENGINE_TIMEOUT,
    EngineDefect: Reason.INTERNAL,
}


def reason_of(error: EngineError) -> Reason:
    """The ledger's word for what an engine did."""
    return next((REASON_OF[kind] for kind in type(error).__mro__ if kind in REASON_OF), Reason.ENGINE_UNAVAILABLE)


@dataclass(frozen=True)
class TaskQuestion:
    """One planned run with all that is needed to ask it."""

    run: TaskRun
    task: EffectiveTask
    config: EngineConfig
    conversation: Conversation
    rendition: Rendition

    def request(self, repair: str | None = None) -> AnswerRequest:
        prompt = render(self.task, self.conversation, self.rendition.turns)
        if repair is not None:
            prompt = f"{prompt}\n\nYour last answer was refused: {repair}. Answer again, following the schema exactly."
        return AnswerRequest(
            system=SYSTEM_TEXT,
            prompt=prompt,
            turns=self.rendition.turns,
            fields=self.task.fields,
            schema=answer_schema(self.task.fields),
            language=self.rendition.language,
            evidence_role=self.task.spec.evidence_role,
            max_output_tokens=self.task.spec.max_output_tokens,
        )

    def request_hash(self, request: AnswerRequest) -> str:
        """The same words to the same model of the same conversation are the same request."""
        return content_hash(
            {
                "conversation": self.run.conversation_id,
                "engine": self.config.name,
                "kind": self.config.kind,
                "model": self.config.model,
                "parameters": self.config.parameters,
                "system": request.system,
                "prompt": request.prompt,
                "turns": self.rendition.content_hash,
                "schema": request.schema,
                "max_output_tokens": request.max_output_tokens,
            }
        )


class CallLog(Protocol):
    """Where the calls of one conversation are found again and committed."""

    def find(self, request_hash: str) -> EngineCall | None: ...

    async def record(self, call: EngineCall, task_id: str) -> None:
        """Returns when the call may be relied on. Costs nothing for engines that cost nothing."""
        ...


async def ask(question: TaskQuestion, engine: LanguageModelEngine, log: CallLog, progress: Progress) -> AnswerRecord:
    """Ask, check, repair once. A call recorded before is not made again.

    Raises retryable EngineErrors (the caller tries the whole stage again); every other engine error is an outcome.
    """
    used: list[EngineCall] = []
    repair: str | None = None
    error: EngineError = EngineAnswerEmpty("no answer")
    for _ in range(2):
        request = question.request(repair)
        try:
            call = await _call(question, request, engine, log, progress)
            used.append(call)
            checked = check(call.answer or "", question.task.fields, question.rendition.turns, request.evidence_role)
        except (EngineAnswerMalformed, SchemaMismatch) as problem:
            error, repair = problem, problem.message
        except EngineError as problem:
            if problem.retryable:
                raise
            error = problem
            break
        else:
            return _ran(question, checked, used)
    return unanswered(question.run, error, tuple(c.id for c in used))


async def _call(
    question: TaskQuestion, request: AnswerRequest, engine: LanguageModelEngine, log: CallLog, progress: Progress
) -> EngineCall:
    request_hash = question.request_hash(request)
    found = log.find(request_hash)
    if found is not None:
        return found
    started = time.monotonic()
    try:
        answer = await engine.answer(request, progress)
    except EngineAnswerError as error:
        latency = _elapsed_ms(started)
        call = engine_calls.failed(
            question.config, request_hash, code=error.code, latency_ms=latency, usage=error.usage
        )
        await log.record(call, question.task.task.id)
        raise
    call = engine_calls.answered(
        answer.by or question.config,
        request_hash,
        model=answer.model,
        usage=answer.usage,
        latency_ms=_elapsed_ms(started),
        answer=answer.text,
    )
    await log.record(call, question.task.task.id)
    return call


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def unanswered(run: TaskRun, error: EngineError, calls: tuple[str, ...] = ()) -> AnswerRecord:
    """The ledger's row for a question that got no usable answer: parked when only waiting helps, else failed."""
    state = RunState.PARKED if isinstance(error, EngineQuotaExhausted | EngineRateLimited) else RunState.FAILED
    done = run.model_copy(
        update={"state": state, "reason": reason_of(error), "detail": error.message[:500], "engine_calls": calls}
    )
    return AnswerRecord(task_run=done, values=())


def _ran(question: TaskQuestion, checked: tuple[CheckedValue, ...], used: list[EngineCall]) -> AnswerRecord:
    run = question.run.model_copy(update={"state": RunState.RAN, "engine_calls": tuple(c.id for c in used)})
    return AnswerRecord(task_run=run, values=tuple(_value(question, value, used[-1]) for value in checked))


def _value(question: TaskQuestion, checked: CheckedValue, call: EngineCall) -> FieldValue:
    run, rendition = question.run, question.rendition
    return FieldValue(
        id=derived_id("value", run.id, checked.field.key),
        tenant_id=question.conversation.tenant_id,
        conversation_id=run.conversation_id,
        revision=run.revision,
        subject_id=run.conversation_id,
        field_id=checked.field.id,
        field_key=checked.field.key,
        layer=Layer.AI,
        kind=checked.kind,
        value=checked.value,
        explanation=checked.explanation,
        evidence=checked.evidence,
        evidence_state=checked.evidence_state,
        evidence_revision=rendition.revision,
        task_id=run.task_id,
        task_version=run.task_version,
        engine=call.engine,
        model=call.model,
        input_hash=run.input_hash,
        run_id=run.id,
        turns_read=len(rendition.turns),
        turns_total=len(rendition.turns),
        created_at=utc_now(),
    )
