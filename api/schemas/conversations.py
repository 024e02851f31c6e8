"""Conversations as they are shown: never a body, never an original."""

from datetime import datetime
from typing import Self

from pydantic import Field

from api.schemas.common import NoteOut, Out, StageOut
from api.schemas.values import FieldBrief
from domain.conversation import Channel, Conversation, Direction, Leg, MetadataValue, Participant, Role, Stage, Status
from domain.ledger import REASONS, TaskRun
from domain.traces import trace_id
from services.read_conversation import Overview

_SHOWN_BY_NAME = (Role.AGENT, Role.BOT, Role.SYSTEM)


class Links(Out):
    """Where to look further. `temporal` is the run in the Temporal Web UI, for keys with the scope operate."""

    self: str
    explain: str
    words: str = Field(description="The thread, of a call the transcript.")
    fields: str
    executions: str
    temporal: str | None = None


class AcceptedOut(Out):
    """What became of a hand-in. outcome: created, revised (the content changed), unchanged (it was here already).

    started: whether Temporal has taken the run; when it is away the run starts by itself later.
    conversation: only with `wait`, as it is at the end of the waiting.
    """

    id: str
    outcome: str = Field(examples=["created"])
    status: Status
    revision: int
    started: bool
    links: Links
    conversation: "ConversationOut | None" = None


class ParticipantOut(Out):
    """Customers are shown by id and role only: their names are part of the original rendition."""

    id: str
    role: Role
    name: str | None

    @classmethod
    def of(cls, participant: Participant) -> "ParticipantOut":
        return cls(
            id=participant.id,
            role=participant.role,
            name=participant.name if participant.role in _SHOWN_BY_NAME else None,
        )


class LegOut(Out):
    """A stretch of the contact that one agent had; `agent` is a participant's id."""

    number: int
    agent: str
    queue: str | None
    started_at: datetime
    ended_at: datetime | None
    hold_ms: int
    transferred_at: datetime | None

    @classmethod
    def of(cls, leg: Leg) -> "LegOut":
        values = {name: getattr(leg, name) for name in cls.model_fields if name != "agent"}
        return cls(agent=leg.participant_id, **values)


class SkippedOut(Out):
    """A task that did not run, and the rule that decided. A skip is no gap."""

    task: str
    reason: str | None
    words: str
    remedy: str
    detail: str | None

    @classmethod
    def of(cls, run: TaskRun) -> "SkippedOut":
        text = REASONS[run.reason] if run.reason else None
        return cls(
            task=run.task_slug,
            reason=run.reason.value if run.reason else None,
            words=text.words if text else "",
            remedy=text.remedy if text else "",
            detail=run.detail,
        )


class ConversationRow(Out):
    """A row of a list."""

    id: str
    source: str
    external_id: str
    interaction_id: str | None
    channel: Channel
    revision: int
    status: Status
    status_reason: str | None
    searchable: bool
    started_at: datetime
    started_offset_minutes: int = Field(description="Offset from UTC in which the start was given.")
    ended_at: datetime | None
    received_at: datetime
    duration_ms: int | None
    direction: Direction | None
    queue: str | None
    team: str | None
    campaign: str | None
    language: str | None
    tags: list[str]
    dispositions: list[str]

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        return cls.model_validate({name: getattr(conversation, name) for name in ConversationRow.model_fields})


class ConversationOut(ConversationRow):
    """A conversation with what became of it. `fields` holds the effective values; evidence is at `links.fields`."""

    closed: bool
    merged_into: str | None = Field(description="The conversation this one turned out to be a part of.")
    metadata: dict[str, MetadataValue]
    participants: list[ParticipantOut]
    legs: list[LegOut] = Field(description="Of this contact: who had it when.")
    notes: list[NoteOut]
    stages: list[StageOut]
    skipped: list[SkippedOut]
    fields: list[FieldBrief]
    trace_id: str = Field(description="Of its trace, in the operator's tracing backend if there is one.")
    links: Links

    @classmethod
    def of_overview(cls, overview: Overview, links: Links) -> "ConversationOut":
        conversation = overview.conversation
        return cls(
            **{name: getattr(conversation, name) for name in ConversationRow.model_fields},
            closed=conversation.closed,
            merged_into=conversation.merged_into,
            metadata=conversation.metadata,
            participants=[ParticipantOut.of(p) for p in conversation.participants],
            legs=[LegOut.of(leg) for leg in overview.legs],
            notes=[NoteOut(code=n.code, detail=n.detail) for n in conversation.notes],
            stages=[StageOut.of(s) for s in conversation.stages],
            skipped=[SkippedOut.of(run) for run in overview.skipped],
            fields=[FieldBrief.of(value, overview.fields) for value in overview.values],
            trace_id=trace_id(conversation.id),
            links=links,
        )


class RerunIn(Out):
    """Body of a re-run: which tasks (slugs, all when empty), and from which stage: plan, normalize or ingest."""

    tasks: list[str] = Field(default=[], max_length=64)
    from_stage: Stage = Stage.PLAN


class EnteredOut(Out):
    """A run that was made."""

    conversation_id: str
    revision: int
    entry: int
    enter_at: Stage
    links: Links
