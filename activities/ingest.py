"""ingest: open what was handed in: audio is decoded and measured, a ready-made transcript filed, a thread checked."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from temporalio import activity

from activities.support import begin, finish, heartbeat_on_progress
from domain import contracts
from domain.audio import AudioFacts
from domain.contracts import IngestResult, RunRef
from domain.conversation import Conversation, Participant, Role, Stage, Status
from domain.engine import EngineConfig
from domain.errors import ContentDamaged
from domain.ids import derived_id
from domain.intake import AudioIn, ConversationIn, TranscriptIn
from domain.normalize import transcript_of
from domain.transcript import Transcript
from engines.protocols import AudioDecoder, AudioFile
from services import content_keys, language_strategy
from services.pull_audio import AudioPuller
from storage.protocols import ContentStore, Database, Recording, Tenant, TranscriptRecord


class IngestActivity:
    """Needs the database, the content store, a decoder, and a puller for audio given by address."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        decoder: AudioDecoder,
        puller: AudioPuller,
        *,
        max_audio_minutes: float,
    ) -> None:
        self._database = database
        self._content = content
        self._decoder = decoder
        self._puller = puller
        self._max_audio_ms = round(max_audio_minutes * 60_000)

    @activity.defn(name=contracts.INGEST.name)
    async def ingest(self, run: RunRef) -> IngestResult:
        async with begin(self._database, run, Stage.INGEST) as tx:
            conversation = await tx.conversations.get(run.conversation_id)
            await tx.conversations.set_status(run.conversation_id, Status.PROCESSING)
            engines = await tx.catalog.engines() if conversation.channel == "call" else ()
            tenant = tx.tenant
        intake = await read_intake(self._content, conversation)
        if intake.audio is not None:
            return await self._ingest_audio(run, tenant, conversation, intake.audio, engines)
        if intake.transcript is not None:
            return await self._ingest_transcript(run, intake.transcript, intake.participants)
        async with finish(self._database, run, Stage.INGEST):
            return IngestResult()

    async def _ingest_audio(
        self,
        run: RunRef,
        tenant: Tenant,
        conversation: Conversation,
        audio: Sequence[AudioIn],
        engines: Sequence[EngineConfig],
    ) -> IngestResult:
        choice = language_strategy.choose(tenant, conversation.language, engines)
        beat = heartbeat_on_progress()
        await self._pull(run, audio)
        files = await load_audio(self._content, run, audio)
        call = await asyncio.to_thread(self._decoder.decode, files, max_duration_ms=self._max_audio_ms, progress=beat)
        async with finish(self._database, run, Stage.INGEST) as tx:
            await tx.renditions.put_recording(
                Recording(
                    conversation_id=run.conversation_id,
                    revision=run.revision,
                    facts=call.facts,
                    engine=choice.engine.name,
                    language=choice.language,
                    language_ground=choice.ground,
                )
            )
            await tx.conversations.set_measured(
                run.conversation_id,
                ended_at=_end(conversation, call.facts),
                duration_ms=call.facts.duration_ms,
                notes=call.facts.notes,
            )
        return IngestResult(transcription=choice.engine.kind)

    async def _pull(self, run: RunRef, audio: Sequence[AudioIn]) -> None:
        for position, item in enumerate(audio):
            if item.url is not None:
                key = content_keys.pulled_audio(run, position)
                await self._puller.pull(run.tenant_id, item.url, key, heartbeat_on_progress())

    async def _ingest_transcript(
        self, run: RunRef, supplied: TranscriptIn, participants: Sequence[Participant]
    ) -> IngestResult:
        transcript = transcript_of(supplied, participants)
        body = transcript.model_dump_json().encode()
        transcript_id = derived_id("transcript", run.conversation_id, str(run.revision), "supplied")
        key = content_keys.transcript(run, transcript_id)
        await self._content.put(run.tenant_id, key, body)
        async with finish(self._database, run, Stage.INGEST) as tx:
            await tx.renditions.put_transcript(transcript_record(run, transcript_id, transcript, key, body))
            await tx.conversations.set_measured(run.conversation_id, duration_ms=transcript.duration_ms)
        return IngestResult()


async def read_intake(content: ContentStore, conversation: Conversation) -> ConversationIn:
    """The body as it was accepted. Raises ContentMissing, ContentDamaged."""
    if conversation.content_key is None:
        raise ContentDamaged("the conversation has no content reference")
    body = await content.get(conversation.tenant_id, conversation.content_key)
    return ConversationIn.model_validate_json(body)


async def load_audio(content: ContentStore, run: RunRef, audio: Sequence[AudioIn]) -> tuple[AudioFile, ...]:
    """The files' bytes with their speakers, from uploads or from what was pulled."""
    files = []
    for position, item in enumerate(audio):
        key = (
            content_keys.upload(run.tenant_id, item.id)
            if item.id is not None
            else content_keys.pulled_audio(run, position)
        )
        data = await content.get(run.tenant_id, key)
        files.append(AudioFile(data=data, speakers=_speakers(item), offset_ms=item.offset_ms))
    return tuple(files)


def _speakers(item: AudioIn) -> tuple[Role | None, ...]:
    if item.role is not None:
        return (item.role,)
    return tuple(None if name == "mixed" else Role(name) for name in item.channels) or (None,)


def transcript_record(
    run: RunRef, transcript_id: str, transcript: Transcript, content_key: str, body: bytes
) -> TranscriptRecord:
    """The row that stands for a sealed transcript."""
    return TranscriptRecord(
        id=transcript_id,
        conversation_id=run.conversation_id,
        revision=run.revision,
        engine=transcript.engine,
        model=transcript.model,
        language=transcript.language,
        language_ground=transcript.language_ground,
        segments=len(transcript.segments),
        duration_ms=transcript.duration_ms,
        speakers_separated=transcript.speakers_separated,
        content_key=content_key,
        content_hash=hashlib.sha256(body).hexdigest(),
        notes=transcript.notes,
    )


def _end(conversation: Conversation, facts: AudioFacts) -> datetime | None:
    """A call without a stated end ended when its recording does."""
    if conversation.ended_at is not None:
        return None
    return conversation.started_at + timedelta(milliseconds=facts.duration_ms)
