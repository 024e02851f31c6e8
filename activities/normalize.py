"""normalize: every channel becomes turns; the original is sealed, the redacted rendition is what all others read."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from temporalio import activity

from activities.ingest import read_intake
from activities.support import begin, finish, heartbeat_on_progress
from domain import contracts
from domain.canonical import rendition_hash
from domain.contracts import NormalizeResult, RunRef
from domain.conversation import Conversation, Note, Stage
from domain.errors import ContentMissing
from domain.normalize import notes_of_transcript, thread, turns_of_thread, turns_of_transcript
from domain.times import StampContext
from domain.transcript import Message, SealedRendition, Transcript
from domain.turns import Redaction, Turn
from engines.protocols import LanguageIdentifier, Redactor
from services import content_keys
from storage.protocols import ContentStore, Database, Rendition, Source, Tenant, TranscriptRecord

LANGUAGE_SAMPLE_CHARACTERS = 4_000
CONFIDENT = 0.5
"""Below this confidence a detected language is not claimed."""


@dataclass(frozen=True)
class _Read:
    """The original turns, however the channel gave them, and what is known beside them."""

    turns: tuple[Turn, ...]
    notes: tuple[Note, ...]
    language: str | None
    ended_at: datetime | None = None
    messages: tuple[Message, ...] = ()


class NormalizeActivity:
    """Needs the database, the content store, a redactor and a language identifier."""

    def __init__(
        self, database: Database, content: ContentStore, redactor: Redactor, languages: LanguageIdentifier
    ) -> None:
        self._database = database
        self._content = content
        self._redactor = redactor
        self._languages = languages

    @activity.defn(name=contracts.NORMALIZE.name)
    async def normalize(self, run: RunRef) -> NormalizeResult:
        async with begin(self._database, run, Stage.NORMALIZE) as tx:
            conversation = await tx.conversations.get(run.conversation_id)
            transcript = None
            if conversation.channel == "call":
                transcript = await tx.renditions.transcript(run.conversation_id, run.revision)
            source = await tx.catalog.source(conversation.source)
            tenant = tx.tenant
        read = await self._read(conversation, transcript, source, tenant)
        beat = heartbeat_on_progress()
        names = [p.name for p in conversation.participants if p.name]
        redaction = await asyncio.to_thread(
            self._redactor.redact, read.turns, language=read.language, names=names, progress=beat
        )
        await self._seal(run, read, redaction)
        await self._write(run, read, redaction, transcript)
        settled = conversation.closed or source.settle_minutes == 0
        return NormalizeResult(turns=len(redaction.turns), settled=settled)

    async def _read(
        self, conversation: Conversation, transcript: TranscriptRecord | None, source: Source, tenant: Tenant
    ) -> _Read:
        if conversation.channel == "call":
            if transcript is None:
                raise ContentMissing("the call has no transcript: transcribe has not run")
            return await self._read_call(conversation, transcript, tenant)
        return await self._read_thread(conversation, source, tenant)

    async def _read_call(self, conversation: Conversation, record: TranscriptRecord, tenant: Tenant) -> _Read:
        body = await self._content.get(conversation.tenant_id, record.content_key)
        transcript = Transcript.model_validate_json(body)
        turns = turns_of_transcript(transcript, conversation.participants)
        notes = (*transcript.notes, *notes_of_transcript(transcript, conversation.participants))
        language = transcript.language or await self._identify(turns, conversation.language, tenant.languages)
        return _Read(turns, notes, language)

    async def _read_thread(self, conversation: Conversation, source: Source, tenant: Tenant) -> _Read:
        intake = await read_intake(self._content, conversation)
        context = StampContext(conversation.received_at, source.time_zone, tenant.time_zone)
        messages = thread(intake.messages or (), conversation.participants, context, conversation.channel)
        turns = turns_of_thread(messages)
        language = await self._identify(turns, conversation.language, tenant.languages)
        known = [conversation.ended_at] if conversation.ended_at else []
        ended = max([*known, *(m.at for m in messages.messages)], default=None)
        return _Read(turns, messages.notes, language, ended, messages.messages)

    async def _identify(self, turns: Sequence[Turn], hint: str | None, candidates: Sequence[str]) -> str | None:
        if hint is not None:
            return hint
        text = "\n".join(t.text for t in turns)[:LANGUAGE_SAMPLE_CHARACTERS]
        guess = await asyncio.to_thread(self._languages.identify, text, candidates)
        return guess.language if guess.confidence >= CONFIDENT else None

    async def _seal(self, run: RunRef, read: _Read, redaction: Redaction) -> None:
        sealed = SealedRendition(turns=read.turns, masks=redaction.masks, messages=read.messages)
        key = content_keys.sealed_rendition(run)
        await self._content.put(run.tenant_id, key, sealed.model_dump_json().encode())

    async def _write(self, run: RunRef, read: _Read, redaction: Redaction, transcript: TranscriptRecord | None) -> None:
        rendition = Rendition(
            conversation_id=run.conversation_id,
            revision=run.revision,
            turns=redaction.turns,
            content_hash=rendition_hash(redaction.turns, redaction.redactor),
            redactor=redaction.redactor,
            detectors=redaction.detectors,
            names_detected=redaction.names_detected,
            language=read.language,
            sealed_key=content_keys.sealed_rendition(run),
            transcript_id=transcript.id if transcript else None,
            notes=read.notes,
        )
        async with finish(self._database, run, Stage.NORMALIZE) as tx:
            await tx.renditions.put(rendition)
            await tx.conversations.set_measured(
                run.conversation_id, ended_at=read.ended_at, language=read.language, notes=read.notes
            )
            await tx.outbox.search_dirty(run.conversation_id)
