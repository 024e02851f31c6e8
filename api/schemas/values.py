"""Field values with their evidence and where they come from."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from api.schemas.common import Out
from domain.conversation import Role
from domain.fields import CustomField, FieldScalar, FieldType
from domain.values import EvidenceState, FieldValue, Layer, SubjectKind, ValueKind


class FieldBrief(Out):
    """A value in short. `value` is null when kind is unknown."""

    field: str
    label: str
    type: FieldType | None
    subject_id: str
    kind: ValueKind
    value: FieldScalar | None
    layer: Layer
    evidence_state: EvidenceState
    stale: bool

    @classmethod
    def of(cls, value: FieldValue, fields: Mapping[str, CustomField]) -> "FieldBrief":
        field = fields.get(value.field_id)
        return cls(
            field=value.field_key,
            label=field.label if field else value.field_key,
            type=field.type if field else None,
            subject_id=value.subject_id,
            kind=value.kind,
            value=value.value,
            layer=value.layer,
            evidence_state=value.evidence_state,
            stale=value.stale,
        )


class QuoteOut(Out):
    """Exact words of a redacted turn: offsets in characters, times only for calls."""

    turn: int
    quote: str
    start: int
    end: int
    role: Role
    start_ms: int | None
    end_ms: int | None


class SearchedOut(Out):
    """What a value rests on that nobody said: the words were looked for in turns first to last, of this role (null:
    of everybody), and are not there."""

    first: int
    last: int
    words: list[str]
    role: Role | None


class Provenance(Out):
    """What a value was made by. transcript_hash: of the redacted turns that were read."""

    revision: int
    task_version: str | None
    engine: str | None
    model: str | None
    run_id: str | None
    input_hash: str | None
    transcript_hash: str | None
    turns_read: int
    turns_total: int
    call_group: str | None = Field(
        description="Values of one conversation with the same call group were answered by one call; null: asked alone."
    )
    author: str | None = Field(description="Who set a human value.")


class ValueOut(Out):
    field: str
    label: str
    type: FieldType | None
    subject: SubjectKind
    subject_id: str
    layer: Layer
    kind: ValueKind
    value: FieldScalar | None
    explanation: str
    evidence: list[QuoteOut]
    evidence_state: EvidenceState
    searched: SearchedOut | None
    suspect_turns: list[int] = Field(
        description="Turns that hold instructions to a model. They are no evidence; read them before you rely on it."
    )
    evidence_revision: int | None
    stale: bool
    created_at: datetime
    provenance: Provenance

    @classmethod
    def of(cls, value: FieldValue, fields: Mapping[str, CustomField], hashes: Mapping[int, str]) -> "ValueOut":
        brief = FieldBrief.of(value, fields)
        return cls(
            field=brief.field,
            label=brief.label,
            type=brief.type,
            subject=value.subject,
            subject_id=value.subject_id,
            layer=value.layer,
            kind=value.kind,
            value=value.value,
            explanation=value.explanation,
            evidence=[QuoteOut.model_validate(quote.model_dump()) for quote in value.evidence],
            evidence_state=value.evidence_state,
            searched=SearchedOut.model_validate(value.searched.model_dump()) if value.searched else None,
            suspect_turns=list(value.suspect_turns),
            evidence_revision=value.evidence_revision,
            stale=value.stale,
            created_at=value.created_at,
            provenance=Provenance(
                revision=value.revision,
                task_version=value.task_version,
                engine=value.engine,
                model=value.model,
                run_id=value.run_id,
                input_hash=value.input_hash,
                transcript_hash=hashes.get(value.revision),
                turns_read=value.turns_read,
                turns_total=value.turns_total,
                call_group=value.call_group,
                author=value.author,
            ),
        )


class FieldsOut(Out):
    """All current values. `effective` is what counts (a person's value wins); `layers` holds each layer's own."""

    conversation_id: str
    revision: int
    effective: list[ValueOut]
    layers: list[ValueOut]
