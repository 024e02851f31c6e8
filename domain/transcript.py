"""Transcript of a call and thread of messages: immutable, one is current; both give turns."""

from datetime import datetime

from pydantic import Field

from domain.conversation import Frozen, Note, Role
from domain.intake import AttachmentIn, Automatic
from domain.turns import Mask, Turn


class Word(Frozen):
    """One word with its time in ms and the engine's confidence 0..1 (None when it gives none)."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


class Segment(Frozen):
    """A stretch of one speaker. `channel` is the audio channel (0, 1, …); `speaker` the engine's label if any."""

    start_ms: int = Field(ge=0)
    end_ms: int = Field(ge=0)
    text: str
    channel: int | None = None
    speaker: str | None = None
    role: Role | None = None
    participant_id: str | None = None
    language: str | None = None
    words: tuple[Word, ...] = ()
    confidence: float | None = None


class Transcript(Frozen):
    """What an engine (or the sender) says was said. Ordered by start. Original rendition: never shown as it is.

    language: BCP-47 tag of the whole; language_ground: how it was chosen (`hint`, `configured`, `detected 0.98`).
    speakers_separated is False for mono audio without diarization: roles are then unknown and said so.
    """

    engine: str
    model: str
    language: str | None
    language_ground: str
    segments: tuple[Segment, ...]
    duration_ms: int
    speakers_separated: bool = True
    notes: tuple[Note, ...] = ()


class Message(Frozen):
    """One message of a thread. `text_as_sent` is what came; `text` is as read: quotes and signatures off. attachments:
    files that came with it, by name. automatic: nobody wrote it by hand."""

    id: str
    participant_id: str
    role: Role
    at: datetime
    text_as_sent: str
    text: str
    subject: str | None = None
    attachments: tuple[AttachmentIn, ...] = ()
    automatic: Automatic | None = None
    notes: tuple[Note, ...] = ()


class Thread(Frozen):
    """Messages in order of time, equal times in order of arrival."""

    messages: tuple[Message, ...]
    notes: tuple[Note, ...] = ()


class SealedRendition(Frozen):
    """The original rendition as it is kept encrypted: the turns as said or sent, the messages as they came, and the
    map from masks to what they hide."""

    turns: tuple[Turn, ...]
    masks: tuple[Mask, ...]
    messages: tuple[Message, ...] = ()
