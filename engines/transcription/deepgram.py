"""Deepgram, pre-recorded, through its official SDK. The original bytes are sent, one request a file.

One speaker a channel: Deepgram hears the channels apart (`multichannel`). Several speakers on a channel: it tells the
voices apart (`diarize_model`), which gives speakers without roles. The SDK's own retries are off.
"""

import asyncio
import io
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import Field, SecretStr

from domain.conversation import Note, Role
from domain.engine import EngineConfig, Usage
from domain.errors import (
    EngineAnswerMalformed,
    EngineError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from domain.transcript import Segment, Transcript, Word
from engines.parameters import EngineParameters, parameters_of
from engines.protocols import AudioFile, CallAudio, Progress, TranscriptionAnswer, TranscriptionRequest
from engines.provider_errors import error_of_status
from engines.transcription.deepgram_wire import WireAnswer, WireUtterance, read_answer
from engines.transcription.segments import SPEAKERS_NOT_SEPARATED, in_order
from engines.trust import trusted

_ADDRESS = "https://api.deepgram.com"
_CONNECT_SECONDS = 10.0
_KEYTERM_MODELS = ("nova-3", "flux")
_ROLES_UNKNOWN = Note(
    code="roles_unknown", detail="the voices on a channel are told apart, and which of them is the agent is not known"
)


class DeepgramParameters(EngineParameters):
    """`parameters` of an engine of kind `deepgram`.

    timeout_seconds: of one request; diarize_model: which diarizer tells voices apart; mip_opt_out: recordings are not
    for Deepgram's own use unless the operator says so.
    """

    timeout_seconds: float = Field(default=100.0, gt=0, le=600)
    diarize_model: str = Field(default="latest", max_length=40)
    mip_opt_out: bool = True


@dataclass(frozen=True)
class _Heard:
    """One file's answer, and where its channels and its time are in the call."""

    file: AudioFile
    first_channel: int
    answer: WireAnswer


class DeepgramEngine:
    """Fulfils `TranscriptionEngine`. Holds no connection between calls.

    Raises EngineRejected (400, 401, 403 …), EngineQuotaExhausted (402), EngineRateLimited (429), EngineUnavailable
    (5xx, no connection), EngineTimeout, EngineAnswerMalformed. Their words hold neither key nor transcript.
    """

    def __init__(self, config: EngineConfig, secret: SecretStr | None) -> None:
        if secret is None or not secret.get_secret_value():
            raise EngineRejected(f"engine {config.name}: Deepgram needs a key, and no credentials are set")
        self._parameters = parameters_of(DeepgramParameters, config)
        self._name = config.name
        self._model = config.model
        self._address = (config.endpoint or _ADDRESS).rstrip("/")
        self._secret = secret

    async def transcribe(
        self, audio: CallAudio, request: TranscriptionRequest, progress: Progress
    ) -> TranscriptionAnswer:
        heard: list[_Heard] = []
        first_channel = 0
        for number, file in enumerate(audio.files):
            answer = await self._listen(file, request)
            heard.append(_Heard(file, first_channel, answer))
            first_channel += len(file.speakers)
            progress((number + 1) / len(audio.files))
        seconds = sum(h.answer.metadata.duration * h.answer.metadata.channels for h in heard)
        usage = Usage(requests=len(heard), audio_ms=round(seconds * 1000))
        return TranscriptionAnswer(self._transcript(audio, request, heard), usage)

    async def test(self) -> str:
        started = time.monotonic()
        answer = await self._listen(AudioFile(_one_second_of_silence(), (Role.AGENT,)), TranscriptionRequest("en"))
        return f"{answer.model or self._model} answered in {time.monotonic() - started:.1f} s"

    async def _listen(self, file: AudioFile, request: TranscriptionRequest) -> WireAnswer:
        from deepgram import AsyncDeepgramClient
        from deepgram.core.api_error import ApiError
        from deepgram.core.parse_error import ParsingError
        from deepgram.environment import DeepgramClientEnvironment

        limit = self._parameters.timeout_seconds
        here = DeepgramClientEnvironment(
            base=self._address, production=self._address, agent=self._address, agent_rest=self._address
        )
        timeout = httpx.Timeout(limit, connect=min(_CONNECT_SECONDS, limit))
        try:
            async with asyncio.timeout(limit), httpx.AsyncClient(verify=trusted(), timeout=timeout) as connection:
                client = AsyncDeepgramClient(
                    api_key=self._secret.get_secret_value(), environment=here, httpx_client=connection, max_retries=0
                )
                answer = await client.listen.v1.media.transcribe_file(request=file.data, **self._options(file, request))
        except (TimeoutError, httpx.TimeoutException):
            raise EngineTimeout(f"Deepgram did not answer within {limit:.0f} s") from None
        except ApiError as error:
            raise _typed(error.status_code, error.headers, error.body) from None
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise EngineUnavailable(f"no connection to Deepgram: {type(error).__name__}") from None
        except (ParsingError, ValueError, TypeError):
            raise EngineAnswerMalformed("Deepgram's answer is not readable") from None
        return read_answer(answer, len(file.speakers))

    def _options(self, file: AudioFile, request: TranscriptionRequest) -> dict[str, Any]:
        """What is asked of Deepgram for one file."""
        options: dict[str, Any] = {
            "model": self._model,
            "smart_format": True,
            "utterances": True,
            "mip_opt_out": self._parameters.mip_opt_out,
            "request_options": {"max_retries": 0, "timeout": self._parameters.timeout_seconds},
        }
        if len(file.speakers) > 1:
            options["multichannel"] = True
        if None in file.speakers:
            options["diarize_model"] = self._parameters.diarize_model
        if request.language is not None:
            options["language"] = request.language
        elif request.candidates:
            # The SDK types this as a flag; the API also takes the languages to choose from.
            primary = [tag.split("-", maxsplit=1)[0] for tag in request.candidates]
            options["request_options"]["additional_query_parameters"] = {"detect_language": primary}
        else:
            options["detect_language"] = True
        if request.vocabulary:
            known_as = "keyterm" if self._model.startswith(_KEYTERM_MODELS) else "keywords"
            options[known_as] = list(request.vocabulary)
        return options

    def _transcript(self, audio: CallAudio, request: TranscriptionRequest, heard: Sequence[_Heard]) -> Transcript:
        mixed = sum(role is None for file in audio.files for role in file.speakers)
        segments = in_order(
            segment for one in heard for segment in _segments(one, request.language, audio.facts.duration_ms, mixed)
        )
        told_apart = any(s.speaker is not None for s in segments)
        separated = not mixed or (told_apart and all(s.role or s.speaker for s in segments))
        notes: tuple[Note, ...] = ()
        if mixed:
            notes = (_ROLES_UNKNOWN,) if separated else (SPEAKERS_NOT_SEPARATED,)
        language, ground = _language(request, heard)
        return Transcript(
            engine=self._name,
            model=heard[0].answer.model or self._model,
            language=language,
            language_ground=ground,
            segments=segments,
            duration_ms=audio.facts.duration_ms,
            speakers_separated=separated,
            notes=notes,
        )


def _segments(heard: _Heard, asked: str | None, duration_ms: int, mixed: int) -> Iterator[Segment]:
    """A file's utterances in the call's time. A voice's label names its channel too when several are mixed."""

    def ms(seconds: float) -> int:
        return min(heard.file.offset_ms + round(seconds * 1000), duration_ms)

    for utterance in heard.answer.results.utterances:
        if not utterance.transcript.strip():
            continue
        channel = heard.first_channel + utterance.channel
        role = heard.file.speakers[utterance.channel]
        label = None
        if role is None and utterance.speaker is not None:
            label = str(utterance.speaker) if mixed == 1 else f"{channel}-{utterance.speaker}"
        yield Segment(
            start_ms=ms(utterance.start),
            end_ms=max(ms(utterance.start), ms(utterance.end)),
            text=utterance.transcript.strip(),
            channel=channel,
            speaker=label,
            role=role,
            language=asked or heard.answer.results.channels[utterance.channel].detected_language,
            words=tuple(_words(utterance, ms)),
            confidence=utterance.confidence,
        )


def _words(utterance: WireUtterance, ms: Callable[[float], int]) -> Iterator[Word]:
    for word in utterance.words:
        yield Word(
            text=word.punctuated_word or word.word,
            start_ms=ms(word.start),
            end_ms=max(ms(word.start), ms(word.end)),
            confidence=word.confidence,
        )


def _language(request: TranscriptionRequest, heard: Sequence[_Heard]) -> tuple[str | None, str]:
    """(language, ground): the one asked for, or the one detected on most channels, with its least confidence."""
    if request.language is not None:
        return request.language, request.language_ground
    found: dict[str, list[float]] = {}
    for one in heard:
        for channel in one.answer.results.channels:
            if channel.detected_language:
                found.setdefault(channel.detected_language, []).append(channel.language_confidence or 0.0)
    if not found:
        return None, "not detected"
    language = max(found, key=lambda tag: (len(found[tag]), min(found[tag])))
    return language, f"detected {min(found[language]):.2f}"


def _typed(status: int | None, headers: dict[str, str] | None, body: Any) -> EngineError:
    """Our error for an HTTP status. Only Deepgram's error code is repeated: its messages may quote the request."""
    codes = (body.get("err_code"), body.get("category")) if isinstance(body, dict) else ()
    return error_of_status("Deepgram", status or 0, headers=headers, codes=codes)


def _one_second_of_silence() -> bytes:
    """A WAV file: 8 kHz, 16 bit, one channel."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(16_000))
    return out.getvalue()
