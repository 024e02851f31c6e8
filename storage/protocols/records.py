"""What goes into repositories and comes out of them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr, SkipValidation

from domain.audio import AudioFacts
from domain.contracts import ConversationRun, RunRef
from domain.conversation import (
    Channel,
    Conversation,
    Direction,
    Frozen,
    Leg,
    MetadataValue,
    Note,
    Stage,
    Status,
)
from domain.engine import EngineCall
from domain.fields import Owner
from domain.intake import ConversationIn
from domain.ledger import TaskRun
from domain.mapping import Format, SourceMapping
from domain.sources import EventState, ItemOutcome
from domain.turns import Turn
from domain.values import FieldValue


class AcceptOutcome(StrEnum):
    CREATED = "created"
    UNCHANGED = "unchanged"
    REVISED = "revised"


class NewConversation(Frozen):
    """An acceptance: the checked input without its bodies, where they are kept, and the hash that makes a revision.

    based_on: the revision this content was made from, 0 when there was no conversation yet, None when it is not made
    from anything. With it the input says only what is new of the conversation: participants join those that are known
    (`replaces_people`: take their place; of too many the `writers` are kept), and with `fills` what it says is older
    than what is known and fills gaps only. kept_notes stay when later revisions come.
    """

    id: str
    # Checked before its bodies were taken out; without them it would not pass again.
    intake: Annotated[ConversationIn, SkipValidation]
    content_key: str
    content_hash: str
    started_at: datetime
    started_offset_minutes: int
    ended_at: datetime | None
    notes: tuple[Note, ...]
    closed: bool
    kept_notes: tuple[Note, ...] = ()
    based_on: int | None = None
    fills: bool = False
    replaces_people: bool = False
    writers: frozenset[str] = frozenset()
    legs: tuple[Leg, ...] = ()


class Accepted(Frozen):
    """entry: the first one, made together with a conversation that is new."""

    conversation: Conversation
    outcome: AcceptOutcome
    entry: "RunEntry | None" = None


class Recording(Frozen):
    """What `ingest` measured and chose for one revision's audio."""

    conversation_id: str
    revision: int
    facts: AudioFacts
    engine: str
    language: str | None
    language_ground: str


class TranscriptRecord(Frozen):
    """The immutable transcript's row; its words are sealed in the content store under content_key."""

    id: str
    conversation_id: str
    revision: int
    engine: str
    model: str
    language: str | None
    language_ground: str
    segments: int
    duration_ms: int
    speakers_separated: bool
    content_key: str
    content_hash: str
    notes: tuple[Note, ...] = ()


class Rendition(Frozen):
    """The redacted turns of one revision, and where the sealed original and the map that leads back are kept."""

    conversation_id: str
    revision: int
    turns: tuple[Turn, ...]
    content_hash: str
    redactor: str
    detectors: tuple[str, ...]
    names_detected: bool
    language: str | None
    sealed_key: str
    transcript_id: str | None = None
    notes: tuple[Note, ...] = ()


CLOSED = "closed"
"""State of an entry whose run has persisted or was concluded."""


class RunEntry(Frozen):
    """One entry of a conversation into the workflow, and how far it is."""

    run: RunRef
    channel: Channel
    enter_at: Stage
    task_ids: tuple[str, ...]
    state: str  # pending | started | closed
    reason: str | None
    not_before: datetime | None
    created_at: datetime
    transcription: str | None = None

    def start(self) -> ConversationRun:
        return ConversationRun(
            run=self.run,
            channel=self.channel,
            enter_at=self.enter_at,
            transcription=self.transcription,
            task_ids=self.task_ids,
        )


class DeadLetter(Frozen):
    """What failed for good: a run of a conversation, or an event of a source (then there is no conversation)."""

    id: str
    conversation_id: str | None
    revision: int | None
    entry: int | None
    stage: Stage
    error_type: str
    detail: str
    attempts: int
    first_at: datetime
    last_at: datetime
    redriven_at: datetime | None = None
    redriven_entry: int | None = None
    event_id: str | None = None
    source: str | None = None  # of an event: its source's slug


class Upload(Frozen):
    """state: open (waiting for its bytes) | stored. sha256 is of the plain bytes, hex."""

    id: str
    size: int
    sha256: str | None
    media_type: str
    state: str
    content_key: str
    created_at: datetime


class Tenant(Frozen):
    id: str
    slug: str
    name: str
    cell: str
    time_zone: str
    languages: tuple[str, ...]
    partner_id: str | None
    state: str
    external_languages: tuple[str, ...] = ()  # languages without a name detector that may still leave the premises
    allowed_engines: tuple[str, ...] | None = None  # None: every engine the operator configured
    allowed_regions: tuple[str, ...] | None = None  # None: every region; else where engines outside must be
    language_model: str | None = None  # engine of tasks that name none; None: the nearest one configured
    transcription: str | None = None  # engine of calls; None: by language strategy, else the nearest one configured


class Source(Frozen):
    """mapping: the source's own, else that of the preset it names. dedupe_key: a JMESPath expression."""

    id: str
    slug: str
    channel: Channel | None
    time_zone: str | None
    settle_minutes: int
    name: str | None = None
    format: Format = Format.CANONICAL
    mapping: SourceMapping | None = None
    preset: str | None = None
    dedupe_key: str | None = None
    last_seen_at: datetime | None = None
    updated_at: datetime | None = None


class SourceEvent(Frozen):
    """What a source sent in its own form. dedupe: the digest by which the same event is known."""

    id: str
    source_id: str
    dedupe: bytes
    content_key: str
    media_type: str
    size: int
    state: EventState
    attempts: int
    received_at: datetime
    claimed_until: datetime
    finished_at: datetime | None = None
    error_type: str | None = None
    error: str | None = None
    outcomes: tuple[ItemOutcome, ...] = ()


class UsageEvent(Frozen):
    id: str
    task_id: str | None
    engine: str
    at: datetime
    requests: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    thinking_tokens: int
    audio_ms: int
    cost_usd: float
    price_version: str
    cache_write_tokens: int = 0


ChargedCall = tuple[EngineCall, Sequence[UsageEvent]]
"""A call with its usage: an event for each task it was made for."""


class SealedSecret(Frozen):
    """An engine's secret as it is kept: under a tenant's data key (`key_version`) or a master key (`master_key_id`)."""

    owner_id: str
    owner_level: Owner
    name: str
    key_version: int | None = None
    master_key_id: str | None = None
    sealed: bytes = Field(repr=False)


class AnswerRecord(Frozen):
    """What `analyze` leaves for `persist`: a task run's validated values, not yet anybody's truth."""

    task_run: TaskRun
    values: tuple[FieldValue, ...]


class IdempotencyClaim(Frozen):
    """ours: the caller is to answer. Otherwise status and body are what was answered, None while it still is."""

    ours: bool
    status: int | None = None
    body: bytes = b""


class NewApiKey(Frozen):
    """`key` is shown once and stored nowhere."""

    id: str
    key: SecretStr


class Partner(Frozen):
    id: str
    slug: str
    name: str


class KnownFacts(Frozen):
    """What is known of a conversation besides what was said in it."""

    direction: Direction | None = None
    queue: str | None = None
    team: str | None = None
    campaign: str | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    dispositions: tuple[str, ...] = ()
    metadata: dict[str, MetadataValue] = Field(default_factory=dict)


class Known(Frozen):
    """A conversation that is there already. same: it has had the content that was asked for; facts: when it has it
    still, None otherwise."""

    id: str
    channel: Channel
    revision: int
    closed: bool
    same: bool
    facts: KnownFacts | None = None


class ConversationFilter(Frozen):
    """For lists: built-in columns only; richer questions go to search."""

    channel: Channel | None = None
    status: Status | None = None
    source: str | None = None
    started_from: datetime | None = None
    started_to: datetime | None = None


class Page(Frozen):
    """Keyset page on (started_at, id), newest first. `after` is the last row's key of the page before."""

    limit: int = 50
    after: tuple[datetime, str] | None = None


class ApiKeyRecord(Frozen):
    id: str
    tenant_id: str | None  # None: a platform key
    partner_id: str | None
    scopes: tuple[str, ...]
    name: str


class DirtyConversation(Frozen):
    """`mark` changes whenever the conversation is made dirty again: `clear` with an old mark clears nothing.

    attempts: how often this mark was deferred after a failure.
    """

    tenant_id: str
    conversation_id: str
    mark: int
    since: datetime
    attempts: int = 0


class PlatformFigure(Frozen):
    """One number about everybody's conversations. what: backlog (name: tenant id), parked (name: reason),
    dead_letters (name: stage), search_outbox, event_outbox, due. age_seconds: how long the oldest has waited."""

    what: str
    name: str = ""
    number: int
    age_seconds: float = 0.0


class SliceWanted(Frozen):
    """What a process asks of an engine's limits at once.

    request_seconds, token_seconds: how much of a minute one takes, 0 without such a limit. burst: seconds that may be
    caught up on; horizon: seconds that may be given out ahead. correction: tokens by which earlier estimates were too
    low. wanted, busy, most: requests under way that are wished for, that are, and that all processes may have (0: no
    limit); a place that nobody confirms for `ttl` seconds is free again.
    """

    engine_id: str
    holder: str
    requests: int
    tokens: float
    correction: float
    request_seconds: float
    token_seconds: float
    burst: float
    horizon: float
    wanted: int
    busy: int
    most: int
    ttl: float


class Slice(Frozen):
    """Times in seconds by the database's clock. granted: `requests` may go from starts_at on; else nothing was taken.
    state: of the circuit breaker, since changed_at."""

    at: float
    starts_at: float
    granted: bool
    held: int
    failures: int
    state: str
    changed_at: float
