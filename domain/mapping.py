"""How a source's own form becomes the canonical one: data, not code. Evaluated in `engines.formats`.

Expressions are JMESPath. Besides its own functions they may use `root()` (the whole payload), `conversation()` (what
the conversation's own look at), `lookup(list, key, value)`, `split(text, separator)`, `lower(text)` and
`text(value)`. A value that is a number where a text is meant (ids) is written as one.
"""

from enum import StrEnum
from typing import Annotated, Generic, Self, TypeVar

from pydantic import Field, StringConstraints, model_validator

from domain.conversation import Channel, Direction, Frozen, Role
from domain.intake import Automatic, MetadataKey

Expression = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
"""A JMESPath expression; `engines.formats.check_mapping` tells whether it is one."""

ChannelName = Annotated[str, StringConstraints(pattern=r"^(agent|customer|bot|system|mixed)$")]
Word = TypeVar("Word", bound=StrEnum)

MAX_PLACES = 8
"""Places a mapping may take participants or messages from: a ticket's description and its comments are two."""


class Format(StrEnum):
    """What a source sends; the name of its reader in `engines/formats`."""

    CANONICAL = "canonical"
    """The body of `POST /v1/conversations`; nothing to map."""

    JSON = "json"
    """The sender's own JSON, through the source's mapping."""

    TABLE = "table"
    """CSV with a header row, a row a payload, through the source's mapping."""

    EMAIL = "email"
    """RFC 822 messages."""

    RECORDING = "recording"
    """Audio files with a side-car of metadata (JSON, XML or CSV), through the source's mapping."""


class Lookup(Frozen, Generic[Word]):
    """One of our words for a value of the sender's.

    value: where the sender's value is. table: our word for it, whatever its case; one of our own words needs no entry.
    otherwise: for a value that is neither, or missing. Without it an unknown role is `unknown`, with a note; an unknown
    channel is refused.
    """

    value: Expression
    table: Annotated[dict[str, Word], Field(max_length=500)] = Field(default_factory=dict)
    otherwise: Word | None = None


class PeopleMapping(Frozen):
    """Where people are named: `each` gives one object or a list of them, seen from the conversation; the others are
    seen from there. A person without an id is left out."""

    each: Expression
    id: Expression
    role: Role | Lookup[Role] | None = None
    name: Expression | None = None
    address: Expression | None = None


class AttachmentsMapping(Frozen):
    """Seen from a message, and from each attachment. size: bytes."""

    each: Expression
    name: Expression
    media_type: Expression | None = None
    size: Expression | None = None


class MessagesMapping(Frozen):
    """Where messages are: `each` gives one object or a list of them, seen from the conversation; the others are seen
    from there.

    only_if: those for which it is true. author: a person's id; who is not among the participants is added to them, with
    `role`, `name` and `address`. at: see SourceMapping.time_formats. html: the text is HTML and is read as text.
    """

    each: Expression
    only_if: Expression | None = None
    id: Expression | None = None
    author: Expression
    role: Role | Lookup[Role] | None = None
    name: Expression | None = None
    address: Expression | None = None
    at: Expression | None = None
    text: Expression
    subject: Expression | None = None
    html: bool = False
    attachments: AttachmentsMapping | None = None
    automatic: Automatic | Lookup[Automatic] | None = None


class AudioMapping(Frozen):
    """Where a call's audio is, and who speaks on it.

    each: one object a file, seen from the conversation. For recordings it may be left out: every file that came along
    is one, as `{"id": …, "name": "c1.agent.wav", "stem": "c1", "suffix": "agent", "channels": 2}`.
    url: where to pull the file from (JSON). file: the name of a file that came along (recordings).
    role: the speaker of a file with one; channels: the speaker of each channel of a file with several, in order; as a
    Lookup its value is a list. offset_ms: where the file starts in the call; or started_at: when it starts, as a stamp;
    the earliest file then starts the call.
    """

    each: Expression | None = None
    only_if: Expression | None = None
    url: Expression | None = None
    file: Expression | None = None
    role: Role | Lookup[Role] | None = None
    channels: Annotated[tuple[ChannelName, ...], Field(max_length=8)] | Lookup[Role] = ()
    offset_ms: Expression | None = None
    started_at: Expression | None = None

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if self.role is not None and self.channels:
            raise ValueError("give role (one speaker) or channels (one name a channel), not both")
        if self.offset_ms is not None and self.started_at is not None:
            raise ValueError("give offset_ms or started_at, not both")
        return self


class SegmentsMapping(Frozen):
    """Where the stretches of a transcript the sender made are: as MessagesMapping. Times are in ms from the start of
    the call; each stretch has an end or a duration."""

    each: Expression
    only_if: Expression | None = None
    speaker: Expression
    role: Role | Lookup[Role] | None = None
    name: Expression | None = None
    start_ms: Expression
    end_ms: Expression | None = None
    duration_ms: Expression | None = None
    text: Expression

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if (self.end_ms is None) == (self.duration_ms is None):
            raise ValueError("give exactly one of end_ms and duration_ms")
        return self


class SourceMapping(Frozen):
    """JMESPath expressions from the sender's JSON to the canonical form.

    conversations: where the conversations are in a payload: one object or a list. group_by: seen from each of them;
    those with the same value are parts of one conversation, which is then seen as `{"key": value, "items": [parts]}`.
    only_if: a conversation for which it is not true is passed over, which is no error.
    closed: true when no more is to come. adds: the messages join those the conversation has already; False: they are
    all there are.
    metadata: an expression a key; what finds nothing is left out.
    time_formats: how stamps are written that are neither ISO 8601, nor seconds, milliseconds or microseconds since
    1970, nor as in emails: `strptime` patterns, the first that fits. own_addresses: mail addresses and domains of the
    company itself; who writes from one is an agent. EMAIL uses nothing else.
    """

    conversations: Expression = "@"
    group_by: Expression | None = None
    only_if: Expression | None = None
    external_id: Expression | None = None
    channel: Channel | Lookup[Channel] | None = None
    interaction_id: Expression | None = None
    started_at: Expression | None = None
    ended_at: Expression | None = None
    direction: Direction | Lookup[Direction] | None = None
    queue: Expression | None = None
    team: Expression | None = None
    campaign: Expression | None = None
    language: Expression | None = None
    tags: Expression | None = None
    dispositions: Expression | None = None
    metadata: Annotated[dict[MetadataKey, Expression], Field(max_length=100)] = Field(default_factory=dict)
    participants: Annotated[tuple[PeopleMapping, ...], Field(max_length=MAX_PLACES)] = ()
    messages: Annotated[tuple[MessagesMapping, ...], Field(max_length=MAX_PLACES)] = ()
    audio: AudioMapping | None = None
    segments: Annotated[tuple[SegmentsMapping, ...], Field(max_length=MAX_PLACES)] = ()
    closed: Expression | None = None
    adds: bool = False
    time_formats: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=2, max_length=60)], ...], Field(max_length=8)
    ] = ()
    own_addresses: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=3, max_length=320)], ...], Field(max_length=1000)
    ] = ()

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if sum(1 for body in (self.messages, self.audio, self.segments) if body) > 1:
            raise ValueError("give one of messages, audio and segments")
        return self
