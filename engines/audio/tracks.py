"""One speaker's samples while they are being decoded: resampled as they come, kept in one growing array."""

import numpy as np
import soxr
from numpy.typing import NDArray

from engines.audio.speech import SAMPLE_RATE
from engines.protocols import Samples

Block = NDArray[np.float32]
"""A stretch of audio, shape (channels, n), range -1..1."""

_FULL_SCALE = 32_767
_QUALITY = "HQ"


class TrackBuilder:
    """Takes blocks of one channel at `rate` Hz and gives one array at `SAMPLE_RATE`.

    The array grows in place (the allocator moves pages, it does not copy them), so that a long call never needs
    twice its size: 115 MB an hour.
    """

    def __init__(self, rate: int) -> None:
        self._resampler = None
        if rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality=_QUALITY)
        self._samples: Samples = np.empty(SAMPLE_RATE * 60, dtype=np.int16)
        self._length = 0

    def append(self, block: NDArray[np.float32]) -> None:
        """Adds a stretch, shape (n,)."""
        self._store(block if self._resampler is None else self._resampler.resample_chunk(block))

    def finish(self) -> Samples:
        """All there is. The builder is of no use afterwards."""
        if self._resampler is not None:
            self._store(self._resampler.resample_chunk(np.empty(0, dtype=np.float32), last=True))
        self._samples.resize(self._length, refcheck=False)
        return self._samples

    def _store(self, block: NDArray[np.float32]) -> None:
        end = self._length + len(block)
        if end > len(self._samples):
            self._samples.resize(max(end, len(self._samples) * 3 // 2), refcheck=False)
        # A float WAV may hold anything: beyond full scale is clipped, "not a number" is silence.
        audible = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
        self._samples[self._length : end] = np.rint(np.clip(audible, -1.0, 1.0) * _FULL_SCALE)
        self._length = end
