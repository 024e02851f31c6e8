"""Engines that answer at once: what is left is orchestration and storage. For tests of the stages and for the bench."""

import json
from collections.abc import Callable, Sequence

from domain.conversation import Role
from domain.engine import EngineConfig, Usage
from domain.errors import EngineError
from domain.fields import CustomField
from domain.transcript import Segment, Transcript
from domain.turns import Redaction, Turn
from engines.protocols import (
    AnswerRequest,
    CallAudio,
    LanguageGuess,
    LanguageModelEngine,
    ModelAnswer,
    Progress,
    TranscriptionAnswer,
    TranscriptionEngine,
    TranscriptionRequest,
)


class InstantRedactor:
    """Masks nothing."""

    version = "instant-1"

    def redact(
        self, turns: Sequence[Turn], *, language: str | None, names: Sequence[str], progress: Progress
    ) -> Redaction:
        return Redaction(
            turns=tuple(turns), masks=(), redactor=self.version, detectors=("none",), names_detected=language == "en"
        )


class InstantLanguages:
    """Everything is English."""

    def identify(self, text: str, candidates: Sequence[str] = ()) -> LanguageGuess:
        return LanguageGuess("en", 1.0)


def unknown(request: AnswerRequest) -> str:
    """Unknown for every field."""
    return json.dumps({f.key: {"kind": "unknown", "explanation": "", "evidence": []} for f in request.fields})


def known(value_of: Callable[[CustomField], object]) -> Callable[[AnswerRequest], str]:
    """The same value for every conversation, with the longest turn of the required role as its quote."""

    def answer(request: AnswerRequest) -> str:
        return json.dumps(
            {
                f.key: {
                    "kind": "inferred",
                    "value": value_of(f),
                    "explanation": "",
                    "evidence": evidence(request, task.evidence_role),
                }
                for task in request.tasks
                for f in task.fields
            }
        )

    def evidence(request: AnswerRequest, role: Role | None) -> list[dict[str, object]]:
        said = [t for t in request.turns if t.role.may_be(role)] or request.turns
        longest = max(said, key=lambda t: len(t.text))
        return [{"turn": longest.number, "quote": longest.text[:200].rsplit(" ", 1)[0]}]

    return answer


def some_value(field: CustomField) -> object:
    """A valid value of any field."""
    if field.live_options:
        return field.live_options[0].id
    return int(field.minimum or 1) if field.type.value in ("integer", "decimal") else "Some text."


class InstantLanguageModel:
    """Answers by a function; `faults` are raised first, one a request."""

    def __init__(self, answer: Callable[[AnswerRequest], str] = unknown, faults: Sequence[EngineError] = ()) -> None:
        self._answer = answer
        self._faults = list(faults)
        self.requests: list[AnswerRequest] = []

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        self.requests.append(request)
        if self._faults:
            raise self._faults.pop(0)
        return ModelAnswer(self._answer(request), "instant-1", Usage(input_tokens=100, output_tokens=10))

    async def test(self) -> str:
        return "instant"


class InstantTranscription:
    """Hears the same sentence on every track that has speech."""

    def __init__(self) -> None:
        self.requests = 0

    async def transcribe(
        self, audio: CallAudio, request: TranscriptionRequest, progress: Progress
    ) -> TranscriptionAnswer:
        self.requests += 1
        segments = tuple(
            Segment(
                start_ms=track.speech[0].start_ms,
                end_ms=track.speech[-1].end_ms,
                text="my parcel has not arrived and I want my money back please",
                channel=track.channel,
                role=track.role,
            )
            for track in audio.tracks
            if track.speech
        )
        transcript = Transcript(
            engine="instant",
            model="instant-1",
            language=request.language or "en",
            language_ground=request.language_ground,
            segments=segments,
            duration_ms=audio.facts.duration_ms,
        )
        return TranscriptionAnswer(transcript, Usage(audio_ms=audio.facts.duration_ms))

    async def test(self) -> str:
        return "instant"


class InstantEngines:
    """The same two engines whatever is configured."""

    def __init__(
        self, model: LanguageModelEngine | None = None, transcription: TranscriptionEngine | None = None
    ) -> None:
        self.model = model or InstantLanguageModel()
        self.heard = transcription or InstantTranscription()

    def transcription(self, config: EngineConfig) -> TranscriptionEngine:
        return self.heard

    def language_model(self, config: EngineConfig, fallback: Sequence[EngineConfig] = ()) -> LanguageModelEngine:
        return self.model
