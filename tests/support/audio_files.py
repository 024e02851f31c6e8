"""Audio made for tests: shapes of sound, and files of every container that is read, written by a real encoder."""

import struct
from io import BytesIO

import av
import numpy as np
from numpy.typing import NDArray

Shape = NDArray[np.float32]
"""Samples, (n,) or (channels, n), -1..1."""


def silence(seconds: float, rate: int = 8_000) -> Shape:
    return np.zeros(round(seconds * rate), dtype=np.float32)


def tone(seconds: float, rate: int = 8_000, hertz: float = 440.0, level: float = 0.3) -> Shape:
    at = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def noise(seconds: float, rate: int = 8_000, level: float = 0.1, seed: int = 1) -> Shape:
    return np.random.default_rng(seed).normal(0, level, round(seconds * rate)).astype(np.float32)


def music(seconds: float, rate: int = 8_000) -> Shape:
    """Three-note chords that change every half second and fade: what hold music does to a recognizer."""
    chords = ((262, 330, 392), (220, 277, 330), (294, 370, 440), (196, 247, 294))
    parts = []
    for number in range(round(seconds * 2)):
        chord = sum(tone(0.5, rate, hertz, 0.15) for hertz in chords[number % len(chords)])
        parts.append(chord * np.linspace(1, 0.3, round(0.5 * rate)))
    return np.concatenate(parts).astype(np.float32)


def beeps(seconds: float, rate: int = 8_000, every: float = 2.0) -> Shape:
    """A short beep every few seconds, as a call on hold or on record has."""
    sound = silence(seconds, rate)
    beep = tone(0.25, rate, 1400, 0.4)
    for start in np.arange(0, seconds - 0.25, every):
        at = round(float(start) * rate)
        sound[at : at + len(beep)] = beep
    return sound


def voice(seconds: float, rate: int = 8_000, seed: int = 3) -> Shape:
    """Something a voice activity detector takes for a voice: a buzz of 120 Hz with formants, in syllables. No words."""
    at = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * at)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = [(k, np.exp(-(((k * 120 - 600) / 400) ** 2)) + 0.6 * np.exp(-(((k * 120 - 1500) / 500) ** 2)))
                for k in range(1, 25)]  # fmt: skip
    buzz = sum(gain * np.sin(k * phase) for k, gain in formants)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * at)
    breath = np.random.default_rng(seed).normal(0, 0.02, len(at))
    sound = buzz * syllables
    return np.asarray(0.5 * sound / np.abs(sound).max() + breath * syllables, dtype=np.float32)


def encode(samples: Shape, rate: int, form: str = "wav", codec: str | None = None) -> bytes:
    """The samples in a file. form: wav, au, flac, mp3, m4a, ogg or adts."""
    muxer, usual = {
        "wav": ("wav", "pcm_s16le"),
        "au": ("au", "pcm_mulaw"),
        "flac": ("flac", "flac"),
        "mp3": ("mp3", "libmp3lame"),
        "m4a": ("ipod", "aac"),
        "ogg": ("ogg", "libopus"),
        "adts": ("adts", "aac"),
    }[form]
    channels = np.atleast_2d(samples)
    layout = {1: "mono", 2: "stereo", 3: "3.0", 8: "7.1"}[len(channels)]
    pcm = (np.clip(channels, -1, 1) * 32767).astype(np.int16).T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm), format="s16", layout=layout)
    frame.sample_rate = rate
    out = BytesIO()
    with av.open(out, "w", format=muxer) as target:
        stream = target.add_stream(codec or usual, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            target.mux(packet)
    return out.getvalue()


def wav(
    data: bytes, *, rate: int, channels: int = 1, bits: int = 16, kind: int = 1, stated: int | None = None
) -> bytes:
    """A WAV file around raw sample bytes, with whatever the head should say. stated: size the data chunk claims."""
    block = channels * bits // 8
    head = struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits)
    size = len(data) if stated is None else stated
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body) & 0xFFFFFFFF) + body
