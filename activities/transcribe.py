"""transcribe: calls only. One engine hears the call; the transcript is immutable and sealed."""

import asyncio
import hashlib
import time
from contextlib import nullcontext

from temporalio import activity

from activities.ingest import load_audio, read_intake, transcript_record
from activities.support import begin, finish, heartbeat_on_progress, held_while_away, waiting_for_provider
from domain import contracts
from domain.contracts import RunRef, TranscribeResult
from domain.conversation import Stage
from domain.engine import EngineConfig
from domain.errors import ContentMissing, EngineRejected
from domain.ids import derived_id
from domain.tasks import content_hash
from domain.transcript import Transcript
from engines.protocols import AudioDecoder, AudioFile, TranscriptionAnswer, TranscriptionRequest
from services import content_keys, engine_calls
from services.engine_calls import Engines
from storage.protocols import ContentStore, Database, Recording


class TranscribeActivity:
    """Needs the database, the content store, a decoder and the process's engines."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        decoder: AudioDecoder,
        engines: Engines,
        *,
        max_audio_minutes: float,
    ) -> None:
        self._database = database
        self._content = content
        self._decoder = decoder
        self._engines = engines
        self._max_audio_ms = round(max_audio_minutes * 60_000)

    @activity.defn(name=contracts.TRANSCRIBE.name)
    async def transcribe(self, run: RunRef) -> TranscribeResult:
        async with begin(self._database, run, Stage.TRANSCRIBE) as tx:
            existing = await tx.renditions.transcript(run.conversation_id, run.revision)
            recording = await tx.renditions.recording(run.conversation_id, run.revision)
            conversation = await tx.conversations.get(run.conversation_id)
            engines = {e.name: e for e in await tx.catalog.engines()}
            candidates = tx.tenant.languages
        if existing is not None:
            return await self._already(run, existing.segments)
        if recording is None:
            raise ContentMissing("the call has no recording: ingest has not run")
        config = engines.get(recording.engine)
        if config is None:
            raise EngineRejected(f"transcription engine {recording.engine} is not configured")
        intake = await read_intake(self._content, conversation)
        files = await load_audio(self._content, run, intake.audio or ())
        request_hash = _request_hash(config, files, recording)
        started = time.monotonic()
        answer = await self._ask(config, files, recording, candidates)
        latency_ms = round((time.monotonic() - started) * 1000)
        return await self._record(run, config, request_hash, answer, latency_ms)

    async def _already(self, run: RunRef, segments: int) -> TranscribeResult:
        async with finish(self._database, run, Stage.TRANSCRIBE):
            return TranscribeResult(segments=segments)

    async def _ask(
        self, config: EngineConfig, files: tuple[AudioFile, ...], recording: Recording, candidates: tuple[str, ...]
    ) -> TranscriptionAnswer:
        beat = heartbeat_on_progress()
        call = await asyncio.to_thread(
            self._decoder.decode, files, max_duration_ms=self._max_audio_ms, progress=lambda share: beat(share / 10)
        )
        request = TranscriptionRequest(
            language=recording.language, language_ground=recording.language_ground, candidates=candidates
        )
        engine = self._engines.transcription(config)
        async with waiting_for_provider() if config.external else nullcontext():
            return await engine.transcribe(call, request, lambda share: beat(0.1 + 0.9 * share))

    async def _record(
        self, run: RunRef, config: EngineConfig, request_hash: str, answer: TranscriptionAnswer, latency_ms: int
    ) -> TranscribeResult:
        transcript: Transcript = answer.transcript
        body = transcript.model_dump_json().encode()
        transcript_id = derived_id("transcript", run.conversation_id, str(run.revision), request_hash)
        key = content_keys.transcript(run, transcript_id)
        call = engine_calls.answered(
            config, request_hash, model=transcript.model, usage=answer.usage, latency_ms=latency_ms, answer=key
        )

        async def commit() -> None:
            await self._content.put(run.tenant_id, key, body)
            async with finish(self._database, run, Stage.TRANSCRIBE) as tx:
                await tx.ledger.record_call(call, run.conversation_id, engine_calls.usage_events(call, [None]))
                await tx.renditions.put_transcript(transcript_record(run, transcript_id, transcript, key, body))

        async with waiting_for_provider():
            await held_while_away(commit)
        return TranscribeResult(segments=len(transcript.segments))


def _request_hash(config: EngineConfig, files: tuple[AudioFile, ...], recording: Recording) -> str:
    """The same audio to the same engine with the same options is the same request."""
    return content_hash(
        {
            "engine": config.name,
            "kind": config.kind,
            "model": config.model,
            "parameters": config.parameters,
            "language": recording.language,
            "audio": [
                [hashlib.sha256(f.data).hexdigest(), [s.value if s else None for s in f.speakers], f.offset_ms]
                for f in files
            ],
        }
    )
