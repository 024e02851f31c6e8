"""Field values and their evidence."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from domain.conversation import Frozen, Role
from domain.fields import FieldKey, FieldScalar
from domain.ids import IdStr, TenantIdStr


class ValueKind(StrEnum):
    STATED = "stated"
    INFERRED = "inferred"
    UNKNOWN = "unknown"


class Layer(StrEnum):
    """`effective` is derived: human wins over ai."""

    AI = "ai"
    HUMAN = "human"
    EFFECTIVE = "effective"


class SubjectKind(StrEnum):
    CONVERSATION = "conversation"
    PARTICIPANT = "participant"


class EvidenceState(StrEnum):
    """verified: every quote was found and can carry weight. searched: the value rests on words that nobody said, and
    they stand nowhere in the turns that were searched. unsupported: some quote was not found or is too common, or words
    said to be absent are there. none: there is no quote (an `unknown`, or a value measured by code)."""

    VERIFIED = "verified"
    SEARCHED = "searched"
    UNSUPPORTED = "unsupported"
    NONE = "none"


class Quote(Frozen):
    """Exact words of a redacted turn. start/end are character offsets in that turn; times only for calls."""

    turn: int = Field(ge=1)
    quote: Annotated[str, StringConstraints(max_length=500)]
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    role: Role
    start_ms: int | None = None
    end_ms: int | None = None


class Searched(Frozen):
    """Where words were looked for and not found: turns first to last, and whose turns (None: everybody's)."""

    first: int = Field(ge=1)
    last: int = Field(ge=1)
    words: tuple[Annotated[str, StringConstraints(max_length=80)], ...]
    role: Role | None = None


class FieldValue(Frozen):
    """One value of one field of one subject in one layer, with all of its provenance.

    `value` is None exactly when kind is unknown. turns_read of turns_total says how much of a long input was read.
    searched: the ground of a value that rests on an absence. call_group: values of one conversation with the same one
    were answered by one call; None: the task was asked alone. suspect_turns: turns that hold instructions to a model;
    whoever reads the value should look at them.
    """

    id: IdStr
    tenant_id: TenantIdStr
    conversation_id: IdStr
    revision: int
    subject: SubjectKind = SubjectKind.CONVERSATION
    subject_id: str
    field_id: IdStr
    field_key: FieldKey
    layer: Layer = Layer.AI
    kind: ValueKind
    value: FieldScalar | None
    explanation: str = ""
    evidence: tuple[Quote, ...] = ()
    evidence_state: EvidenceState = EvidenceState.NONE
    searched: Searched | None = None
    evidence_revision: int | None = None
    task_id: IdStr | None = None
    task_version: str | None = None
    engine: str | None = None
    model: str | None = None
    input_hash: str | None = None
    run_id: IdStr | None = None
    call_group: str | None = None
    turns_read: int = 0
    turns_total: int = 0
    suspect_turns: tuple[int, ...] = ()
    stale: bool = False
    author: str | None = None
    created_at: AwareDatetime
