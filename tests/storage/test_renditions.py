"""Recordings, transcripts and redacted turns."""

from typing import Any

import pytest

from domain.audio import AudioFacts, TalkFacts
from domain.conversation import Note, Role
from domain.errors import NotFound
from domain.ids import new_id
from domain.turns import Turn
from storage.postgres.database import PostgresDatabase
from storage.protocols import Recording, Tenant, TranscriptRecord
from tests.support.storage import accept, rendition


def transcript(conversation_id: str, **changes: Any) -> TranscriptRecord:
    wanted: dict[str, Any] = {
        "id": new_id(),
        "conversation_id": conversation_id,
        "revision": 1,
        "engine": "whisper",
        "model": "tiny.en",
        "language": "en",
        "language_ground": "detected 0.98",
        "segments": 3,
        "duration_ms": 12_000,
        "speakers_separated": True,
        "content_key": "k",
        "content_hash": "h",
        "notes": (Note(code="n", detail="d"),),
        **changes,
    }
    return TranscriptRecord(**wanted)


async def test_turns_come_back_as_they_went_in(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        assert await tx.renditions.find(conversation.id, 1) is None
        with pytest.raises(NotFound):
            await tx.renditions.get(conversation.id, 1)
        first, second = rendition(conversation), rendition(conversation, content_hash="again", notes=())
        await tx.renditions.put(first)
        assert await tx.renditions.get(conversation.id, 1) == first
        await tx.renditions.put(second)
        assert await tx.renditions.find(conversation.id, 1) == second
        assert await tx.renditions.find(conversation.id, 2) is None


async def test_five_thousand_turns(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    turns = tuple(
        Turn(number=n, role=Role.CUSTOMER, participant_id="c", text=f"turn {n} " * 20) for n in range(1, 5001)
    )
    async with db.tenant_tx(tenant.id) as tx:
        await tx.renditions.put(rendition(conversation, turns=turns))
        assert (await tx.renditions.get(conversation.id, 1)).turns == turns


async def test_one_transcript_is_current(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    first, second = transcript(conversation.id), transcript(conversation.id, engine="deepgram", language=None)
    async with db.tenant_tx(tenant.id) as tx:
        assert await tx.renditions.transcript(conversation.id, 1) is None
        for one in (first, first, second, first):  # a stage that is tried again says what it said before
            await tx.renditions.put_transcript(one)
        assert await tx.renditions.transcript(conversation.id, 1) == second


async def test_what_was_measured_of_audio(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    talk = TalkFacts(
        talk_ratio={Role.AGENT: 0.5, Role.CUSTOMER: 0.25},
        silence_ratio=0.25,
        longest_silence_ms=900,
        interruptions={Role.AGENT: 1, Role.CUSTOMER: 0},
    )
    facts = AudioFacts(
        container="wav",
        codec="pcm_mulaw",
        sample_rate=8000,
        channels=2,
        duration_ms=60_000,
        speech_ms=40_000,
        talk=talk,
    )
    for measured in (facts, facts.model_copy(update={"talk": None, "channels": 1})):
        recording = Recording(
            conversation_id=conversation.id,
            revision=1,
            facts=measured,
            engine="whisper",
            language=None,
            language_ground="detected",
        )
        async with db.tenant_tx(tenant.id) as tx:
            await tx.renditions.put_recording(recording)
            assert await tx.renditions.recording(conversation.id, 1) == recording
