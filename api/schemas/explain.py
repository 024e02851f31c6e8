"""The one answer to "why is this empty?" and "why is this stuck?"."""

from datetime import datetime

from pydantic import Field

from api.schemas.common import NoteOut, Out, StageOut
from api.schemas.conversations import Links
from domain.conversation import Stage, StageStatus, Status
from domain.values import Layer
from services.explain import Explanation
from services.explain_fields import FieldExplanation, FieldState


class WhereOut(Out):
    """The stage where it is or stopped. Tries and the next retry are what Temporal says, null without it."""

    stage: Stage | None
    state: StageStatus | None
    attempts: int
    maximum_attempts: int | None
    last_error: str | None
    next_retry_at: datetime | None
    since: datetime | None


class RunExplanation(Out):
    entry: int
    enter_at: Stage
    state: str
    reason: str | None
    not_before: datetime | None
    workflow_id: str
    temporal_status: str | None
    temporal: str | None = Field(description="The run in the Temporal Web UI, for keys with the scope operate.")


class DeadLetterBrief(Out):
    id: str
    stage: Stage
    error_type: str
    detail: str
    attempts: int
    last_at: datetime


class FieldExplanationOut(Out):
    """Why the field is as it is. reason is the ledger's code when a rule or failure decided."""

    field: str
    label: str
    state: FieldState
    words: str
    remedy: str
    task: str | None
    reason: str | None
    detail: str | None
    attempts: int
    layer: Layer | None
    stale: bool

    @classmethod
    def of(cls, field: FieldExplanation) -> "FieldExplanationOut":
        return cls.model_validate(field.model_dump())


class ExplanationOut(Out):
    """answer and remedy are for people; the rest says the same for programs.

    temporal_answered is null when there was nothing to ask Temporal, false when it did not answer in time.
    """

    conversation_id: str
    revision: int
    status: Status
    status_reason: str | None
    answer: str
    remedy: str
    where: WhereOut
    run: RunExplanation | None
    temporal_answered: bool | None
    stages: list[StageOut]
    dead_letters: list[DeadLetterBrief]
    fields: list[FieldExplanationOut]
    notes: list[NoteOut]
    links: Links

    @classmethod
    def of(cls, explanation: Explanation, links: Links) -> "ExplanationOut":
        conversation, progress = explanation.conversation, explanation.progress
        return cls(
            conversation_id=conversation.id,
            revision=conversation.revision,
            status=conversation.status,
            status_reason=conversation.status_reason,
            answer=explanation.answer,
            remedy=explanation.remedy,
            where=WhereOut.model_validate({name: getattr(progress, name) for name in WhereOut.model_fields}),
            run=_run(explanation, links.temporal),
            temporal_answered=explanation.temporal_answered,
            stages=[StageOut.of(stage) for stage in conversation.stages],
            dead_letters=[
                DeadLetterBrief.model_validate({n: getattr(letter, n) for n in DeadLetterBrief.model_fields})
                for letter in explanation.dead_letters
            ],
            fields=[FieldExplanationOut.of(field) for field in explanation.fields],
            notes=[NoteOut(code=note.code, detail=note.detail) for note in explanation.notes],
            links=links,
        )


def _run(explanation: Explanation, link: str | None) -> RunExplanation | None:
    entry, inspection = explanation.entry, explanation.inspection
    if entry is None:
        return None
    return RunExplanation(
        entry=entry.run.entry,
        enter_at=entry.enter_at,
        state=entry.state,
        reason=entry.reason,
        not_before=entry.not_before,
        workflow_id=entry.run.workflow_id,
        temporal_status=inspection.status if inspection else None,
        temporal=link,
    )
