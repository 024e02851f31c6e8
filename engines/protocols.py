"""What each family of engines promises. A provider is one file that fulfils one of these, and one registry line.

Every method raises errors of `domain.errors` only. No adapter retries by itself: retries are the orchestration's.
Models are loaded once per process, on first use, never at import.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from domain.arrivals import Arrival, RawItem
from domain.audio import AudioFacts, SpeechSpan
from domain.conversation import Role
from domain.engine import EngineConfig, Usage
from domain.fields import CustomField
from domain.mapping import SourceMapping
from domain.transcript import Transcript
from domain.turns import Redaction, Turn

Samples = NDArray[np.int16]
"""Mono audio as 16-bit PCM, shape (n,): half the memory of floats, and no call is recorded finer."""

Progress = Callable[[float], None]
"""Called with the share done, 0..1, whenever there is progress: the activity turns it into a heartbeat."""


@dataclass(frozen=True)
class AudioFile:
    """One file as it was handed in. `speakers` names each channel in order: a role, or None for "mixed".

    offset_ms: where the file starts in the call.
    """

    data: bytes = field(repr=False)
    speakers: tuple[Role | None, ...]
    offset_ms: int = 0


@dataclass(frozen=True)
class SpeakerTrack:
    """One speaker's audio. `role` is None when several speakers share the track.

    channel: number of the track among all channels of all files, in order. The first sample is `start_ms` into the
    call; `speech` is in the call's own time, disjoint and in order.
    """

    role: Role | None
    channel: int
    samples: Samples = field(repr=False)
    sample_rate: int
    speech: tuple[SpeechSpan, ...]
    start_ms: int = 0

    @property
    def end_ms(self) -> int:
        """Where the track ends in the call."""
        return self.start_ms + len(self.samples) * 1000 // self.sample_rate


@dataclass(frozen=True)
class CallAudio:
    """A decoded call: its tracks at one sample rate (Hz), its facts, and the files it came from."""

    tracks: tuple[SpeakerTrack, ...]
    facts: AudioFacts
    files: tuple[AudioFile, ...]


class AudioDecoder(Protocol):
    """Decodes WAV, FLAC, MP3, M4A, OGG/Opus; 8-48 kHz.

    Raises UnsupportedMedia (not audio, or not a kind or rate read here), UndecodableContent (damaged, truncated to
    nothing, channel count other than said), TooLarge (longer than `max_duration_ms`). A truncated file that still
    holds audio is decoded and noted; so is a recording without speech. Blocking: call it in a thread; `progress` is
    called in that thread.
    """

    def decode(self, files: Sequence[AudioFile], *, max_duration_ms: int, progress: Progress) -> CallAudio: ...


@dataclass(frozen=True)
class TranscriptionRequest:
    """language: BCP-47 tag when it is known (with its ground), None to detect among `candidates` (all when empty)."""

    language: str | None = None
    language_ground: str = "detected"
    candidates: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class TranscriptionAnswer:
    transcript: Transcript
    usage: Usage
    raw: str | None = None


@runtime_checkable
class TranscriptionEngine(Protocol):
    """Turns a call into a transcript. Silence gives no text."""

    async def transcribe(
        self, audio: CallAudio, request: TranscriptionRequest, progress: Progress
    ) -> TranscriptionAnswer: ...

    async def test(self) -> str:
        """Sends a real small request; answers what was seen in a few words."""
        ...


@dataclass(frozen=True)
class AnswerRequest:
    """One request to a language model.

    system: the same for all tasks (rules of answering); prompt: the task's own rendered words; turns: redacted;
    schema: `domain.fields.answer_schema` of `fields`. `facts` are measured by code (durations, waiting times).
    prefix_shared: other requests with the same system text and turns follow soon, so a cache for it pays.
    """

    system: str
    prompt: str
    turns: tuple[Turn, ...]
    fields: tuple[CustomField, ...]
    schema: Mapping[str, Any]
    language: str | None = None
    evidence_role: Role | None = None
    facts: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    max_output_tokens: int = 1024
    timeout_seconds: float = 60.0
    prefix_shared: bool = False


@dataclass(frozen=True)
class ModelAnswer:
    """text: the answer as it came (JSON expected). model: as the provider names what really answered. by: the engine
    that answered, None for the one that was asked: a fallback answers at its own price and under its own name."""

    text: str
    model: str
    usage: Usage
    by: EngineConfig | None = None


@runtime_checkable
class LanguageModelEngine(Protocol):
    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer: ...

    async def test(self) -> str: ...


class Redactor(Protocol):
    """Masks personal data in turns. Blocking (CPU): call it in a thread.

    `names` are people known from the conversation's participants: masked wherever they appear.
    """

    @property
    def version(self) -> str: ...

    def redact(
        self, turns: Sequence[Turn], *, language: str | None, names: Sequence[str], progress: Progress
    ) -> Redaction: ...


@dataclass(frozen=True)
class LanguageGuess:
    """language: BCP-47 tag or None when the text gives no ground; confidence 0..1."""

    language: str | None
    confidence: float


class FormatReader(Protocol):
    """Reads what a source sends in its own form. Blocking; pure: the same bytes give the same arrivals."""

    def items(self, body: BinaryIO, *, media_type: str, received_at: datetime, name: str | None) -> Iterator[RawItem]:
        """Cuts a file or body into items, as it is read: memory is bounded by the largest item.

        Raises InvalidInput when the whole of it cannot be read.
        """
        ...

    def read(self, item: RawItem, mapping: SourceMapping | None) -> Sequence[Arrival]:
        """Raises InvalidInput naming the field and the reason."""
        ...


class LanguageIdentifier(Protocol):
    def identify(self, text: str, candidates: Sequence[str] = ()) -> LanguageGuess: ...
