"""Why a field of a conversation has the value it has, or none: the rule that decided, and what to do."""

from enum import StrEnum

from domain.conversation import Conversation, Frozen, Status
from domain.fields import CustomField
from domain.ledger import REASONS, Reason, ReasonText, RunState, TaskRun
from domain.tasks import EffectiveTask
from domain.values import EvidenceState, FieldValue, Layer, ValueKind


class FieldState(StrEnum):
    VALUE = "value"
    UNKNOWN = "unknown"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"
    FAILED = "failed"
    PARKED = "parked"
    PENDING = "pending"
    NOT_PLANNED = "not_planned"
    NOT_ACTIVATED = "not_activated"


class FieldExplanation(Frozen):
    """reason is the ledger's code when a rule or failure decided. task is the slug of the task that fills the field.

    detail is the ledger's own words on this case; attempts are those of the task's newest run.
    """

    field: str
    label: str
    state: FieldState
    words: str
    remedy: str
    task: str | None = None
    reason: str | None = None
    detail: str | None = None
    attempts: int = 0
    layer: Layer | None = None
    stale: bool = False


_VALUE = ReasonText(words="The field has a value.", remedy="Nothing to do.")
_HUMAN = ReasonText(words="A person set the value.", remedy="Nothing to do.")
_UNKNOWN = ReasonText(
    words="The task ran, and the conversation gives no ground for a value.", remedy="Nothing: this is no gap."
)
_UNSUPPORTED = ReasonText(
    words="There is a value, but a quote it rests on was not found in the turns, or is too common to carry it.",
    remedy="Look at the value and its quotes; correct it by hand, or re-run the task.",
)
_SEARCHED = ReasonText(
    words="The field has a value. It rests on words that nobody said, and they were looked for in every turn.",
    remedy="Nothing to do.",
)
_SUSPECT = ReasonText(
    words="The conversation holds instructions to a model (turn {turns}).",
    remedy="Read those turns before you rely on the value; correct it by hand if it is wrong.",
)
_GROUNDS = {EvidenceState.UNSUPPORTED: _UNSUPPORTED, EvidenceState.SEARCHED: _SEARCHED}
_PENDING = ReasonText(
    words="The analysis has not come to this field yet.", remedy="See where the conversation is, above."
)
_LEFT_OUT = ReasonText(
    words="The task answered, and its answer was not stored: a newer run took over, or left this field out.",
    remedy="Re-run the task.",
)
_NOT_PLANNED = ReasonText(
    words="The task was activated after this conversation was analysed.",
    remedy="Re-run the conversation: POST /v1/conversations/{id}/rerun.",
)

_STATES = {
    RunState.SKIPPED: FieldState.SKIPPED,
    RunState.FAILED: FieldState.FAILED,
    RunState.PARKED: FieldState.PARKED,
    RunState.PLANNED: FieldState.PENDING,
    RunState.RAN: FieldState.PENDING,
}

_DONE = (Status.COMPLETED, Status.COMPLETED_WITH_GAPS)


def explain_field(
    field: CustomField,
    conversation: Conversation,
    task: EffectiveTask | None,
    run: TaskRun | None,
    value: FieldValue | None,
) -> FieldExplanation:
    """`task` fills the field for this tenant, `run` is its newest run, `value` the effective one."""
    state, text = _of_value(value) if value is not None else _of_run(conversation, task, run)
    return FieldExplanation(
        field=field.key,
        label=field.label,
        state=state,
        words=text.words,
        remedy=text.remedy,
        task=task.task.slug if task else None,
        reason=_reason(task, run, value),
        detail=run.detail if run else None,
        attempts=run.attempts if run else 0,
        layer=value.layer if value else None,
        stale=value.stale if value else False,
    )


def _of_value(value: FieldValue) -> tuple[FieldState, ReasonText]:
    if value.layer is Layer.HUMAN:
        return FieldState.VALUE, _HUMAN
    if value.kind is ValueKind.UNKNOWN:
        return FieldState.UNKNOWN, _UNKNOWN
    state = FieldState.UNSUPPORTED if value.evidence_state is EvidenceState.UNSUPPORTED else FieldState.VALUE
    text = _GROUNDS.get(value.evidence_state, _VALUE)
    return state, text if not value.suspect_turns else _suspected(text, value.suspect_turns)


def _suspected(text: ReasonText, turns: tuple[int, ...]) -> ReasonText:
    """What is said of the value, and that somebody talked to the model."""
    words = _SUSPECT.words.format(turns=", ".join(map(str, turns)))
    return ReasonText(words=f"{text.words} {words}", remedy=_SUSPECT.remedy)


def _of_run(
    conversation: Conversation, task: EffectiveTask | None, run: TaskRun | None
) -> tuple[FieldState, ReasonText]:
    if task is None:
        return FieldState.NOT_ACTIVATED, REASONS[Reason.NOT_ACTIVATED]
    done = conversation.status in _DONE
    if run is None:
        return (FieldState.NOT_PLANNED, _NOT_PLANNED) if done else (FieldState.PENDING, _PENDING)
    if run.reason is not None:
        return _STATES[run.state], REASONS[run.reason]
    if run.state is RunState.RAN and done:
        return FieldState.NOT_PLANNED, _LEFT_OUT
    return _STATES[run.state], _PENDING


def _reason(task: EffectiveTask | None, run: TaskRun | None, value: FieldValue | None) -> str | None:
    if run is not None and run.reason is not None:
        return run.reason.value
    if task is None and value is None:
        return Reason.NOT_ACTIVATED.value
    return None
