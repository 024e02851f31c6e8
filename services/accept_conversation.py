"""Accepting a conversation: sealed content, a row, a started workflow; never lost, never doubled.

The row is the acceptance. A start that Temporal does not take now is made later by the reconciler; what comes in the
backfill lane is left to the dispatcher, who starts it paced.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from domain.canonical import canonical_turns_hash, with_more_messages
from domain.clock import Clock, utc_now
from domain.conversation import Channel, Conversation, Lane, Note, Stage
from domain.errors import FieldProblem, InvalidInput, NotFound, Unavailable, UnsupportedMedia
from domain.ids import derived_id, new_id
from domain.intake import ConversationIn, MessagesIn
from domain.times import Stamp, StampContext, read_stamp
from services import content_keys
from services.legs import legs_of
from services.ports import Orchestrator
from services.pull_audio import check_address
from storage.protocols import (
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
    ) -> None:
        self._database = database
        self._content = content
        self._orchestrator = orchestrator
        self._audio_url_hosts = frozenset(audio_url_hosts)
        self._clock = clock

    async def accept(self, tenant_id: str, intake: ConversationIn, *, lane: Lane = Lane.LIVE) -> Acceptance:
        """Raises InvalidInput and its kin (nothing is left behind), Unavailable when storage is away."""
        self.check_addresses(intake)
        key = content_keys.accepted(tenant_id, conversation_id(tenant_id, intake), new_id())
        await self._content.put(tenant_id, key, intake.model_dump_json(exclude_none=True).encode())
        try:
            acceptance = await self._write(tenant_id, intake, key, lane)
        except Exception:
            await self._content.delete(tenant_id, key)
            raise
        if acceptance.entry is None:
            await self._content.delete(tenant_id, key)
            return acceptance
        if lane is Lane.BACKFILL:
            return acceptance
        return await self._start(acceptance, acceptance.entry)

    def check_addresses(self, intake: ConversationIn) -> None:
        """Raises InvalidInput when audio would be pulled from where it may not be."""
        for item in intake.audio or ():
            if item.url is not None:
                check_address(item.url, self._audio_url_hosts)

    async def add_messages(
        self, tenant_id: str, conversation_id: str, added: MessagesIn, *, lane: Lane = Lane.LIVE
    ) -> Acceptance:
        """The thread with the messages added, accepted as its next revision. Raises NotFound, InvalidInput."""
        async with self._database.tenant_tx(tenant_id) as tx:
            conversation = await tx.conversations.get(conversation_id)
        if conversation.channel is Channel.CALL or conversation.content_key is None:
            raise InvalidInput.of("messages", "a call has no messages to add to")
        body = await self._content.get(tenant_id, conversation.content_key)
        whole = ConversationIn.model_validate_json(body)
        try:
            merged = with_more_messages(whole, added.messages, added.participants, added.closed)
        except ValidationError as error:
            raise InvalidInput(
                "the messages do not fit the thread",
                tuple(FieldProblem(".".join(map(str, e["loc"])) or "messages", e["msg"]) for e in error.errors()),
            ) from None
        return await self.accept(tenant_id, merged, lane=lane)

    async def _write(self, tenant_id: str, intake: ConversationIn, key: str, lane: Lane) -> Acceptance:
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.source(intake.source)
            hashes = await upload_hashes(tx, intake)
            new = self.new(tenant_id, intake, key, source, tx.tenant.time_zone, hashes)
            return await accept_in(tx, new, lane)

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
        if source.channel is not None and source.channel is not intake.channel:
            raise InvalidInput.of("channel", f"the source {source.slug} is for {source.channel.value}")
        context = StampContext(self._clock(), source.time_zone, tenant_zone)
        start, end, notes = _span(intake, context)
        return NewConversation(
            id=conversation_id(tenant_id, intake),
            intake=intake.model_copy(update={"messages": None, "audio": None, "transcript": None}),
            content_key=key,
            content_hash=canonical_turns_hash(intake, hashes),
            started_at=start.at,
            started_offset_minutes=start.offset_minutes,
            ended_at=end,
            notes=notes,
            closed=intake.closed if intake.closed is not None else source.settle_minutes == 0,
            legs=legs_of(intake, context),
        )

    async def _start(self, acceptance: Acceptance, entry: RunEntry) -> Acceptance:
        started = await start_entry(self._database, self._orchestrator, entry, acceptance.conversation)
        return Acceptance(acceptance.conversation, acceptance.outcome, entry, started)


async def accept_in(tx: TenantTx, new: NewConversation, lane: Lane) -> Acceptance:
    """The rows of one acceptance, with the entry when something was done. Raises Conflict."""
    accepted = await tx.conversations.accept(new, lane)
    conversation, entry = accepted.conversation, accepted.entry
    if accepted.outcome is AcceptOutcome.REVISED:
        entry = await tx.runs.enter(
            conversation.id,
            conversation.revision,
            enter_at=Stage.INGEST,
            lane=lane,
            channel=new.intake.channel,
            reason=accepted.outcome.value,
        )
    if new.legs and accepted.outcome is not AcceptOutcome.UNCHANGED:
        await tx.legs.put(conversation.id, new.intake.source, new.legs)
    return Acceptance(conversation, accepted.outcome, entry, started=False)


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


def conversation_id(tenant_id: str, intake: ConversationIn) -> str:
    """The same natural key always gives the same id, whoever wins a race."""
    return derived_id("conversation", tenant_id, intake.source, intake.external_id)


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
