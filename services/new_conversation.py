"""From checked input to what is stored: identity, span, hash, and whether more is to come."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.canonical import canonical_turns_hash
from domain.conversation import Note
from domain.errors import InvalidInput
from domain.ids import derived_id
from domain.intake import ConversationIn
from domain.times import Stamp, StampContext, read_stamp
from services.legs import legs_of
from storage.protocols import NewConversation, Source


def conversation_id(tenant_id: str, intake: ConversationIn) -> str:
    """The same natural key always gives the same id, whoever wins a race."""
    return derived_id("conversation", tenant_id, intake.source, intake.external_id)


def new_conversation(
    tenant_id: str,
    intake: ConversationIn,
    content_key: str,
    context: StampContext,
    hashes: Mapping[str, str],
    *,
    closes_at_once: bool,
) -> NewConversation:
    """closes_at_once: whether the source asks for no quiet, when the sender does not say whether more is to come.

    Raises InvalidInput when a stamp cannot be read, or the end is before the start.
    """
    content_hash = canonical_turns_hash(intake, hashes)  # first: it names the message whose stamp is none
    start, end, notes = _span(intake, context)
    return NewConversation(
        id=conversation_id(tenant_id, intake),
        intake=intake.model_copy(update={"messages": None, "audio": None, "transcript": None}),
        content_key=content_key,
        content_hash=content_hash,
        started_at=start.at,
        started_offset_minutes=start.offset_minutes,
        ended_at=end,
        notes=notes,
        closed=intake.closed if intake.closed is not None else closes_at_once,
        legs=legs_of(intake, context),
    )


def require_channel(source: Source, intake: ConversationIn) -> None:
    """Raises InvalidInput when the source is for another channel."""
    if source.channel is not None and source.channel is not intake.channel:
        raise InvalidInput.of("channel", f"the source {source.slug} is for {source.channel.value}")


def _span(intake: ConversationIn, context: StampContext) -> tuple[Stamp, datetime | None, tuple[Note, ...]]:
    """Start and end of the conversation, and what had to be guessed. Without a stated start: the first message's."""
    stamps = [m.at for m in intake.messages or () if m.at is not None]
    first = intake.started_at
    if first is None and stamps:
        read = [read_stamp(at, context, field="messages.at") for at in stamps]
        start = min(read, key=lambda stamp: stamp.at)
    else:
        start = read_stamp(first, context, field="started_at")
    if intake.ended_at is None:
        return start, None, start.notes
    end = read_stamp(intake.ended_at, context, field="ended_at")
    if end.at < start.at:
        raise InvalidInput.of("ended_at", "is before started_at")
    return start, end.at, _distinct((*start.notes, *end.notes))


def _distinct(notes: Sequence[Note]) -> tuple[Note, ...]:
    return tuple(dict.fromkeys(notes))
