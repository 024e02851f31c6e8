"""The part of Deepgram's pre-recorded answer that is read here, validated: the SDK itself checks nothing."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import EngineAnswerMalformed

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class WireWord(_Part):
    word: str
    start: Seconds
    end: Seconds
    confidence: Share | None = None
    punctuated_word: str | None = None


class WireUtterance(_Part):
    """A stretch of one voice. `speaker` is present when voices are told apart."""

    start: Seconds
    end: Seconds
    transcript: str
    confidence: Share | None = None
    channel: int = 0
    speaker: int | None = None
    words: tuple[WireWord, ...] = ()


class WireChannel(_Part):
    detected_language: str | None = None
    language_confidence: Share | None = None


class WireResults(_Part):
    channels: tuple[WireChannel, ...] = Field(min_length=1)
    utterances: tuple[WireUtterance, ...]


class WireModel(_Part):
    name: str
    version: str = ""


class WireMetadata(_Part):
    duration: Seconds
    channels: int = Field(ge=1)
    model_info: dict[str, WireModel] = Field(default_factory=dict)


class WireAnswer(_Part):
    metadata: WireMetadata
    results: WireResults

    @property
    def model(self) -> str | None:
        """What really answered, as Deepgram names it."""
        return next((f"{m.name} {m.version}".strip() for m in self.metadata.model_info.values()), None)


def read_answer(answer: Any, channels: int) -> WireAnswer:
    """The SDK's answer as what it should be, for audio with so many channels. Raises EngineAnswerMalformed."""
    content = answer.model_dump(warnings=False, exclude_none=True) if isinstance(answer, BaseModel) else answer
    try:
        read = WireAnswer.model_validate(content)
    except ValidationError as error:
        # Where it is wrong, never what it holds: the answer is a customer's words.
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the answer"
        raise EngineAnswerMalformed(f"Deepgram's answer is not readable at {where}") from None
    if len(read.results.channels) != channels or any(not 0 <= u.channel < channels for u in read.results.utterances):
        raise EngineAnswerMalformed(f"Deepgram's answer is not about {channels} channel(s)")
    return read
