"""What a task run leaves: its row of the ledger, and the values with all of their provenance."""

from collections.abc import Sequence

from domain.clock import utc_now
from domain.engine import EngineCall
from domain.errors import (
    EngineAnswerEmpty,
    EngineAnswerMalformed,
    EngineAnswerRunaway,
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
from domain.ids import derived_id
from domain.ledger import Reason, RunState, TaskRun
from domain.values import FieldValue, Layer
from services.answers import CheckedValue, SchemaMismatch
from services.questions import TaskQuestion
from storage.protocols import AnswerRecord

REASON_OF: dict[type[EngineError], Reason] = {
    EngineRefused: Reason.ANSWER_REFUSED,
    EngineBlocked: Reason.ANSWER_BLOCKED,
    EngineAnswerTruncated: Reason.ANSWER_TRUNCATED,
    EngineAnswerRunaway: Reason.ANSWER_RUNAWAY,
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


def unanswered(run: TaskRun, error: EngineError, calls: tuple[str, ...] = ()) -> AnswerRecord:
    """A question that got no usable answer: parked when only waiting helps, else failed."""
    state = RunState.PARKED if isinstance(error, EngineQuotaExhausted | EngineRateLimited) else RunState.FAILED
    return _without_values(run, state, reason_of(error), error.message, calls)


def too_long(run: TaskRun, detail: str) -> AnswerRecord:
    """The engine's limits have changed since it was planned."""
    return _without_values(run, RunState.SKIPPED, Reason.TOO_LONG, detail)


def prompt_failed(run: TaskRun, detail: str) -> AnswerRecord:
    """The prompt renders for the whole conversation, and not for what is asked now."""
    return _without_values(run, RunState.FAILED, Reason.PROMPT_FAILED, detail)


def _without_values(
    run: TaskRun, state: RunState, reason: Reason, detail: str, calls: tuple[str, ...] = ()
) -> AnswerRecord:
    update = {"state": state, "reason": reason, "detail": detail[:500], "engine_calls": calls}
    return AnswerRecord(task_run=run.model_copy(update=update), values=())


def ran(
    question: TaskQuestion,
    checked: Sequence[CheckedValue],
    last: EngineCall | None,
    calls: tuple[str, ...],
    group: str | None,
) -> AnswerRecord:
    """last: the call the values were read from, or the last of several. group: see `FieldValue.call_group`."""
    run = question.run.model_copy(update={"state": RunState.RAN, "engine_calls": calls})
    return AnswerRecord(task_run=run, values=tuple(_value(question, value, last, group) for value in checked))


def _value(question: TaskQuestion, checked: CheckedValue, last: EngineCall | None, group: str | None) -> FieldValue:
    """The engine is the one that answered, which may have stood in for the one that was asked."""
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
        searched=checked.searched,
        evidence_revision=rendition.revision,
        task_id=run.task_id,
        task_version=run.task_version,
        engine=question.config.name if last is None else last.engine,
        model=question.config.model if last is None else last.model,
        input_hash=run.input_hash,
        run_id=run.id,
        call_group=group,
        turns_read=len(rendition.turns),
        turns_total=len(rendition.turns),
        suspect_turns=tuple(sorted({suspicion.turn for suspicion in question.suspicions})),
        created_at=utc_now(),
    )
