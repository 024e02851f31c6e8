"""The repositories of one tenant, and the transaction that has them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from domain.contracts import RunRef
from domain.conversation import (
    Channel,
    Conversation,
    Lane,
    Leg,
    Note,
    Stage,
    StageState,
    StageStatus,
    Status,
)
from domain.engine import EngineCall, EngineConfig
from domain.fields import CustomField
from domain.imports import Analysis, Import, ImportRow, RowOutcome
from domain.intake import ConversationPatch
from domain.ledger import TaskRun
from domain.people import NewUser, SessionRecord, User, UserChange
from domain.rollups import Counted, Dimension, Narrowing, Period
from domain.sources import SourceHealth
from domain.tasks import AITask, EffectiveTask, TaskListing, TaskSpec, TaskVersion
from domain.values import FieldValue, Layer
from storage.protocols.records import (
    Accepted,
    AnswerRecord,
    ChargedCall,
    ConversationFilter,
    DeadLetter,
    IdempotencyClaim,
    Known,
    NewConversation,
    Page,
    Recording,
    Rendition,
    RunEntry,
    SealedSecret,
    Source,
    SourceEvent,
    Tenant,
    TranscriptRecord,
    Upload,
    UsageEvent,
)


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
