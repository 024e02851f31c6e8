"""Accepting a conversation: sealed content, a row, a started workflow; never lost, never doubled.

The row is the acceptance. A start that Temporal does not take now is made later by the reconciler; what comes in the
backfill lane is left to the dispatcher, who starts it paced.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from domain.clock import Clock, utc_now
from domain.conversation import Conversation, Lane
from domain.errors import InvalidInput, MergedAway, NotFound, Unavailable, UnsupportedMedia
from domain.ids import new_id
from domain.intake import ConversationIn, MessagesIn
from domain.times import StampContext
from services import content_keys
from services.join_threads import JoinThreads, Part
from services.new_conversation import conversation_id, new_conversation, require_channel
from services.observation import Observer, Unobserved
from services.ports import Orchestrator
from services.pull_audio import check_address
from services.settle import settle
from storage.protocols import (
    Accepted,
    AcceptOutcome,
    ContentStore,
    Database,
    NewConversation,
    RunEntry,
    Source,
    TenantTx,
    Upload,
)


@dataclass(frozen=True)
class Acceptance:
    """What became of a hand-in. `entry` is the run that was made, None when nothing changed; started is False when
    Temporal did not take it yet."""

    conversation: Conversation
    outcome: AcceptOutcome
    entry: RunEntry | None
    started: bool


class AcceptConversation:
    """Needs the database, the content store and the orchestration. `audio_url_hosts`: where audio may be pulled."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        orchestrator: Orchestrator,
        *,
        audio_url_hosts: Collection[str] = (),
        clock: Clock = utc_now,
        observer: Observer | None = None,
    ) -> None:
        self._database = database
        self._content = content
        self._orchestrator = orchestrator
        self._audio_url_hosts = frozenset(audio_url_hosts)
        self._clock = clock
        self._observer: Observer = observer or Unobserved()
        self._threads = JoinThreads(database, content, clock)

    async def accept(
        self, tenant_id: str, intake: ConversationIn, *, lane: Lane = Lane.LIVE, late_facts: bool = False
    ) -> Acceptance:
        """All there is of a conversation; late_facts: see `services.settle`.

        Raises InvalidInput and its kin (nothing is left behind), Unavailable when storage is away.
        """
        self.check_addresses(intake)
        identity = conversation_id(tenant_id, intake)
        with self._observer.accepting(tenant_id, identity, intake.channel, lane) as observed:
            acceptance = await self._accept(tenant_id, intake, lane, late_facts=late_facts)
            observed.ended(acceptance.outcome, acceptance.conversation.revision)
        return acceptance

    async def _accept(self, tenant_id: str, intake: ConversationIn, lane: Lane, *, late_facts: bool) -> Acceptance:
        key = content_keys.accepted(tenant_id, conversation_id(tenant_id, intake), new_id())
        await self._content.put(tenant_id, key, intake.model_dump_json(exclude_none=True).encode())
        try:
            accepted = await self._write(tenant_id, intake, key, lane, late_facts=late_facts)
        except MergedAway as merged:
            await self._content.delete(tenant_id, key)
            part = Part(intake, conversation_id=merged.into)
            return await self._start(await self._threads.join(tenant_id, part, lane))
        except Exception:
            await self._content.delete(tenant_id, key)
            raise
        if accepted.outcome is AcceptOutcome.UNCHANGED:
            await self._content.delete(tenant_id, key)
        return await self._start(accepted)

    def check_addresses(self, intake: ConversationIn) -> None:
        """Raises InvalidInput when audio would be pulled from where it may not be."""
        for item in intake.audio or ():
            if item.url is not None:
                check_address(item.url, self._audio_url_hosts)

    async def add_messages(self, tenant_id: str, conversation_id: str, added: MessagesIn) -> Acceptance:
        """The thread with the messages added, accepted as its next revision. Raises NotFound, InvalidInput,
        ChangedMeanwhile."""
        async with self._database.tenant_tx(tenant_id) as tx:
            conversation = await tx.conversations.get(conversation_id)
        # Whole only once it is joined: its authors may be participants that are known already.
        intake = ConversationIn.model_construct(
            external_id=conversation.external_id,
            channel=conversation.channel,
            source=conversation.source,
            messages=added.messages,
            participants=added.participants,
            closed=added.closed,
        )
        return await self.join(tenant_id, Part(intake, conversation_id=conversation_id, replaces_people=True))

    async def join(self, tenant_id: str, part: Part, *, lane: Lane = Lane.LIVE) -> Acceptance:
        """A part of a thread joins what is known of it, however many come at once and in whatever order.

        Raises InvalidInput, NotFound, Conflict (another channel), ChangedMeanwhile, Unavailable.
        """
        accepted = await self._threads.join(tenant_id, part, lane)
        conversation = accepted.conversation
        with self._observer.accepting(tenant_id, conversation.id, conversation.channel, lane) as observed:
            acceptance = await self._start(accepted)
            observed.ended(acceptance.outcome, conversation.revision)
        return acceptance

    async def _write(
        self, tenant_id: str, intake: ConversationIn, key: str, lane: Lane, *, late_facts: bool
    ) -> Accepted:
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.source(intake.source)
            await tx.catalog.saw_source(source)
            hashes = await upload_hashes(tx, intake)
            new = self.new(tenant_id, intake, key, source, tx.tenant.time_zone, hashes)
            return await accept_in(tx, new, lane, late_facts=late_facts)

    def new(
        self,
        tenant_id: str,
        intake: ConversationIn,
        key: str,
        source: Source,
        tenant_zone: str,
        hashes: Mapping[str, str],
    ) -> NewConversation:
        """What is written of a conversation. hashes: SHA-256 of its uploads, by id. Raises InvalidInput."""
        require_channel(source, intake)
        context = StampContext(self._clock(), source.time_zone, tenant_zone)
        return new_conversation(tenant_id, intake, key, context, hashes, closes_at_once=source.settle_minutes == 0)

    async def _start(self, accepted: Accepted) -> Acceptance:
        started = False
        if accepted.entry is not None and accepted.entry.run.lane is not Lane.BACKFILL:
            started = await start_entry(self._database, self._orchestrator, accepted.entry, accepted.conversation)
        return Acceptance(accepted.conversation, accepted.outcome, accepted.entry, started)


async def accept_in(tx: TenantTx, new: NewConversation, lane: Lane, *, late_facts: bool = False) -> Accepted:
    """The rows of one acceptance, with the entry that is to be started now. Raises Conflict and its kin."""
    return await settle(tx, new, await tx.conversations.accept(new, lane), lane, late_facts=late_facts)


async def start_entry(
    database: Database, orchestrator: Orchestrator, entry: RunEntry, conversation: Conversation
) -> bool:
    """Start a pending entry now. False when Temporal is away: the entry stays pending and the reconciler starts it."""
    try:
        temporal_run_id = await orchestrator.start(entry, conversation)
    except Unavailable:
        return False
    try:
        async with database.tenant_tx(entry.run.tenant_id) as tx:
            await tx.runs.started(entry.run, temporal_run_id)
    except Unavailable:
        return True
    return True


async def upload_hashes(tx: TenantTx, intake: ConversationIn) -> dict[str, str]:
    """SHA-256 of every upload named; refuses uploads that are absent, not complete or not audio."""
    hashes = {}
    for position, item in enumerate(intake.audio or ()):
        if item.id is None:
            continue
        upload = await _upload(tx, item.id, f"audio[{position}].id")
        if not upload.media_type.startswith("audio/"):
            raise UnsupportedMedia.of(f"audio[{position}].id", f"the upload is {upload.media_type}, not audio")
        hashes[item.id] = upload.sha256 or ""
    return hashes


async def _upload(tx: TenantTx, upload_id: str, field: str) -> Upload:
    try:
        upload = await tx.uploads.get(upload_id)
    except NotFound:
        raise InvalidInput.of(field, "there is no such upload") from None
    if upload.state != "stored" or not upload.sha256:
        raise InvalidInput.of(field, "the upload has not received its bytes yet")
    return upload
