"""What a recognizer is given to hear: a track's speech, packed into windows, with the way back to the call's time.

A recognizer of the Whisper family hears at most 30 s at once, makes up words where nobody speaks, and hears best what
has context. So the silences are cut out, and as many stretches of speech as fit go into one window; a window never
ends inside a stretch (a stretch longer than a window is cut at its quietest moment by the detector).
"""

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.protocols import Samples

PIECE_SECONDS = 600
"""A long track is gone through in pieces: what the detector and the recognizer need at once stays small."""
WINDOW_SECONDS = 28.0
SHORTEST_SILENCE_MS = 2_000
PAD_MS = 200
"""How much before and after a stretch is heard with it: soft first and last sounds."""
SHORTEST_WORD_MS = 60


@dataclass(frozen=True)
class Stretch:
    """Speech on a track, in samples from the track's start; `end` is exclusive."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Window:
    """Stretches of one track that are heard together, in order."""

    stretches: tuple[Stretch, ...]

    def audio(self, samples: Samples) -> NDArray[np.float32]:
        """The stretches one after the other, as the recognizer wants them: floats, -1..1."""
        return as_floats(np.concatenate([samples[s.start : s.end] for s in self.stretches]))

    def original(self, start: float, end: float, rate: int) -> tuple[int, int]:
        """(start, end) in ms of the track, of what the recognizer places at `start` to `end` s of the window.

        The middle decides which stretch it belongs to, and it ends with that stretch: no word spans a silence.
        """
        ends = np.cumsum([s.length for s in self.stretches])
        middle = (start + end) / 2 * rate
        index = min(bisect.bisect_right(ends.tolist(), middle), len(self.stretches) - 1)
        stretch = self.stretches[index]
        offset = stretch.start - (int(ends[index]) - stretch.length)
        inside = (min(max(at * rate + offset, stretch.start), stretch.end) for at in (start, end))
        first, last = (round(at * 1000 / rate) for at in inside)
        if last - first < SHORTEST_WORD_MS:  # placed beyond the end of its stretch
            first = max(round(stretch.start * 1000 / rate), last - SHORTEST_WORD_MS)
        return first, max(first, last)


def pack(stretches: Iterable[Stretch], limit: int) -> Iterator[Window]:
    """Windows of at most `limit` samples; a stretch that is longer has a window to itself."""
    together: list[Stretch] = []
    for stretch in stretches:
        if together and sum(s.length for s in together) + stretch.length > limit:
            yield Window(tuple(together))
            together = []
        together.append(stretch)
    if together:
        yield Window(tuple(together))


def windows_of(samples: Samples, rate: int, heard: Callable[[int], None] = lambda samples: None) -> Iterator[Window]:
    """The windows of a whole track; none when nobody speaks.

    Goes through the track piece by piece and tells `heard` how many samples are behind it, silent ones too. A stretch
    that the end of a piece cuts off is looked at again with the next piece.
    """
    at = 0
    while at < len(samples):
        end = min(at + PIECE_SECONDS * rate, len(samples))
        stretches = [Stretch(at + s.start, at + s.end) for s in _silero(as_floats(samples[at:end]))]
        cut_off = None
        if end < len(samples) and len(stretches) > 1 and end - stretches[-1].end < SHORTEST_SILENCE_MS * rate // 1000:
            cut_off = stretches.pop()
        for window in pack(stretches, round(WINDOW_SECONDS * rate)):
            yield window
            heard(window.stretches[-1].end)
        at = end if cut_off is None else cut_off.start
        heard(at)


def as_floats(samples: Samples) -> NDArray[np.float32]:
    return samples.astype(np.float32) / np.float32(32_768.0)


def _silero(audio: NDArray[np.float32]) -> Sequence[Stretch]:
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        min_silence_duration_ms=SHORTEST_SILENCE_MS, speech_pad_ms=PAD_MS, max_speech_duration_s=WINDOW_SECONDS
    )
    return [Stretch(found["start"], found["end"]) for found in get_speech_timestamps(audio, options)]
