"""What storage promises: one unit of work per tenant, and the content store.

    async with database.tenant_tx(tenant_id) as tx:
        conversation = await tx.conversations.get(conversation_id)

`tenant_tx` is the only place that sets the tenant. Every repository reached through it is bound to that tenant:
its SQL carries the tenant predicate, and row-level security stands behind it. Leaving the block commits; an
exception rolls back. Repositories raise NotFound, Conflict, Superseded; a lost database is Unavailable.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import Field, SecretStr, SkipValidation

from domain.audio import AudioFacts
from domain.contracts import ConversationRun, ImportRef, RunRef
from domain.conversation import (
    Channel,
    Conversation,
    Direction,
    Frozen,
    Lane,
    Leg,
    MetadataValue,
    Note,
    Stage,
    StageState,
    StageStatus,
    Status,
)
from domain.engine import EngineCall, EngineConfig
from domain.fields import CustomField, Owner
from domain.imports import Analysis, Import, ImportRow, RowOutcome
from domain.intake import ConversationIn, ConversationPatch
from domain.ledger import TaskRun
from domain.mapping import Format, SourceMapping
from domain.people import NewUser, SessionRecord, User, UserChange
from domain.rollups import Counted, Dimension, Narrowing, Period
from domain.sources import EventState, ItemOutcome, SourceHealth
from domain.tasks import AITask, EffectiveTask, TaskListing, TaskSpec, TaskVersion
from domain.tenants import NewPartner, NewTenant, TenantChange
from domain.turns import Turn
from domain.values import FieldValue, Layer

# -- what goes in and out ---------------------------------------------------------------------------------


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


# -- repositories, bound to one tenant --------------------------------------------------------------------


class Conversations(Protocol):
    async def accept(self, new: NewConversation, lane: Lane | None = None) -> Accepted:
        """Insert, with an entry at `ingest` when a lane is given; or find by (source, external_id): a content_hash
        this conversation has had (a late repetition of an older revision too) → UNCHANGED (nothing written); another
        → REVISED (next revision, status `received`, human values marked stale later by persist). Safe when called 50
        times in parallel with the same key. Conflict when the key belongs to a conversation of another channel,
        MergedAway when it is a part of another one now, ChangedMeanwhile when the revision is not the one that
        `based_on` names: nothing is written then."""
        ...

    async def get(self, conversation_id: str) -> Conversation: ...
    async def find(self, source: str, external_id: str) -> Conversation | None: ...
    async def list(self, where: ConversationFilter, page: Page) -> Sequence[Conversation]: ...
    async def patch(self, conversation_id: str, patch: ConversationPatch) -> Conversation: ...
    async def set_status(self, conversation_id: str, status: Status, reason: str | None = None) -> None: ...
    async def set_closed(self, conversation_id: str) -> None: ...
    async def set_searchable(self, conversation_ids: Sequence[str]) -> None: ...
    async def set_measured(
        self,
        conversation_id: str,
        *,
        ended_at: datetime | None = None,
        language: str | None = None,
        duration_ms: int | None = None,
        notes: Sequence[Note] = (),
    ) -> None: ...


class Threads(Protocol):
    """Which messages lead to which conversation, and conversations that turned out to be one."""

    async def find(self, source: str, links: Sequence[bytes]) -> Sequence[str]:
        """Ids of the conversations that know one of the links."""
        ...

    async def lock(self, source: str, links: Sequence[bytes]) -> None:
        """Until the transaction ends nobody else who locks one of these links goes on."""
        ...

    async def link(self, source: str, links: Sequence[bytes], conversation_id: str) -> None:
        """Links that are known already stay."""
        ...

    async def merge(self, gone: Sequence[Conversation], into: Conversation) -> None:
        """Conversations become parts of another: their links go over, and what is known of them where the other says
        nothing; their runs and dead letters close. Raises ChangedMeanwhile when one is not as given any more."""
        ...


class SourceEvents(Protocol):
    async def put(self, event: SourceEvent) -> SourceEvent:
        """This one; or the one that is here already, by source and `dedupe`."""
        ...

    async def get(self, event_id: str) -> SourceEvent: ...
    async def claim(self, event_id: str, seconds: float, *, again: bool = False) -> SourceEvent | None:
        """Take an accepted event to read it, one more attempt; with `again` also one that was dead-lettered. None when
        somebody else reads it, or there is nothing to do."""
        ...

    async def release(self, event_id: str, seconds: float) -> None:
        """Give a claim back: the event is due after so many seconds."""
        ...

    async def finish(self, event: SourceEvent) -> None:
        """Writes state, outcomes and error of an event that was read."""
        ...

    async def health(self, source_id: str | None = None) -> Sequence[SourceHealth]:
        """Of one source, or of every source."""
        ...


class Bulk(Protocol):
    """Many conversations in one round trip each."""

    async def insert(self, new: Sequence[NewConversation], lane: Lane) -> frozenset[str]:
        """Those that are new are inserted, each with its first entry; answers their ids. The others are left alone."""
        ...

    async def known(self, keys: Sequence[tuple[str, str, str]]) -> Sequence[Known | None]:
        """What is there under each (source, external_id), and whether it has had the content of this hash."""
        ...


class Legs(Protocol):
    async def put(self, conversation_id: str, source: str, legs: Sequence[Leg]) -> None:
        """In the place of those that were there."""
        ...

    async def of(self, conversation_id: str) -> Sequence[Leg]: ...


class Imports(Protocol):
    async def create(self, new: Import, actor: str) -> None: ...
    async def get(self, import_id: str) -> Import: ...
    async def locked(self, import_id: str) -> Import:
        """As `get`; nobody else may change it until the transaction ends."""
        ...

    async def list(self, page: Page) -> Sequence[Import]:
        """Newest first; `page.after` is (created_at, id)."""
        ...

    async def save(self, changed: Import) -> None:
        """State, entry and checkpoint. It counts as heard of just now."""
        ...

    async def add_rows(self, import_id: str, rows: Sequence[ImportRow]) -> None: ...
    async def rows(
        self, import_id: str, *, outcome: RowOutcome | None, after: tuple[int, int] | None, limit: int
    ) -> Sequence[ImportRow]:
        """In the file's order; `after` is the last (number, part) of the page before."""
        ...

    async def analysis(self, import_id: str) -> Analysis:
        """Statuses of the conversations that the import made or revised."""
        ...


class Runs(Protocol):
    """Entries, the lease, and stage states."""

    async def enter(
        self,
        conversation_id: str,
        revision: int,
        *,
        enter_at: Stage,
        lane: Lane,
        channel: Channel,
        reason: str,
        task_ids: Sequence[str] = (),
        not_before: datetime | None = None,
        transcription: str | None = None,
    ) -> RunEntry:
        """The next entry of the revision, state `pending`; numbers start at 1 with each revision. A pending entry of
        an older revision closes. Raises Superseded when the conversation has a newer revision."""
        ...

    async def get(self, run: RunRef) -> RunEntry: ...
    async def list(self, conversation_id: str) -> Sequence[RunEntry]: ...
    async def started(self, run: RunRef, temporal_run_id: str) -> None: ...
    async def close(self, run: RunRef) -> None: ...
    async def postpone(self, run: RunRef, not_before: datetime) -> None: ...

    async def hold(
        self,
        run: RunRef,
        stage: Stage | None = None,
        state: StageStatus = StageStatus.RUNNING,
        *,
        attempt: int = 1,
    ) -> None:
        """Take or confirm the conversation's lease, and mark the state of a stage if one is given; holds the
        conversation's row until the transaction ends. Raises Superseded when there is a newer revision, or a newer
        entry has held it."""
        ...

    async def stage(
        self, run: RunRef, stage: Stage, state: StageStatus, *, attempt: int = 1, error: str | None = None
    ) -> None: ...
    async def stages(self, conversation_id: str, revision: int) -> Sequence[StageState]:
        """The newest state of each stage over all entries of the revision, in stage order."""
        ...

    async def backlog_age_seconds(self) -> float:
        """How long the oldest conversation of the live lane has waited that no run has begun yet; 0 when none waits."""
        ...

    async def open_paced(self) -> int:
        """How many runs of the backfill lane have been started and have not ended."""
        ...

    async def paced(self, limit: int) -> Sequence[RunEntry]:
        """Entries of the backfill lane that may be started now, oldest first."""
        ...


class Renditions(Protocol):
    async def put_recording(self, recording: Recording) -> None: ...
    async def recording(self, conversation_id: str, revision: int) -> Recording | None: ...
    async def put_transcript(self, transcript: TranscriptRecord) -> None: ...
    async def transcript(self, conversation_id: str, revision: int) -> TranscriptRecord | None: ...
    async def put(self, rendition: Rendition) -> None: ...
    async def get(self, conversation_id: str, revision: int) -> Rendition: ...
    async def find(self, conversation_id: str, revision: int) -> Rendition | None: ...


class Catalog(Protocol):
    """Fields, tasks and engines as the tenant sees them: its own and its ancestors'."""

    async def fields(self) -> Sequence[CustomField]: ...
    async def effective_tasks(self) -> Sequence[EffectiveTask]: ...
    async def task(self, slug: str) -> AITask | None: ...
    async def tasks(self) -> Sequence[TaskListing]:
        """Every task the tenant sees, in the order of their slugs."""
        ...

    async def engines(self) -> Sequence[EngineConfig]: ...
    async def sources(self) -> Sequence[Source]: ...
    async def source(self, slug: str) -> Source:
        """The tenant's source, made with defaults on first sight."""
        ...

    async def find_source(self, slug_or_id: str, *, lock: bool = False) -> Source:
        """Raises NotFound. `lock`: nobody else changes it until the transaction ends."""
        ...

    async def saw_source(self, source: Source) -> None:
        """It has sent something just now; remembered to the minute."""
        ...

    async def put_source(self, source: Source) -> Source:
        """By slug; a source that exists keeps its id."""
        ...

    # Written at the tenant's own level; Forbidden for a level above it: see Provisioning.
    async def put_field(self, field: CustomField) -> None: ...
    async def put_task(self, task: AITask) -> None: ...
    async def put_version(self, version: TaskVersion) -> None: ...
    async def put_engine(self, engine: EngineConfig) -> None: ...
    async def put_engine_secret(self, secret: SealedSecret) -> None:
        """The tenant's own, in the place of one of the same name. It never comes back through here."""
        ...

    async def activate(self, task_id: str, version_id: str, override: TaskSpec | None = None) -> None:
        """Conflict when another active task fills one of its fields, or the version is not published."""
        ...

    async def deactivate(self, task_id: str) -> None: ...


class Ledger(Protocol):
    async def plan(self, runs: Sequence[TaskRun]) -> None:
        """Insert the rows of one entry; a repeated plan of the same entry changes nothing."""
        ...

    async def get(self, task_run_id: str) -> TaskRun: ...
    async def of_entry(self, run: RunRef) -> Sequence[TaskRun]: ...
    async def of_conversation(self, conversation_id: str, revision: int) -> Sequence[TaskRun]: ...
    async def record_answers(self, records: Sequence[AnswerRecord]) -> None:
        """The runs' outcomes (ran, failed, parked) with their validated values, kept for `persist`. Repeatable."""
        ...

    async def answers(self, run: RunRef) -> Sequence[AnswerRecord]: ...
    async def calls_of(self, conversation_id: str) -> Sequence[EngineCall]:
        """Every call recorded for the conversation, failed ones too."""
        ...

    async def find_call(self, request_hash: str) -> EngineCall | None: ...
    async def record_call(self, call: EngineCall, conversation_id: str, usage: Sequence[UsageEvent] = ()) -> EngineCall:
        """Insert with its usage, or answer the one already recorded under the same request_hash with outcome
        `answered`: that brings no second usage."""
        ...

    async def record_calls(self, calls: Sequence[ChargedCall], conversation_id: str) -> None:
        """Insert several at once; those already recorded stay as they are."""
        ...


class Values(Protocol):
    async def put(self, values: Sequence[FieldValue]) -> None:
        """Replaces the current values of the same subject, field and layer; older ones stay readable."""
        ...

    async def current(self, conversation_id: str, layer: Layer | None = None) -> Sequence[FieldValue]: ...
    async def effective(self, conversation_ids: Sequence[str]) -> Sequence[FieldValue]:
        """The effective values of several conversations."""
        ...

    async def history(self, conversation_id: str, field_key: str) -> Sequence[FieldValue]: ...
    async def mark_human_stale(self, conversation_id: str, revision: int) -> None: ...


class Rollups(Protocol):
    """What dashboards read: counts by field, option, time and dimension. Writing a conversation's row counts it by
    itself; its values are counted by `count_values`."""

    async def count_values(self, conversation_id: str) -> None:
        """Count the conversation's effective values as they are now, in the place of what they were counted as before.
        Repeatable. The caller holds the conversation's row."""
        ...

    async def fold(self, limit: int) -> int:
        """Add up to `limit` waiting deltas to the sums, each exactly once; answers how many there were."""
        ...

    async def read(self, field_ids: Sequence[str], period: Period, narrowing: Narrowing) -> Sequence[Counted]:
        """Sums and what is not folded yet, by step, field and option; nothing that counts 0."""
        ...

    async def choices(self) -> Mapping[Dimension, tuple[str, ...]]:
        """Every value there is of each dimension, in order."""
        ...


class Users(Protocol):
    """The tenant's accounts and who is signed in. Addresses are in lower case."""

    async def add(self, user_id: str, new: NewUser, password_hash: str) -> User:
        """Raises Conflict when the address is taken."""
        ...

    async def list(self) -> Sequence[User]:
        """By address, those that are gone left out."""
        ...

    async def get(self, user_id: str) -> User: ...
    async def find(self, email: str) -> tuple[User, str | None] | None:
        """The account and its password's hash."""
        ...

    async def change(self, user_id: str, change: UserChange) -> User: ...
    async def set_password(self, user_id: str, password_hash: str) -> None: ...
    async def open_session(self, session: SessionRecord, token_hash: bytes) -> None:
        """Sessions of the same person that are over are forgotten."""
        ...

    async def session(self, token_hash: bytes) -> tuple[SessionRecord, User] | None:
        """None for one that was revoked; whether it has expired is for the caller to see."""
        ...

    async def seen(self, session_id: str, at: datetime) -> None: ...
    async def revoke(self, user_id: str, *, at: datetime, session_id: str | None = None) -> None:
        """One session, or all of the person's. Repeatable."""
        ...


class Outbox(Protocol):
    async def search_dirty(self, conversation_id: str) -> None: ...
    async def event(self, kind: str, conversation_id: str) -> None: ...


class DeadLetters(Protocol):
    async def put(self, letter: DeadLetter) -> str:
        """Id of the open letter: this one's, or that of the one open for the same revision and stage, or event."""
        ...

    async def get(self, dead_letter_id: str) -> DeadLetter: ...
    async def list(self, *, open_only: bool, page: Page, source_id: str | None = None) -> Sequence[DeadLetter]:
        """`source_id`: of this source's events only."""
        ...

    async def of_conversation(self, conversation_id: str) -> Sequence[DeadLetter]:
        """The open ones, newest first."""
        ...

    async def of_event(self, event_id: str) -> DeadLetter | None:
        """The open one."""
        ...

    async def redriven(self, dead_letter_id: str, entry: int | None) -> None: ...


class Uploads(Protocol):
    async def open(self, upload: Upload) -> None: ...
    async def get(self, upload_id: str) -> Upload: ...
    async def stored(self, upload_id: str, *, size: int, sha256: str, media_type: str | None = None) -> None:
        """The bytes have come; `media_type` is what they turned out to be."""
        ...

    async def remove(self, upload_id: str) -> None:
        """Repeatable."""
        ...


class Idempotency(Protocol):
    async def find(self, key: str, body_hash: str) -> tuple[int, bytes] | None:
        """(status, body) answered before; raises IdempotencyMismatch for another body. Kept 24 h at least."""
        ...

    async def claim(self, key: str, body_hash: str, *, abandoned_after_seconds: float) -> IdempotencyClaim:
        """Take the key to answer it, or see who has. Exactly one of several callers at once gets it; it calls `keep`
        or `release`. A claim that is older than given is taken over. Raises IdempotencyMismatch."""
        ...

    async def keep(self, key: str, body_hash: str, status: int, body: bytes) -> None:
        """The answer, in the place of a claim; the first answer stays."""
        ...

    async def renew(self, key: str, body_hash: str) -> None:
        """A claim that is still being answered is as young as new."""
        ...

    async def release(self, key: str) -> None:
        """Give a claim back; an answer that is kept stays."""
        ...


class Audit(Protocol):
    async def record(
        self, *, actor: str, action: str, subject: str, origin: str | None, before: object = None, after: object = None
    ) -> None: ...


class TenantTx(Protocol):
    """One transaction of one tenant, and its repositories."""

    tenant: Tenant
    conversations: Conversations
    threads: Threads
    events: SourceEvents
    runs: Runs
    renditions: Renditions
    catalog: Catalog
    ledger: Ledger
    values: Values
    rollups: Rollups
    users: Users
    outbox: Outbox
    dead_letters: DeadLetters
    uploads: Uploads
    idempotency: Idempotency
    audit: Audit
    bulk: Bulk
    legs: Legs
    imports: Imports


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


class Platform(Protocol):
    """Before a tenant is known: ids and leases only, through definer functions."""

    async def api_key(self, key_hash: bytes) -> ApiKeyRecord | None: ...
    async def due_entries(self, limit: int, *, older_than_seconds: float) -> Sequence[RunRef]:
        """Pending entries of the live lane whose not_before has passed and that are older than the grace given."""
        ...

    async def stale_leases(self, limit: int, *, older_than_seconds: float) -> Sequence[RunRef]: ...
    async def due_events(self, limit: int) -> Sequence[tuple[str, str]]:
        """(tenant, event) of accepted events that nobody reads."""
        ...

    async def due_imports(self, limit: int, *, fresh_seconds: float, silent_seconds: float) -> Sequence[ImportRef]:
        """Imports that nobody has begun after `fresh_seconds`, or that run and were silent for `silent_seconds`."""
        ...

    async def paced_tenants(self) -> Sequence[str]:
        """Ids of tenants with entries of the backfill lane that may be started now."""
        ...

    async def lead(self, name: str, holder: str, ttl_seconds: float) -> bool:
        """Become or stay the one leader of a job. False when somebody else is."""
        ...

    async def dirty(self, limit: int) -> Sequence[DirtyConversation]: ...
    async def clear(self, done: Sequence[DirtyConversation]) -> None: ...
    async def defer(self, item: DirtyConversation, error: str) -> None: ...
    async def search_lag_seconds(self) -> float: ...
    async def figures(self) -> Sequence[PlatformFigure]:
        """What waits, is parked or was given up: a look at every tenant, so not for every request."""
        ...

    async def rollups_waiting(self, limit: int) -> Sequence[str]:
        """Ids of tenants with deltas that are not folded."""
        ...

    async def sign_in_try(self, tries: Sequence[tuple[bytes, int]]) -> float:
        """Counts a try under each (key of 32 bytes, free tries), and answers 0; or counts nothing and answers for how
        many seconds no try is taken."""
        ...

    async def signed_in(self, account: bytes, address: bytes) -> None:
        """Forgets the account's tries and takes back the address's last one."""
        ...

    async def tenant_named(self, slug: str) -> Tenant | None: ...
    async def tenants(self) -> Sequence[Tenant]: ...
    async def partners(self) -> Sequence[Partner]: ...
    async def create_partner(self, new: NewPartner) -> Partner:
        """Raises Conflict when the slug is taken."""
        ...

    async def create_tenant(self, new: NewTenant) -> Tenant:
        """Raises Conflict when the slug is taken, NotFound without the partner."""
        ...

    async def change_tenant(self, tenant_id: str, change: TenantChange) -> Tenant:
        """Raises NotFound."""
        ...

    async def create_api_key(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        tenant_id: str | None = None,
        partner_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> NewApiKey:
        """Without tenant and partner: a key of the platform. Raises NotFound without the tenant or partner."""
        ...

    async def engines_of(self, owner_id: str) -> Sequence[EngineConfig]:
        """The operator's or a partner's, in the order of their names."""
        ...

    async def put_engine_of(self, owner_id: str, engine: EngineConfig) -> None:
        """By id, at the operator's or a partner's level. Raises Conflict as `Catalog.put_engine` does."""
        ...

    async def put_engine_secret(self, secret: SealedSecret) -> None: ...
    async def engine_secret(self, engine_id: str, name: str) -> SealedSecret | None:
        """The secret of this name at the engine's own level."""
        ...

    async def audit(
        self,
        owner_id: str,
        *,
        actor: str,
        action: str,
        subject: str,
        origin: str | None,
        before: object = None,
        after: object = None,
    ) -> None:
        """What was changed at the operator's or a partner's level."""
        ...

    async def forget_idempotency_keys(self, limit: int) -> int:
        """Removes up to `limit` keys older than 48 hours; answers how many."""
        ...


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


class EngineSecrets(Protocol):
    """Engines' secrets, sealed with the key of whom they belong to."""

    async def seal(self, level: Owner, owner_id: str, name: str, secret: SecretStr) -> SealedSecret:
        """Raises Unavailable."""
        ...

    async def secret(self, engine_id: str, name: str) -> SecretStr:
        """The secret of this name at the engine's own level. Raises NotFound, Unavailable (also when it cannot be
        opened)."""
        ...


class EngineGate(Protocol):
    """Limits and health of engines, shared by all processes. Every method raises Unavailable."""

    async def slice(self, wanted: SliceWanted) -> Slice: ...
    async def pause(self, engine_id: str, seconds: float) -> None:
        """Nobody asks the engine for so long."""
        ...

    async def failed(self, engine_id: str, *, threshold: int, detail: str) -> None:
        """One more failure in a row; the breaker opens at `threshold`, or when it was being tried."""
        ...

    async def answered(self, engine_id: str) -> None:
        """The breaker closes."""
        ...

    async def probe(self, engine_id: str, *, cool_down: float) -> bool:
        """Whether this caller is the one that tries an engine whose breaker has been open for `cool_down` seconds."""
        ...

    async def tested(self, engine_id: str) -> None:
        """Somebody tested the engine just now."""
        ...


class Database(Protocol):
    def tenant_tx(self, tenant_id: str) -> AbstractAsyncContextManager[TenantTx]: ...

    @property
    def platform(self) -> Platform: ...

    async def ping(self) -> None:
        """Raises Unavailable."""
        ...


class ContentStore(Protocol):
    """Raw content, encrypted with the tenant's key. Keys start with the tenant id.

    Raises ContentMissing, ContentDamaged, Unavailable.
    """

    async def put(self, tenant_id: str, key: str, data: bytes) -> None: ...
    async def put_stream(
        self, tenant_id: str, key: str, chunks: AsyncIterator[bytes], *, limit: int
    ) -> tuple[int, str]:
        """Stores as it comes, memory bounded; answers (size, sha256 of the plain bytes). TooLarge past `limit`;
        nothing is left behind then."""
        ...

    async def get(self, tenant_id: str, key: str) -> bytes: ...
    def get_stream(self, tenant_id: str, key: str) -> AsyncIterator[bytes]:
        """Pieces of up to 1 MiB, memory bounded. Damage may show only after some pieces have come."""
        ...

    async def delete(self, tenant_id: str, key: str) -> None:
        """What is not there is deleted already."""
        ...

    async def ping(self) -> None: ...
