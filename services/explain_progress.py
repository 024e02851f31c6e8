"""Where a conversation is, in words: the stage, how often it was tried, why not further, and what to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.clock import utc_now
from domain.conversation import Conversation, Frozen, Stage, StageState, StageStatus, Status
from services.ports import PendingStep, RunInspection
from services.stop_reasons import text_of
from storage.protocols import DeadLetter, RunEntry


class Progress(Frozen):
    """stage: where it is or stopped. maximum_attempts and next_retry_at come from Temporal, None without it."""

    words: str
    remedy: str
    stage: Stage | None = None
    state: StageStatus | None = None
    attempts: int = 0
    maximum_attempts: int | None = None
    last_error: str | None = None
    next_retry_at: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Moment:
    """All there is to go by. answered: whether Temporal answered, None when it was not asked."""

    conversation: Conversation
    entry: RunEntry | None
    letters: Sequence[DeadLetter]
    inspection: RunInspection | None
    answered: bool | None

    @property
    def stopped_at(self) -> StageState | None:
        """The stage that is under way or stopped; the last one that was finished when there is none."""
        stages = self.conversation.stages
        busy = (StageStatus.RUNNING, StageStatus.PARKED, StageStatus.FAILED)
        return next((s for s in reversed(stages) if s.state in busy), stages[-1] if stages else None)


def explain_progress(moment: Moment) -> Progress:
    """The one sentence or two that answer "where is it?"."""
    entry = moment.entry
    if (into := moment.conversation.merged_into) is not None:
        return Progress(
            words=f"It turned out to be a part of conversation {into}, and was merged into it.",
            remedy=f"Nothing to do: look at {into}.",
        )
    if entry is not None and entry.state == "pending":
        return _of_pending(moment, entry)
    if entry is not None and entry.state == "started":
        return _of_started(moment)
    return _BY_STATUS[moment.conversation.status](moment)


def _of_pending(moment: Moment, entry: RunEntry) -> Progress:
    """A run that Temporal has not been given yet."""
    status = moment.conversation.status
    before = ""
    if status in (Status.PARKED, Status.FAILED, Status.COMPLETED_WITH_GAPS):
        before = f"{_BY_STATUS[status](moment).words} "
    if entry.not_before is not None and entry.not_before > utc_now():
        why = text_of(entry.reason) if entry.reason else None
        return _at(
            moment,
            words=f"{before}The next run begins at {entry.not_before:%Y-%m-%d %H:%M:%S} UTC"
            + (f" ({entry.reason})." if entry.reason else "."),
            remedy=why.remedy if why else "Wait.",
        )
    if moment.answered is False:
        return _at(
            moment,
            words=f"{before}It is accepted, and Temporal does not answer: the run is started when it is back.",
            remedy="Check the Temporal server; nothing is lost, and nothing has to be sent again.",
        )
    return _at(
        moment,
        words=f"{before}It is accepted, and its run is about to be started.",
        remedy="Wait. If it lasts more than a minute, check that the reconciler's schedule runs.",
    )


def _of_started(moment: Moment) -> Progress:
    inspection = moment.inspection
    if inspection is None:
        return _at(
            moment,
            words=f"A run is under way{_stage_words(moment)}; Temporal does not answer, so its tries are not known.",
            remedy="Check the Temporal server; the run goes on when it is back.",
        )
    if inspection.status == "running":
        return _of_running(moment, inspection)
    if inspection.status == "unknown":
        return _at(
            moment,
            words="Temporal does not know the run it was given.",
            remedy="Wait: the reconciler starts it again within minutes.",
        )
    if moment.conversation.status in (Status.RECEIVED, Status.PROCESSING):
        return _at(
            moment,
            words=f"The run ended ({inspection.status.replace('_', ' ')}) without leaving a conclusion.",
            remedy="Wait: the reconciler concludes it within minutes; then re-drive the dead letter.",
        )
    return _BY_STATUS[moment.conversation.status](moment)


def _of_running(moment: Moment, inspection: RunInspection) -> Progress:
    if not inspection.pending:
        return _at(
            moment,
            words=f"A run is under way{_stage_words(moment)}, between two steps.",
            remedy="Wait. If it lasts, check that workers poll the task queue of conversations.",
        )
    step = max(inspection.pending, key=lambda pending: pending.attempt)
    stage = Stage(step.stage) if step.stage in set(Stage) else None
    words, remedy = _step_words(step)
    return Progress(
        words=words,
        remedy=remedy,
        stage=stage,
        state=StageStatus.PENDING if step.state == "scheduled" else StageStatus.RUNNING,
        attempts=step.attempt,
        maximum_attempts=step.maximum_attempts or None,
        last_error=step.last_failure,
        next_retry_at=step.next_retry_at,
        since=next((s.started_at for s in moment.conversation.stages if s.name == stage), None),
    )


def _step_words(step: PendingStep) -> tuple[str, str]:
    tries = f"try {step.attempt}" + (f" of {step.maximum_attempts}" if step.maximum_attempts else "")
    failure = f" The last one failed: {step.last_failure}." if step.last_failure else ""
    if step.state != "scheduled":
        return f"The stage {step.stage} is running, {tries}.{failure}", "Wait."
    if step.next_retry_at is not None:
        at = f"{step.next_retry_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"The stage {step.stage} waits for its {tries}, at {at}.{failure}", (
            f"Wait for the retry; what the error means is in the runbook of {step.stage}."
        )
    return f"The stage {step.stage} waits for a free worker, {tries}.{failure}", (
        "Wait. If it lasts, add workers for this stage's task queue."
    )


# -- runs that have ended -----------------------------------------------------------------------------------


def _received(moment: Moment) -> Progress:
    return _at(
        moment,
        words="It is accepted, and no run has begun.",
        remedy="Wait. If it lasts more than a minute, check that the reconciler's schedule runs.",
    )


def _processing(moment: Moment) -> Progress:
    return _at(moment, words=f"A run is under way{_stage_words(moment)}.", remedy="Wait.")


def _parked(moment: Moment) -> Progress:
    reason = text_of(moment.conversation.status_reason or "")
    return _at(moment, words=f"It is parked{_stage_words(moment)}. {reason.words}", remedy=reason.remedy)


def _failed(moment: Moment) -> Progress:
    reason = text_of(moment.conversation.status_reason or "")
    redrive = "".join(f" Re-drive: POST /v1/dead-letters/{letter.id}/redrive." for letter in moment.letters[:1])
    return _at(moment, words=f"It failed{_stage_words(moment)}. {reason.words}", remedy=reason.remedy + redrive)


def _gaps(moment: Moment) -> Progress:
    reason = text_of(moment.conversation.status_reason or "")
    redrive = "".join(f" Re-drive: POST /v1/dead-letters/{letter.id}/redrive." for letter in moment.letters[:1])
    return _at(
        moment,
        words=f"It is completed with gaps: a planned task failed or waits. {reason.words}",
        remedy=reason.remedy + redrive,
    )


def _completed(moment: Moment) -> Progress:
    return _at(moment, words="It is completed.", remedy="Nothing to do.")


_BY_STATUS: dict[Status, Callable[[Moment], Progress]] = {
    Status.RECEIVED: _received,
    Status.PROCESSING: _processing,
    Status.PARKED: _parked,
    Status.FAILED: _failed,
    Status.COMPLETED_WITH_GAPS: _gaps,
    Status.COMPLETED: _completed,
}


def _stage_words(moment: Moment) -> str:
    stage = moment.stopped_at
    return f" at the stage {stage.name.value}" if stage else ""


def _at(moment: Moment, *, words: str, remedy: str) -> Progress:
    stage = moment.stopped_at
    if stage is None:
        return Progress(words=words, remedy=remedy)
    return Progress(
        words=words,
        remedy=remedy,
        stage=stage.name,
        state=stage.state,
        attempts=stage.attempts,
        last_error=stage.last_error,
        since=stage.started_at,
    )
