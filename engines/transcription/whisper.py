"""Whisper on this machine (faster-whisper: CTranslate2, 8-bit weights): each speaker's track on its own.

Decoding is pinned, so the same audio gives the same words: beam of 5, temperature 0 without a random fallback, no
text carried from one window to the next (an error would be carried too). `docs/adr` tells what was tried.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from domain.audio_facts import length_ms
from domain.conversation import Note
from domain.engine import EngineConfig, Usage
from domain.errors import EngineRejected, EngineUnavailable
from domain.transcript import Segment, Transcript, Word
from engines.parameters import EngineParameters, parameters_of
from engines.protocols import CallAudio, Progress, SpeakerTrack, TranscriptionAnswer, TranscriptionRequest
from engines.transcription.segments import SPEAKERS_NOT_SEPARATED, Speaker, in_order, segments_of
from engines.transcription.whisper_model import PINNED, ModelFiles, WhisperModels, find_model
from engines.transcription.windows import windows_of

MODELS = WhisperModels()
"""What this process has loaded."""

_DECODING: Mapping[str, Any] = {
    "beam_size": 5,
    "temperature": 0.0,
    "condition_on_previous_text": False,
    "word_timestamps": True,
    "vad_filter": False,  # the windows hold speech only
}
_CIRCLING = 2.4
"""Whisper's own threshold for text that repeats itself: its length by its length compressed."""
_ENGLISH = "en"
_MOST_THREADS = 4


class WhisperParameters(EngineParameters):
    """`parameters` of an engine of kind `whisper`.

    model_folder: where the operator keeps the model; model_sha256: the SHA-256 its files must have, by file name
    (known ones are checked anyway); download: whether the hub may be asked; cpu_threads: 0 for as many as there are
    cores, up to four.
    """

    model_folder: str | None = None
    model_sha256: dict[str, str] = Field(default_factory=dict)
    download: bool = True
    cpu_threads: int = Field(default=0, ge=0, le=64)


@dataclass(frozen=True)
class _Language:
    tag: str
    ground: str
    notes: tuple[Note, ...] = ()


class WhisperEngine:
    """Fulfils `TranscriptionEngine`. Work is done in a thread; `progress` is called in the event loop's own thread.

    Raises EngineRejected (no such model, files that are not the pinned ones, a language the model does not know)
    and EngineUnavailable.
    """

    def __init__(self, config: EngineConfig, models: WhisperModels = MODELS) -> None:
        self._name = config.name
        self._model_name = config.model
        self._models = models
        self._parameters = parameters_of(WhisperParameters, config)

    async def transcribe(
        self, audio: CallAudio, request: TranscriptionRequest, progress: Progress
    ) -> TranscriptionAnswer:
        loop = asyncio.get_running_loop()
        given_up = threading.Event()

        def report(share: float) -> None:
            if given_up.is_set():
                raise _GivenUp
            loop.call_soon_threadsafe(progress, share)

        try:
            return await asyncio.to_thread(self._transcribe, audio, request, report)
        finally:
            given_up.set()  # a thread cannot be cancelled: it sees this at its next report

    async def test(self) -> str:
        return await asyncio.to_thread(self._test)

    def _test(self) -> str:
        files = self._find()
        started = time.monotonic()
        model = self._load(files)
        list(model.transcribe(np.zeros(16_000, dtype=np.float32), language=_ENGLISH, **_DECODING)[0])
        seconds = time.monotonic() - started
        return f"{self._model_name} from the {files.origin} loaded and heard one second in {seconds:.1f} s"

    def _transcribe(self, audio: CallAudio, request: TranscriptionRequest, progress: Progress) -> TranscriptionAnswer:
        model = self._load(self._find())
        progress(0.0)
        try:
            language = self._language(model, audio, request)
            segments = in_order(self._segments(model, audio, language, request, progress))
        except (RuntimeError, MemoryError) as error:
            raise EngineUnavailable(f"the Whisper model failed: {type(error).__name__}") from error
        progress(1.0)
        separated = all(track.role is not None for track in audio.tracks)
        transcript = Transcript(
            engine=self._name,
            model=self._model_name,
            language=language.tag,
            language_ground=language.ground,
            segments=segments,
            duration_ms=audio.facts.duration_ms,
            speakers_separated=separated,
            notes=language.notes if separated else (*language.notes, SPEAKERS_NOT_SEPARATED),
        )
        heard_ms = sum(track.end_ms - track.start_ms for track in audio.tracks)
        return TranscriptionAnswer(transcript, Usage(audio_ms=heard_ms))

    def _find(self) -> ModelFiles:
        return find_model(self._model_name, self._parameters.model_folder, download=self._parameters.download)

    def _load(self, files: ModelFiles) -> Any:
        expected = {**PINNED.get(self._model_name, {}), **self._parameters.model_sha256}
        return self._models.load(files, expected, self._parameters.cpu_threads or _cores())

    def _segments(
        self, model: Any, audio: CallAudio, language: _Language, request: TranscriptionRequest, progress: Progress
    ) -> Iterator[Segment]:
        total = sum(len(track.samples) for track in audio.tracks)
        before = 0
        for track in audio.tracks:
            words = self._words(model, track, language.tag, request.vocabulary, _share(progress, before, total))
            yield from segments_of(words, Speaker(track.channel, track.role), language.tag)
            before += len(track.samples)

    def _words(
        self, model: Any, track: SpeakerTrack, language: str, vocabulary: tuple[str, ...], heard: Callable[[int], None]
    ) -> Iterator[Word]:
        """The track's words in the call's time. `heard` is told how many samples have been gone through."""
        for window in windows_of(track.samples, track.sample_rate, heard):
            for segment in _heard(model, window.audio(track.samples), language, vocabulary):
                for word in segment.words or ():
                    start_ms, end_ms = window.original(word.start, word.end, track.sample_rate)
                    yield Word(
                        text=word.word,
                        start_ms=track.start_ms + start_ms,
                        end_ms=track.start_ms + end_ms,
                        confidence=round(min(1.0, max(0.0, word.probability)), 4),
                    )

    def _language(self, model: Any, audio: CallAudio, request: TranscriptionRequest) -> _Language:
        """The language asked for, the model's only one, or the likeliest of the candidates by what is heard."""
        known = set(model.supported_languages)
        if request.language is not None:
            if _whisper_code(request.language) not in known:
                raise self._unknown_language(request.language)
            return _Language(request.language, request.language_ground)
        candidates = [tag for tag in request.candidates if _whisper_code(tag) in known]
        if request.candidates and not candidates:
            raise self._unknown_language(", ".join(request.candidates))
        if known == {_ENGLISH}:
            note = Note(code="language_assumed", detail=f"the model {self._model_name} hears English only")
            tag = candidates[0] if candidates else _ENGLISH
            return _Language(tag, "assumed: the model hears English only", (note,))
        return _detected(model, audio, candidates)

    def _unknown_language(self, asked: str) -> EngineRejected:
        return EngineRejected(f"the Whisper model {self._model_name} does not know the language asked for: {asked}")


def _heard(model: Any, audio: NDArray[np.float32], language: str, vocabulary: tuple[str, ...]) -> list[Any]:
    """What the model hears in a window, as `faster_whisper` segments.

    A beam without a random fallback may circle in one phrase; text that compresses too well shows it, and the window
    is heard again with no three words allowed twice.
    """

    options = {**_DECODING, "language": _whisper_code(language), "hotwords": ", ".join(vocabulary) or None}

    def hear(**more: Any) -> list[Any]:
        segments, _ = model.transcribe(audio, **options, **more)
        return list(segments)

    segments = hear()
    if any(segment.compression_ratio > _CIRCLING for segment in segments):
        return hear(no_repeat_ngram_size=3)
    return segments


class _GivenUp(Exception):
    """Nobody waits for the answer any more."""


def likeliest(probabilities: Mapping[str, float], candidates: list[str]) -> tuple[str, float]:
    """The likeliest candidate (any language when there are none) and its share of the candidates' probability."""
    shares = {tag: probabilities.get(_whisper_code(tag), 0.0) for tag in candidates} or dict(probabilities)
    best = max(shares, key=lambda tag: shares[tag])
    total = sum(shares.values())
    return best, shares[best] / total if total else 0.0


def _detected(model: Any, audio: CallAudio, candidates: list[str]) -> _Language:
    """By the first window of whoever speaks most. Nobody speaks: the first candidate, without ground."""
    for track in sorted(audio.tracks, key=lambda t: length_ms(t.speech), reverse=True):
        for window in windows_of(track.samples, track.sample_rate):
            _, _, probabilities = model.detect_language(window.audio(track.samples))
            tag, confidence = likeliest(dict(probabilities), candidates)
            return _Language(tag, f"detected {confidence:.2f}")
    return _Language(candidates[0] if candidates else "und", "assumed: nobody speaks")


def _whisper_code(tag: str) -> str:
    """Whisper knows languages by their primary subtag."""
    return tag.split("-", maxsplit=1)[0].lower()


def _share(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda samples: progress((before + samples) / max(total, 1))


def _cores() -> int:
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)))
