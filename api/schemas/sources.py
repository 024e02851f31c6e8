"""Sources as they are configured, how they fare, and what became of what they sent."""

from datetime import datetime

from pydantic import Field

from api.problems import FieldError
from api.schemas.common import NoteOut, Out
from domain.arrivals import Arrival
from domain.conversation import Channel
from domain.intake import ConversationIn
from domain.mapping import Format, SourceMapping
from domain.sources import EventState, ItemOutcome, SourceHealth
from services.read_events import ReadItem
from services.receive_events import EventReceipt
from services.sources import SeenSource

SHOWN = 100
"""Items shown of a body that is tried out."""


class EventCounts(Out):
    accepted: int = Field(description="Kept, and not read to their end yet.")
    received: int
    dead_lettered: int = Field(description="Something of them could not be read.")


class SourceErrorOut(Out):
    """Why the newest event that could not be read could not. at: when it came."""

    at: datetime
    type: str
    detail: str


class SourceHealthOut(Out):
    """last_seen_at is exact to the minute; events are those of the last 24 hours."""

    last_seen_at: datetime | None
    events: EventCounts
    last_error: SourceErrorOut | None

    @classmethod
    def of(cls, last_seen_at: datetime | None, health: SourceHealth) -> "SourceHealthOut":
        error = None
        if health.last_error_at is not None:
            error = SourceErrorOut(
                at=health.last_error_at, type=health.last_error_type or "", detail=health.last_error or ""
            )
        counts = EventCounts(accepted=health.accepted, received=health.received, dead_lettered=health.dead_lettered)
        return cls(last_seen_at=last_seen_at, events=counts, last_error=error)


class SourceOut(Out):
    id: str
    slug: str
    name: str | None
    format: Format
    mapping: SourceMapping | None
    preset: str | None
    channel: Channel | None
    time_zone: str | None
    settle_minutes: int
    dedupe_key: str | None
    updated_at: datetime | None
    health: SourceHealthOut

    @classmethod
    def of(cls, seen: SeenSource) -> "SourceOut":
        shown = {name: getattr(seen.source, name) for name in cls.model_fields if name != "health"}
        return cls(**shown, health=SourceHealthOut.of(seen.source.last_seen_at, seen.health))


class SourceListOut(Out):
    items: list[SourceOut]


class ItemOut(Out):
    """What became of one item: a conversation (outcome: created, revised or unchanged), or what is wrong with it."""

    position: int
    outcome: str | None = Field(examples=["created"])
    conversation_id: str | None
    revision: int | None
    errors: list[FieldError]

    @classmethod
    def of(cls, outcome: ItemOutcome) -> "ItemOut":
        return cls(
            position=outcome.position,
            outcome=outcome.outcome,
            conversation_id=outcome.conversation_id,
            revision=outcome.revision,
            errors=[FieldError(field=field, reason=reason) for field, reason in outcome.problems],
        )


class EventOut(Out):
    """state: accepted (kept; it is read by itself later), received, or dead_lettered (something of it could not be
    read: it is kept, and sending it again does not help). repeated: it was here already."""

    id: str
    state: EventState
    repeated: bool
    received_at: datetime
    size: int
    items: list[ItemOut]
    dead_letter_id: str | None

    @classmethod
    def of(cls, receipt: EventReceipt) -> "EventOut":
        event = receipt.event
        return cls(
            id=event.id,
            state=event.state,
            repeated=receipt.repeated,
            received_at=event.received_at,
            size=event.size,
            items=[ItemOut.of(outcome) for outcome in event.outcomes],
            dead_letter_id=receipt.dead_letter_id,
        )


class ArrivalOut(Out):
    """A conversation, or a part of one. adds: its messages join those that are known; links: the ids of messages by
    which its thread is known."""

    conversation: ConversationIn
    adds: bool
    links: list[str]
    notes: list[NoteOut]

    @classmethod
    def of(cls, arrival: Arrival) -> "ArrivalOut":
        return cls(
            conversation=arrival.conversation,
            adds=arrival.adds,
            links=list(arrival.links),
            notes=[NoteOut(code=note.code, detail=note.detail) for note in arrival.notes],
        )


class TriedItemOut(Out):
    """No arrivals and no errors: the mapping passes the item over."""

    position: int
    arrivals: list[ArrivalOut]
    errors: list[FieldError]

    @classmethod
    def of(cls, item: ReadItem) -> "TriedItemOut":
        errors = []
        if item.error is not None:
            errors = [FieldError(field=p.field, reason=p.reason) for p in item.error.problems]
            errors = errors or [FieldError(field="body", reason=item.error.message)]
        return cls(position=item.position, arrivals=[ArrivalOut.of(a) for a in item.arrivals], errors=errors)


class TriedOut(Out):
    """What a source would make of a body. Nothing of it was stored. Of many items the first are shown."""

    items: list[TriedItemOut]
    items_total: int
    conversations: int
    failed: int

    @classmethod
    def of(cls, items: "list[ReadItem]") -> "TriedOut":
        return cls(
            items=[TriedItemOut.of(item) for item in items[:SHOWN]],
            items_total=len(items),
            conversations=sum(len(item.arrivals) for item in items if item.error is None),
            failed=sum(item.error is not None for item in items),
        )


class SourceRedrivenOut(Out):
    """Events that were read again; `remaining` more are open, for another call."""

    received: int
    failed: int
    remaining: int
