"""Audio transcription endpoints of OpenAI's form: OpenAI, Azure OpenAI, and servers of Whisper models that speak it.

One request a speaker's track, so who says what is known; a long track is cut in its silences, because endpoints take
about 25 MB, and a track where nobody speaks is not sent: models of the Whisper family make up words for silence. Word
times are used where the server gives them, else the times of its segments, else those of the speech on the track.
"""

import asyncio
import io
import math
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from domain.engine import EngineConfig, Usage
from domain.errors import EngineAnswerMalformed, EngineRejected, EngineTimeout
from domain.transcript import Segment, Transcript, Word
from engines.openai_sdk import connect, load_sdk, typed_error
from engines.parameters import EngineParameters, parameters_of
from engines.protocols import CallAudio, Progress, Samples, SpeakerTrack, TranscriptionAnswer, TranscriptionRequest
from engines.transcription.segments import SPEAKERS_NOT_SEPARATED, in_order, mean_confidence

TEST_RATE = 16_000
_TAG = 3
"""Longest primary subtag of a language tag; what is longer is a language's English name."""

_NAMES: Mapping[str, str] = {
    "arabic": "ar",
    "chinese": "zh",
    "czech": "cs",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hebrew": "he",
    "hindi": "hi",
    "hungarian": "hu",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "norwegian": "no",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "thai": "th",
    "turkish": "tr",
    "ukrainian": "uk",
    "vietnamese": "vi",
}
"""Verbose answers name the language in English."""


class OpenAIAudioParameters(EngineParameters):
    """`parameters` of a transcription engine of kind `openai_compatible`.

    api_version: makes it Azure OpenAI; response_format: `json` for models that give no times; minutes_per_request: a
    longer track is cut; timeout_seconds: of one request.
    """

    api_version: str | None = Field(default=None, pattern=r"^[0-9a-z.-]{1,40}$")
    response_format: Literal["verbose_json", "json"] = "verbose_json"
    minutes_per_request: float = Field(default=10.0, gt=0, le=120)
    timeout_seconds: float = Field(default=300.0, gt=0, le=1800)
    temperature: float | None = Field(default=0.0, ge=0, le=1)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Timed(_Part):
    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)


class _Word(_Timed):
    word: str
    probability: float | None = Field(default=None, ge=0, le=1)


class _Segment(_Timed):
    text: str
    avg_logprob: float | None = None


class _Heard(_Part):
    """The part of an answer that is read here: the SDK itself checks nothing."""

    text: str
    language: str | None = None
    segments: tuple[_Segment, ...] | None = None
    words: tuple[_Word, ...] | None = None


@dataclass(frozen=True)
class _Piece:
    """A stretch of a track that is sent in one request; times in ms of the call."""

    track: SpeakerTrack
    start_ms: int
    end_ms: int

    @property
    def samples(self) -> Samples:
        rate, start = self.track.sample_rate, self.track.start_ms
        first, last = ((at - start) * rate // 1000 for at in (self.start_ms, self.end_ms))
        return self.track.samples[first:last]

    @property
    def speech(self) -> tuple[int, int]:
        """From the first word spoken to the last, in ms of the call."""
        inside = [s for s in self.track.speech if s.start_ms < self.end_ms and s.end_ms > self.start_ms]
        return max(self.start_ms, inside[0].start_ms), min(self.end_ms, inside[-1].end_ms)


class OpenAICompatibleTranscription:
    """Fulfils `TranscriptionEngine`. Raises what every provider raises; its words hold neither key nor transcript."""

    def __init__(self, config: EngineConfig, secret: SecretStr | None) -> None:
        """Raises EngineRejected for parameters that are not valid, or where a key is needed and there is none."""
        self._parameters = parameters_of(OpenAIAudioParameters, config)
        key = secret.get_secret_value() if secret is not None else ""
        if not key and (config.endpoint is None or config.credentials is not None or self._parameters.api_version):
            raise EngineRejected(f"engine {config.name} needs an API key: its credentials lead to none")
        if self._parameters.api_version and config.endpoint is None:
            raise EngineRejected(f"engine {config.name}: Azure needs the address of the resource as its endpoint")
        self._config = config
        self._secret = SecretStr(key or "none")
        self._client: Any = None

    async def transcribe(
        self, audio: CallAudio, request: TranscriptionRequest, progress: Progress
    ) -> TranscriptionAnswer:
        pieces = [p for track in audio.tracks for p in _pieces(track, self._parameters.minutes_per_request)]
        segments: list[Segment] = []
        languages: list[str] = []
        progress(0.0)
        for number, piece in enumerate(pieces):
            heard = await self._listen(piece.samples, piece.track.sample_rate, request)
            tag = request.language or _tag(heard.language)
            languages += [tag] if tag else []
            segments += _segments(piece, heard, tag, audio.facts.duration_ms)
            progress((number + 1) / len(pieces))
        progress(1.0)
        separated = all(track.role is not None for track in audio.tracks)
        language = request.language or (max(languages, key=languages.count) if languages else None)
        ground = request.language_ground if request.language else "detected" if language else "not detected"
        transcript = Transcript(
            engine=self._config.name,
            model=self._config.model,
            language=language,
            language_ground=ground,
            segments=in_order(segments),
            duration_ms=audio.facts.duration_ms,
            speakers_separated=separated,
            notes=() if separated else (SPEAKERS_NOT_SEPARATED,),
        )
        sent_ms = sum(piece.end_ms - piece.start_ms for piece in pieces)
        return TranscriptionAnswer(transcript, Usage(requests=len(pieces), audio_ms=sent_ms))

    async def test(self) -> str:
        began = time.monotonic()
        silence = np.zeros(TEST_RATE, dtype=np.int16)
        await self._listen(silence, TEST_RATE, TranscriptionRequest("en"))
        return f"{self._config.model} heard one second in {time.monotonic() - began:.1f} s"

    async def _listen(self, samples: Samples, rate: int, request: TranscriptionRequest) -> _Heard:
        name, seconds = self._config.name, self._parameters.timeout_seconds
        client = await self._connected()
        try:
            file = ("track.wav", await asyncio.to_thread(_wav, samples, rate), "audio/wav")
            async with asyncio.timeout(seconds):
                found = await client.audio.transcriptions.create(
                    file=file, model=self._config.model, timeout=seconds, **self._options(request)
                )
        except TimeoutError:
            raise EngineTimeout(f"engine {name} did not answer within {seconds:.0f} s") from None
        except Exception as error:
            raise typed_error(error, name) from None
        try:
            content = found.model_dump(warnings=False) if isinstance(found, BaseModel) else found
            return _Heard.model_validate(content)
        except (ValidationError, ValueError, TypeError):
            raise EngineAnswerMalformed(f"engine {name} answered something that is not its API's JSON") from None

    def _options(self, request: TranscriptionRequest) -> dict[str, Any]:
        options: dict[str, Any] = {"response_format": self._parameters.response_format}
        if self._parameters.response_format == "verbose_json":
            options["timestamp_granularities"] = ["word", "segment"]
        if self._parameters.temperature is not None:
            options["temperature"] = self._parameters.temperature
        if request.language is not None:
            options["language"] = request.language.split("-", maxsplit=1)[0].lower()
        if request.vocabulary:
            options["prompt"] = ", ".join(request.vocabulary)
        return options

    async def _connected(self) -> Any:
        """The SDK's client, made in the running loop with the first request: loading the SDK takes a second."""
        if self._client is None:
            sdk = await asyncio.to_thread(load_sdk)
            key, version = self._secret.get_secret_value(), self._parameters.api_version
            self._client = connect(sdk, self._config.endpoint, key, azure_version=version)
        return self._client


def _pieces(track: SpeakerTrack, minutes: float) -> Iterator[_Piece]:
    """The track in pieces of at most so many minutes, each with speech; cut in the last silence that fits."""
    longest, start = round(minutes * 60_000), track.start_ms
    while start < track.end_ms:
        end = min(start + longest, track.end_ms)
        if end < track.end_ms:
            speaking = next((s for s in track.speech if s.start_ms < end < s.end_ms), None)
            if speaking is not None and speaking.start_ms > start:
                end = speaking.start_ms
        if any(s.start_ms < end and s.end_ms > start for s in track.speech):
            yield _Piece(track, start, end)
        start = end


def _segments(piece: _Piece, heard: _Heard, language: str | None, duration_ms: int) -> Iterator[Segment]:
    """The answer's segments in the call's time, each with the words whose middle is in it."""
    limit = min(piece.end_ms, duration_ms)

    def ms(seconds: float) -> int:
        return min(piece.start_ms + round(seconds * 1000), limit)

    if not heard.text.strip():
        return
    words = [
        Word(text=w.word.strip(), start_ms=ms(w.start), end_ms=max(ms(w.start), ms(w.end)), confidence=w.probability)
        for w in heard.words or ()
        if w.word.strip()
    ]
    first, last = piece.speech
    timed = heard.segments or (
        _Segment(start=(first - piece.start_ms) / 1000, end=(last - piece.start_ms) / 1000, text=heard.text),
    )
    for number, one in enumerate(timed):
        inside = [w for w in words if _belongs(w, timed, number, piece.start_ms)]
        if not one.text.strip():
            continue
        start = min([ms(one.start), *(w.start_ms for w in inside)])
        yield Segment(
            start_ms=start,
            end_ms=max([start, ms(one.end), *(w.end_ms for w in inside)]),
            text=one.text.strip(),
            channel=piece.track.channel,
            role=piece.track.role,
            language=language,
            words=tuple(inside),
            confidence=_confidence(one, inside),
        )


def _belongs(word: Word, timed: Sequence[_Segment], number: int, offset_ms: int) -> bool:
    """A word belongs to the last segment that has begun by its middle; the first one takes what comes before."""
    middle = ((word.start_ms + word.end_ms) / 2 - offset_ms) / 1000
    begun = [n for n, one in enumerate(timed) if one.start <= middle]
    return number == (begun[-1] if begun else 0)


def _confidence(segment: _Segment, words: Sequence[Word]) -> float | None:
    """The mean of the words', else e to the mean log probability of the segment's tokens."""
    known = mean_confidence(words)
    if known is None and segment.avg_logprob is not None:
        known = round(min(1.0, math.exp(min(0.0, segment.avg_logprob))), 4)
    return known


def _tag(language: str | None) -> str | None:
    """`en` for `en`, `english` and `English`; None for what is not known."""
    if not language:
        return None
    named = language.strip().lower()
    return named if named.isalpha() and len(named) <= _TAG else _NAMES.get(named)


def _wav(samples: Samples, rate: int) -> bytes:
    """One channel, 16 bit."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples, dtype="<i2").tobytes())
    return out.getvalue()
