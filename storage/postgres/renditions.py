"""What was said: recordings, transcripts, redacted turns."""

from typing import TYPE_CHECKING

from domain.errors import NotFound
from storage.postgres.repository import Repository
from storage.protocols import Recording, Rendition, TranscriptRecord

if TYPE_CHECKING:
    from asyncpg import Record

_PUT_RECORDING = """
insert into recording (tenant_id, conversation_id, revision, facts, engine, language, language_ground)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (tenant_id, conversation_id, revision) do update
  set facts = excluded.facts,
      engine = excluded.engine,
      language = excluded.language,
      language_ground = excluded.language_ground
"""

_SUPERSEDE_TRANSCRIPT = """
update transcript
set superseded_at = now()
where tenant_id = $1
  and conversation_id = $2
  and revision = $3
  and superseded_at is null
  and not exists (select from transcript known where known.tenant_id = $1 and known.id = $4)
"""

_PUT_TRANSCRIPT = """
insert into transcript (
  tenant_id, conversation_id, revision, id, engine, model, language, language_ground, segments, duration_ms,
  speakers_separated, content_key, content_hash, notes
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (tenant_id, id) do nothing
"""

_PUT_RENDITION = """
insert into rendition (
  tenant_id, conversation_id, revision, turns, content_hash, redactor, detectors, names_detected, language,
  sealed_key, transcript_id, notes
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (tenant_id, conversation_id, revision) do update
  set turns = excluded.turns,
      content_hash = excluded.content_hash,
      redactor = excluded.redactor,
      detectors = excluded.detectors,
      names_detected = excluded.names_detected,
      language = excluded.language,
      sealed_key = excluded.sealed_key,
      transcript_id = excluded.transcript_id,
      notes = excluded.notes
"""

_OF_REVISION = """
where tenant_id = $1
  and conversation_id = $2
  and revision = $3
"""


class PostgresRenditions(Repository):
    """See `storage.protocols.Renditions`."""

    async def put_recording(self, recording: Recording) -> None:
        await self._execute(
            _PUT_RECORDING,
            recording.conversation_id,
            recording.revision,
            recording.facts,
            recording.engine,
            recording.language,
            recording.language_ground,
        )

    async def recording(self, conversation_id: str, revision: int) -> Recording | None:
        row = await self._row(
            f"""
            select conversation_id, revision, facts, engine, language, language_ground
            from recording
            {_OF_REVISION}
            """,  # noqa: S608 - constants of this module
            conversation_id,
            revision,
        )
        return None if row is None else Recording.model_validate(dict(row))

    async def put_transcript(self, transcript: TranscriptRecord) -> None:
        """The revision's current transcript from now on; one that is known already changes nothing."""
        key = (transcript.conversation_id, transcript.revision, transcript.id)
        await self._execute(_SUPERSEDE_TRANSCRIPT, *key)
        await self._execute(
            _PUT_TRANSCRIPT,
            *key,
            transcript.engine,
            transcript.model,
            transcript.language,
            transcript.language_ground,
            transcript.segments,
            transcript.duration_ms,
            transcript.speakers_separated,
            transcript.content_key,
            transcript.content_hash,
            transcript.notes,
        )

    async def transcript(self, conversation_id: str, revision: int) -> TranscriptRecord | None:
        row = await self._row(
            f"""
            select id, conversation_id, revision, engine, model, language, language_ground, segments, duration_ms,
              speakers_separated, content_key, content_hash, notes
            from transcript
            {_OF_REVISION}
              and superseded_at is null
            """,  # noqa: S608
            conversation_id,
            revision,
        )
        return None if row is None else TranscriptRecord.model_validate(dict(row))

    async def put(self, rendition: Rendition) -> None:
        await self._execute(
            _PUT_RENDITION,
            rendition.conversation_id,
            rendition.revision,
            rendition.turns,
            rendition.content_hash,
            rendition.redactor,
            rendition.detectors,
            rendition.names_detected,
            rendition.language,
            rendition.sealed_key,
            rendition.transcript_id,
            rendition.notes,
        )

    async def get(self, conversation_id: str, revision: int) -> Rendition:
        found = await self.find(conversation_id, revision)
        if found is None:
            raise NotFound("this revision has no turns yet")
        return found

    async def find(self, conversation_id: str, revision: int) -> Rendition | None:
        row = await self._row(
            f"""
            select conversation_id, revision, turns, content_hash, redactor, detectors, names_detected, language,
              sealed_key, transcript_id, notes
            from rendition
            {_OF_REVISION}
            """,  # noqa: S608
            conversation_id,
            revision,
        )
        return None if row is None else _rendition(row)


def _rendition(row: "Record") -> Rendition:
    return Rendition.model_validate(dict(row))
