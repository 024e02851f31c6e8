"""What the suites of transcription engines share: engines as configured, and calls to give them."""

import functools
import wave
from io import BytesIO

import numpy as np

from domain.conversation import Role
from domain.engine import EngineConfig, EngineFamily
from domain.ids import derived_id
from engines.audio.speech import SAMPLE_RATE
from engines.protocols import AudioFile, Progress, Samples
from tests.support.calls import decoded, demo_call

AGENT, CUSTOMER = Role.AGENT, Role.CUSTOMER


def config(kind: str, model: str, endpoint: str | None = None, **parameters: object) -> EngineConfig:
    return EngineConfig(
        id=derived_id("test", kind),
        name=f"{kind}-under-test",
        family=EngineFamily.TRANSCRIPTION,
        kind=kind,
        model=model,
        endpoint=endpoint,
        parameters=parameters,
    )


def wav_of(*channels: Samples, rate: int = SAMPLE_RATE) -> bytes:
    """16-bit samples in a WAV file."""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(np.stack(channels).T, dtype="<i2").tobytes())
    return out.getvalue()


CALL = "call-0001"


@functools.cache
def spoken(seconds: float = 14.0) -> tuple[Samples, Samples]:
    """The beginning of a demo call: what the agent says, and what the customer says."""
    call = decoded(*demo_call(CALL).files)
    agent, customer = (track.samples[: round(seconds * SAMPLE_RATE)] for track in call.tracks)
    return agent, customer


def two_channels(seconds: float = 14.0) -> AudioFile:
    return AudioFile(wav_of(*spoken(seconds)), (AGENT, CUSTOMER))


def two_files(seconds: float = 14.0, offset_ms: int = 0) -> tuple[AudioFile, AudioFile]:
    """offset_ms: where both begin in the call."""
    agent, customer = spoken(seconds)
    return AudioFile(wav_of(agent), (AGENT,), offset_ms), AudioFile(wav_of(customer), (CUSTOMER,), offset_ms)


def mixed(seconds: float = 14.0) -> AudioFile:
    """Both on one channel."""
    agent, customer = spoken(seconds)
    together = np.clip(agent.astype(np.int32) + customer, -32_768, 32_767).astype(np.int16)
    return AudioFile(wav_of(together), (None,))


def silent(seconds: float = 5.0) -> AudioFile:
    quiet = np.zeros(round(seconds * SAMPLE_RATE), dtype=np.int16)
    return AudioFile(wav_of(quiet, quiet), (AGENT, CUSTOMER))


def no_progress(share: float) -> None:
    """Nobody listens."""


NO_PROGRESS: Progress = no_progress
