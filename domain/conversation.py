"""Conversation: one call, chat, email thread or ticket, and the words for its states."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from domain.ids import IdStr, TenantIdStr


class Frozen(BaseModel):
    """Base of every value that crosses a room: immutable, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Channel(StrEnum):
    CALL = "call"
    CHAT = "chat"
    EMAIL = "email"
    TICKET = "ticket"


class Role(StrEnum):
    """`unknown`: somebody spoke and it is not known who (mono audio without diarization). Never a guess."""

    AGENT = "agent"
    CUSTOMER = "customer"
    BOT = "bot"
    SYSTEM = "system"
    UNKNOWN = "unknown"

    def may_be(self, wanted: "Role | None") -> bool:
        """Whether words of this role can stand for what `wanted` said: the same role, or not known whose."""
        return wanted is None or self is wanted or self is Role.UNKNOWN


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Status(StrEnum):
    """Where a conversation is. `searchable` is a separate fact."""

    RECEIVED = "received"
    PROCESSING = "processing"
    COMPLETED = "completed"
    COMPLETED_WITH_GAPS = "completed_with_gaps"
    PARKED = "parked"
    FAILED = "failed"


class Stage(StrEnum):
    """The stages; the same word for module, activity, metric label, span and runbook."""

    INGEST = "ingest"
    TRANSCRIBE = "transcribe"
    NORMALIZE = "normalize"
    PLAN = "plan"
    ANALYZE = "analyze"
    PERSIST = "persist"
    INDEX = "index"
    DELIVER = "deliver"


class StageStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    PARKED = "parked"
    FAILED = "failed"


class Lane(StrEnum):
    """Live traffic goes before backfills; Temporal's priority key and the policies follow the lane."""

    LIVE = "live"
    BACKFILL = "backfill"


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
ShortText = Annotated[str, StringConstraints(max_length=200)]
MetadataValue = Annotated[str, StringConstraints(max_length=2000)] | int | float | bool


class Participant(Frozen):
    """Someone who takes part. `id` is the sender's own, unique within the conversation."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    role: Role
    name: ShortText | None = None
    address: Annotated[str, StringConstraints(max_length=320)] | None = None


class StageState(Frozen):
    """What an operator sees of one stage of one run."""

    name: Stage
    state: StageStatus
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    last_error: str | None = None


class Note(Frozen):
    """Something that was guessed or left out, said in words: `code` is stable, `detail` is for people."""

    code: Annotated[str, StringConstraints(max_length=64)]
    detail: Annotated[str, StringConstraints(max_length=500)]


class Leg(Frozen):
    """A stretch of a contact that one agent had. participant_id: the agent as the sender names them."""

    number: int = Field(ge=1)
    participant_id: str
    queue: str | None = None
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    hold_ms: int = 0
    transferred_at: AwareDatetime | None = None


class Conversation(Frozen):
    """The row as everything else sees it: no body, no original text.

    merged_into: the conversation this one turned out to be a part of; it stays readable and is written no more.
    """

    tenant_id: TenantIdStr
    id: IdStr
    source: Slug
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=400)]
    interaction_id: str | None = None
    channel: Channel
    revision: int = Field(ge=1)
    status: Status
    status_reason: str | None = None
    searchable: bool = False
    started_at: AwareDatetime
    started_offset_minutes: int = 0
    ended_at: AwareDatetime | None = None
    received_at: AwareDatetime
    duration_ms: int | None = None
    direction: Direction | None = None
    queue: str | None = None
    team: str | None = None
    campaign: str | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    dispositions: tuple[str, ...] = ()
    metadata: dict[str, MetadataValue] = Field(default_factory=dict)
    participants: tuple[Participant, ...] = ()
    notes: tuple[Note, ...] = ()
    stages: tuple[StageState, ...] = ()
    closed: bool = True
    merged_into: IdStr | None = None
    content_key: str | None = None
    content_hash: str | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime
