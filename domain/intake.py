"""The canonical form in which a conversation is handed in: the body of `POST /v1/conversations`.

Structure is checked here, before anything is stored; what only decoding can tell is checked by `ingest`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from domain.conversation import (
    Channel,
    Direction,
    Frozen,
    MetadataValue,
    Participant,
    Role,
    ShortText,
    Slug,
)
from domain.ids import IdStr

MAX_MESSAGES = 20_000
MAX_MESSAGE_CHARACTERS = 1_048_576
MAX_PARTICIPANTS = 200
MAX_METADATA_KEYS = 100
MAX_AUDIO_FILES = 8
MAX_ATTACHMENTS = 100
MAX_LEGS = 50

ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=400, strip_whitespace=True)]
MetadataKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
LanguageTag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Stamp = Annotated[str, StringConstraints(min_length=8, max_length=40)]


class Automatic(StrEnum):
    """Why nobody wrote a message by hand."""

    AUTO_REPLY = "auto_reply"
    MAILING_LIST = "mailing_list"


class AttachmentIn(Frozen):
    """A file that came with a message: named, not kept."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=400)]
    media_type: Annotated[str, StringConstraints(max_length=200)] = "application/octet-stream"
    size: int | None = Field(default=None, ge=0)


class MessageIn(Frozen):
    """One message as the sender gives it. `at` is ISO 8601; without an offset the source's time zone is assumed
    and a note says so; without a time the time of receipt is used and a note says so. `author` is a participant's id.
    `automatic`: nobody wrote it by hand.
    """

    id: Annotated[str, StringConstraints(min_length=1, max_length=400)] | None = None
    author: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    at: Stamp | None = None
    text: Annotated[str, StringConstraints(max_length=MAX_MESSAGE_CHARACTERS)]
    subject: Annotated[str, StringConstraints(max_length=2000)] | None = None
    attachments: Annotated[tuple[AttachmentIn, ...], Field(max_length=MAX_ATTACHMENTS)] = ()
    automatic: Automatic | None = None

    def role_among(self, roles: Mapping[str, Role]) -> Role:
        """Whose words these are. roles: of the participants by id. An automatic answer is the system's: an
        out-of-office notice tells nothing about the person in whose name it is sent. What a mailing list brings keeps
        its author's role, because people write to lists."""
        if self.automatic is Automatic.AUTO_REPLY:
            return Role.SYSTEM
        return roles.get(self.author, Role.UNKNOWN)


class AudioIn(Frozen):
    """One audio file: an upload's id or an address to pull from, and who speaks on it.

    `role` for a file with one speaker; `channels` names the speaker of each channel of a file with several, or
    ["mixed"] for one channel with everybody on it. `offset_ms`: where the file starts in the call.
    """

    id: IdStr | None = None
    url: Annotated[str, StringConstraints(pattern=r"^https?://", max_length=2000)] | None = None
    role: Role | None = None
    channels: tuple[Annotated[str, StringConstraints(pattern=r"^(agent|customer|bot|system|mixed)$")], ...] = ()
    offset_ms: int = Field(default=0, ge=0, le=86_400_000)

    @model_validator(mode="after")
    def _one_place_one_meaning(self) -> Self:
        if (self.id is None) == (self.url is None):
            raise ValueError("give exactly one of id (an upload) and url")
        if self.role is not None and self.channels:
            raise ValueError("give role (one speaker) or channels (one name a channel), not both")
        return self


class LegIn(Frozen):
    """A stretch of a contact that one agent had: `agent` is a participant's id, stamps are as in messages.

    hold_ms: how long the customer was on hold in it; transferred_at: when it was handed on to the next leg.
    """

    agent: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    queue: ShortText | None = None
    started_at: Stamp
    ended_at: Stamp | None = None
    hold_ms: int = Field(default=0, ge=0, le=86_400_000)
    transferred_at: Stamp | None = None


class WordIn(Frozen):
    text: Annotated[str, StringConstraints(max_length=200)]
    start_ms: int = Field(ge=0)
    end_ms: int = Field(ge=0)
    confidence: float | None = Field(default=None, ge=0, le=1)


class SegmentIn(Frozen):
    """A stretch of a ready-made transcript. `speaker` is a participant's id."""

    speaker: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    start_ms: int = Field(ge=0)
    end_ms: int = Field(ge=0)
    text: Annotated[str, StringConstraints(max_length=200_000)]
    language: LanguageTag | None = None
    words: tuple[WordIn, ...] = ()

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end_ms < self.start_ms:
            raise ValueError("end_ms is before start_ms")
        return self


class TranscriptIn(Frozen):
    """A transcript somebody else made; stored as it is, with its engine named."""

    engine: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "supplied"
    model: Annotated[str, StringConstraints(max_length=100)] = "supplied"
    language: LanguageTag | None = None
    segments: Annotated[tuple[SegmentIn, ...], Field(min_length=1, max_length=MAX_MESSAGES)]


class ConversationIn(Frozen):
    """Body of `POST /v1/conversations`. Exactly one of messages, audio, transcript; the last two for calls only."""

    external_id: ExternalId
    channel: Channel
    source: Slug = "api"
    interaction_id: ShortText | None = None
    started_at: Stamp | None = None
    ended_at: Stamp | None = None
    direction: Direction | None = None
    queue: ShortText | None = None
    team: ShortText | None = None
    campaign: ShortText | None = None
    language: LanguageTag | None = None
    tags: Annotated[tuple[ShortText, ...], Field(max_length=100)] = ()
    dispositions: Annotated[tuple[ShortText, ...], Field(max_length=100)] = ()
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=MAX_METADATA_KEYS)] = Field(
        default_factory=dict
    )
    participants: Annotated[tuple[Participant, ...], Field(max_length=MAX_PARTICIPANTS)] = ()
    legs: Annotated[tuple[LegIn, ...], Field(max_length=MAX_LEGS)] = ()
    closed: bool | None = None
    messages: Annotated[tuple[MessageIn, ...], Field(max_length=MAX_MESSAGES)] | None = None
    audio: Annotated[tuple[AudioIn, ...], Field(min_length=1, max_length=MAX_AUDIO_FILES)] | None = None
    transcript: TranscriptIn | None = None

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        bodies = [n for n in ("messages", "audio", "transcript") if getattr(self, n) is not None]
        if len(bodies) != 1:
            raise ValueError("give exactly one of messages, audio and transcript")
        if self.channel is Channel.CALL and self.messages is not None:
            raise ValueError("a call has audio or a transcript, not messages")
        if self.channel is not Channel.CALL and self.messages is None:
            raise ValueError(f"a conversation of channel {self.channel.value} has messages")
        return self

    @model_validator(mode="after")
    def _known_authors(self) -> Self:
        ids = [p.id for p in self.participants]
        if len(set(ids)) != len(ids):
            raise ValueError("two participants have the same id")
        known = set(ids)
        for position, message in enumerate(self.messages or ()):
            if message.author not in known:
                raise ValueError(f"messages[{position}].author is not one of the participants")
        for position, segment in enumerate(self.transcript.segments if self.transcript else ()):
            if segment.speaker not in known:
                raise ValueError(f"transcript.segments[{position}].speaker is not one of the participants")
        for position, leg in enumerate(self.legs):
            if leg.agent not in known:
                raise ValueError(f"legs[{position}].agent is not one of the participants")
        return self


class MessagesIn(Frozen):
    """Body of `POST /v1/conversations/{id}/messages`: adds to a thread, which makes the next revision."""

    messages: Annotated[tuple[MessageIn, ...], Field(min_length=1, max_length=MAX_MESSAGES)]
    participants: Annotated[tuple[Participant, ...], Field(max_length=MAX_PARTICIPANTS)] = ()
    closed: bool | None = None


class ConversationPatch(Frozen):
    """Body of `PATCH /v1/conversations/{id}`: late facts. No new revision. A null metadata value removes the key."""

    ended_at: AwareDatetime | None = None
    direction: Direction | None = None
    queue: ShortText | None = None
    team: ShortText | None = None
    campaign: ShortText | None = None
    language: LanguageTag | None = None
    tags: Annotated[tuple[ShortText, ...], Field(max_length=100)] | None = None
    dispositions: Annotated[tuple[ShortText, ...], Field(max_length=100)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue | None], Field(max_length=MAX_METADATA_KEYS)] | None = None
    participants: Annotated[tuple[Participant, ...], Field(max_length=MAX_PARTICIPANTS)] | None = None
