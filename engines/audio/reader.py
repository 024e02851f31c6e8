"""Reads one audio file with FFmpeg's libraries (PyAV), trusting nothing in it.

The container is the one its first bytes tell, no other demuxer is tried; only the audio codecs named here are
decoded; no protocol can be opened from inside a file; what is decoded is bounded while it is decoded, because a head
may claim anything.
"""

from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from domain.conversation import Note
from domain.errors import TooLarge, UndecodableContent, UnsupportedMedia
from engines.audio.completeness import is_cut_off
from engines.audio.sniff import Container, require_audio
from engines.audio.tracks import Block

LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000
MOST_CHANNELS = 6
"""In one file. PyAV reads beyond the planes of a frame of eight channels or more: such a frame is never touched."""

_DEMUXERS = {
    Container.WAV: "wav",
    Container.FLAC: "flac",
    Container.MP3: "mp3",
    Container.MP4: "mp4",
    Container.OGG: "ogg",
    Container.ADTS: "aac",
    Container.AU: "au",
}
_PCM = ("u8", "s8", "s16be", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw")
_OTHER_CODECS = ("adpcm_ms", "adpcm_ima_wav", "gsm_ms", "flac", "mp3", "mp3float", "aac", "alac", "opus", "vorbis")
_CODECS = frozenset([f"pcm_{kind}" for kind in _PCM] + list(_OTHER_CODECS))
_NO_PROTOCOLS = "none"
_ZERO_LEVEL = {"u8": 128.0}
_FULL_SCALE = {"u8": 128.0, "s16": 32_768.0, "s32": 2_147_483_648.0, "flt": 1.0, "dbl": 1.0}
_GAP_SECONDS = 0.05
_EXACT_HEADS = (Container.WAV, Container.AU, Container.FLAC, Container.MP4)
"""Containers whose stated length is a count, not a guess."""


class AudioReader:
    """One file, decoded once by `blocks`; the facts are known when the first block has come, the notes at the end.

    field: how the file is called in errors (`audio[0]`). channels: how many it should have. Raises UnsupportedMedia
    when it is not audio, or not of a kind or rate read here; UndecodableContent when it is damaged or has another
    number of channels; TooLarge when it is longer than `max_ms`.
    """

    def __init__(self, data: bytes, field: str, *, channels: int, max_ms: int) -> None:
        if channels > MOST_CHANNELS:
            raise UnsupportedMedia.of(field, f"a file may have {MOST_CHANNELS} channels")
        self._data = data
        self._field = field
        self._channels = channels
        self._max_ms = max_ms
        self.container = require_audio(data, field)
        self.codec = ""
        self.sample_rate = 0
        self.share_read = 0.0
        self.notes: tuple[Note, ...] = ()
        self._decoded = 0  # samples per channel so far, gaps included
        self._gaps = 0
        self._first_pts: float | None = None
        self._packets = 0
        self._damaged = 0
        self._last_packet = b""
        self._stated_ms: int | None = None

    def blocks(self) -> Iterator[Block]:
        """The audio in order, in blocks of whatever size the codec has; gaps in the file's own clock are silence."""
        options = {"protocol_whitelist": _NO_PROTOCOLS}
        try:
            source = av.open(BytesIO(self._data), format=_DEMUXERS[self.container], container_options=options)
        except (av.FFmpegError, ValueError) as error:
            raise UndecodableContent(f"{self._field}: {_reason(error)}, nothing in it can be decoded") from None
        with closing(source):
            stream = self._audio_stream(source)
            for frame in self._frames(source, stream):
                yield from self._block(frame)
        self._conclude()

    @property
    def decoded_ms(self) -> int:
        return self._decoded * 1000 // self.sample_rate if self.sample_rate else 0

    def _audio_stream(self, source: Any) -> Any:
        if not source.streams.audio:
            what = "only video" if source.streams.video else "no audio"
            raise UnsupportedMedia.of(self._field, f"there is {what} in this {self.container.value} file")
        stream = source.streams.audio[0]
        decoder = stream.codec_context  # None for a codec nobody knows
        if decoder is None or decoder.name not in _CODECS:
            what = "its codec" if decoder is None else f"the codec {decoder.name}"
            raise UnsupportedMedia.of(self._field, f"{what} is not read here")
        self.codec = decoder.name
        if stream.duration is not None and stream.duration > 0:
            self._stated_ms = int(stream.duration * stream.time_base * 1000)
            if self.container in _EXACT_HEADS and self._stated_ms > self._max_ms:
                raise self._too_long()
        return stream

    def _frames(self, source: Any, stream: Any) -> Iterator[Any]:
        """Decoded frames; packets that do not decode are counted and passed over."""
        packets = source.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self._damaged += 1
                return
            if packet is None:
                return
            if packet.size:
                self._packets += 1
                self._last_packet = bytes(packet)
                if packet.pos is not None and packet.pos >= 0:
                    self.share_read = min(1.0, packet.pos / len(self._data))
            try:
                yield from packet.decode()
            except (av.FFmpegError, ValueError):
                self._damaged += 1

    def _block(self, frame: Any) -> Iterator[Block]:
        if not self.sample_rate:
            self._accept_format(frame)
        if frame.sample_rate != self.sample_rate or frame.layout.nb_channels != self._channels:
            self._damaged += 1  # what follows damage is often a false head; a real change of format is as unreadable
            return
        gap = self._gap_before(frame)
        if (self._decoded + gap + frame.samples) * 1000 > self._max_ms * self.sample_rate:
            raise self._too_long()
        self._decoded += gap + frame.samples
        self._gaps += gap
        while gap:
            piece = min(gap, self.sample_rate)
            gap -= piece
            yield np.zeros((self._channels, piece), dtype=np.float32)
        yield self._as_float(frame)

    def _accept_format(self, frame: Any) -> None:
        if not LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
            reason = f"the sample rate is {frame.sample_rate} Hz; {LOWEST_RATE} to {HIGHEST_RATE} Hz are read here"
            raise UnsupportedMedia.of(self._field, reason)
        found = frame.layout.nb_channels
        if found != self._channels:
            said = f"the speakers of {self._channels} are given"
            raise UndecodableContent(f"{self._field}: it has {found} channel(s), and {said}")
        self.sample_rate = frame.sample_rate

    def _gap_before(self, frame: Any) -> int:
        """Samples the file's clock jumped over: a recorder that sends nothing in silence, or a part that is lost."""
        if frame.pts is None or frame.time_base is None:
            return 0
        at = float(frame.pts * frame.time_base)
        if self._first_pts is None:
            self._first_pts = at
        gap = round((at - self._first_pts) * self.sample_rate) - self._decoded
        return gap if gap > _GAP_SECONDS * self.sample_rate else 0

    def _as_float(self, frame: Any) -> Block:
        kind = frame.format.name.removesuffix("p")
        if kind not in _FULL_SCALE:
            raise UnsupportedMedia.of(self._field, f"samples of the kind {frame.format.name} are not read here")
        samples: NDArray[Any] = frame.to_ndarray()
        if not frame.format.is_planar:
            samples = samples.reshape(-1, self._channels).T
        block: Block = samples.astype(np.float32)
        with np.errstate(invalid="ignore"):  # a float file may hold anything; the track makes it audible or silent
            block -= _ZERO_LEVEL.get(kind, 0.0)
            block /= _FULL_SCALE[kind]
        return block

    def _conclude(self) -> None:
        if self._decoded == 0:
            what = "it is damaged" if self._damaged else "it holds no audio"
            raise UndecodableContent(f"{self._field}: {what}, nothing in it can be decoded")
        if self._damaged * 2 > self._packets:
            raise UndecodableContent(f"{self._field}: it is damaged, most of it cannot be decoded")
        notes = []
        if is_cut_off(
            self.container, self._data, decoded_ms=self.decoded_ms, stated_ms=self._stated_ms,
            last_packet=self._last_packet,
        ):  # fmt: skip
            notes.append(Note(code="audio_truncated", detail=self._truncation()))
        if self._damaged:
            detail = f"{self._field}: {self._damaged} of {self._packets} packets cannot be decoded and are left out"
            notes.append(Note(code="audio_damaged", detail=detail))
        if self._gaps:
            detail = f"{self._field}: {self._gaps / self.sample_rate:.1f} s are missing inside and count as silence"
            notes.append(Note(code="audio_gaps", detail=detail))
        self.notes = tuple(notes)

    def _truncation(self) -> str:
        said = ""
        if self._stated_ms is not None and self._stated_ms - self.decoded_ms >= 100:
            said = f" of {self._stated_ms / 1000:.1f} s"
        return f"{self._field}: the file is cut off; {self.decoded_ms / 1000:.1f} s{said} could be decoded"

    def _too_long(self) -> TooLarge:
        return TooLarge.of(self._field, f"the audio is longer than the {in_words(self._max_ms)} left for it")


def in_words(ms: int) -> str:
    """A length for a person: `90 s`, `240 minutes`."""
    return f"{ms / 1000:.0f} s" if ms < 120_000 else f"{ms / 60_000:.0f} minutes"


def _reason(error: Exception) -> str:
    return "it ends too early" if isinstance(error, EOFError) else "it is damaged"
