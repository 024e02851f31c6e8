"""Facts about a call's audio, measured by code."""

from pydantic import Field

from domain.conversation import Frozen, Note, Role


class SpeechSpan(Frozen):
    """A stretch of speech on one channel, in ms from the start of the call."""

    start_ms: int = Field(ge=0)
    end_ms: int = Field(ge=0)


class TalkFacts(Frozen):
    """Talk, silence and interruptions of a call. Needs one speaker per channel; ratios are 0..1 of the duration.

    An interruption is counted when a speaker starts while the other has been speaking for at least 500 ms and both
    go on together for at least 300 ms.
    """

    talk_ratio: dict[Role, float]
    silence_ratio: float
    longest_silence_ms: int
    interruptions: dict[Role, int]


class AudioFacts(Frozen):
    """What decoding measured. `talk` is None when speakers share a channel, and the note says so."""

    container: str
    codec: str
    sample_rate: int
    channels: int
    duration_ms: int
    speech_ms: int
    talk: TalkFacts | None
    notes: tuple[Note, ...] = ()
