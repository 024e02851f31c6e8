"""Threads and transcripts: the redacted rendition, or the original for who may see it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.schemas.common import NoteOut, Out
from domain.audio import AudioFacts
from domain.conversation import Channel, Participant, Role
from domain.intake import Automatic
from domain.transcript import Message, SealedRendition
from domain.turns import Turn
from services.read_conversation import Words


class RenditionKind(StrEnum):
    REDACTED = "redacted"
    ORIGINAL = "original"


class TurnOut(Out):
    """One utterance or message: `at` for messages, start_ms and end_ms for calls."""

    number: int
    role: Role
    participant_id: str
    text: str
    at: datetime | None
    start_ms: int | None
    end_ms: int | None
    language: str | None

    @classmethod
    def of(cls, turn: Turn) -> "TurnOut":
        return cls.model_validate(turn.model_dump())


class AttachmentOut(Out):
    """A file that came with a message: its name, not its content. size: bytes."""

    name: str
    media_type: str
    size: int | None


class MessageOut(Out):
    """A message as it was sent, quotes and signatures included. Original rendition only.

    automatic: nobody wrote it by hand.
    """

    id: str
    participant_id: str
    role: Role
    at: datetime
    subject: str | None
    text_as_sent: str
    attachments: list[AttachmentOut]
    automatic: Automatic | None

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        return cls.model_validate(
            {name: value for name, value in message.model_dump().items() if name in cls.model_fields}
        )


class PersonOut(Out):
    """Original rendition only."""

    id: str
    role: Role
    name: str | None
    address: str | None

    @classmethod
    def of(cls, participant: Participant) -> "PersonOut":
        return cls(id=participant.id, role=participant.role, name=participant.name, address=participant.address)


class TranscriptFacts(Out):
    """How a call's words came about. language_ground says how the language was chosen."""

    engine: str
    model: str
    language: str | None
    language_ground: str
    segments: int
    duration_ms: int
    speakers_separated: bool


class AudioFactsOut(Out):
    """What was measured in the audio, by code; ratios are 0..1. Talk facts need one speaker per channel."""

    container: str
    codec: str
    sample_rate: int
    channels: int
    duration_ms: int
    speech_ms: int
    talk_ratio: dict[str, float] | None
    silence_ratio: float | None
    longest_silence_ms: int | None
    interruptions: dict[str, int] | None
    notes: list[NoteOut]

    @classmethod
    def of(cls, facts: AudioFacts) -> "AudioFactsOut":
        talk = facts.talk
        return cls(
            container=facts.container,
            codec=facts.codec,
            sample_rate=facts.sample_rate,
            channels=facts.channels,
            duration_ms=facts.duration_ms,
            speech_ms=facts.speech_ms,
            talk_ratio={role.value: ratio for role, ratio in talk.talk_ratio.items()} if talk else None,
            silence_ratio=talk.silence_ratio if talk else None,
            longest_silence_ms=talk.longest_silence_ms if talk else None,
            interruptions={role.value: count for role, count in talk.interruptions.items()} if talk else None,
            notes=[NoteOut(code=n.code, detail=n.detail) for n in facts.notes],
        )


class WordsOut(Out):
    """The turns of one revision. Turn numbers and offsets of evidence refer to the redacted ones.

    names_detected is False when the language has no detector for names: patterns only were masked.
    """

    conversation_id: str
    channel: Channel
    revision: int
    rendition: RenditionKind
    language: str | None
    content_hash: str = Field(description="SHA-256 of the redacted turns with the redactor's version.")
    redactor: str
    names_detected: bool
    notes: list[NoteOut]
    turns: list[TurnOut]
    transcript: TranscriptFacts | None = None
    audio: AudioFactsOut | None = None
    messages: Annotated[list[MessageOut] | None, Field(description="Original rendition of a thread only.")] = None
    participants: Annotated[list[PersonOut] | None, Field(description="Original rendition only.")] = None

    @classmethod
    def of(cls, words: Words, original: SealedRendition | None) -> "WordsOut":
        rendition, made = words.rendition, words.transcript
        facts = None
        if made is not None:
            facts = TranscriptFacts.model_validate({name: getattr(made, name) for name in TranscriptFacts.model_fields})
        return cls(
            conversation_id=rendition.conversation_id,
            channel=words.conversation.channel,
            revision=rendition.revision,
            rendition=RenditionKind.REDACTED if original is None else RenditionKind.ORIGINAL,
            language=rendition.language,
            content_hash=rendition.content_hash,
            redactor=rendition.redactor,
            names_detected=rendition.names_detected,
            notes=[NoteOut(code=n.code, detail=n.detail) for n in rendition.notes],
            turns=[TurnOut.of(turn) for turn in (rendition.turns if original is None else original.turns)],
            transcript=facts,
            audio=AudioFactsOut.of(words.recording.facts) if words.recording else None,
            messages=_messages(original),
            participants=None if original is None else [PersonOut.of(p) for p in words.conversation.participants],
        )


def _messages(original: SealedRendition | None) -> list[MessageOut] | None:
    if original is None or not original.messages:
        return None
    return [MessageOut.of(message) for message in original.messages]
