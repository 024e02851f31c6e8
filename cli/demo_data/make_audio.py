"""Speak the demo's call scripts: ``scripts/*.json`` become the files in ``audio/``.

Only whoever changes a script needs this; the audio files are committed. It needs two Debian
packages, ``flite`` (voices ``rms``, ``awb``, ``slt``) and ``ffmpeg``, and numpy::

    ./make_audio.sh              # all calls
    ./make_audio.sh call-0003    # one call

What it does to sound like a telephone: every turn is spoken at 16 kHz and laid on its speaker's own
channel, the two channels get a little line noise (seeded), then 250-3400 Hz, 8 kHz, and once through
G.711 mu-law, which is what a carrier would have recorded. Flite, the noise and the layout are
deterministic; the last bytes of a file depend on the version of ffmpeg's encoders.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

HERE: Final = Path(__file__).resolve().parent
SPEECH_RATE: Final = 16_000  # what the three flite voices speak at, Hz
LINE_RATE: Final = 8_000  # what a telephone line carries, Hz
VOICES: Final = frozenset({"rms", "awb", "slt"})
ROLES: Final = ("agent", "customer")  # channel 0, channel 1
LOUDNESS: Final = 0.09  # root mean square every turn is brought to, of full scale: about -21 dBFS
NOISE: Final = 0.0008  # line noise, about -62 dBFS
TAIL_S: Final = 0.8  # the line stays open this long after the last word

TELEPHONE: Final = f"highpass=f=250,lowpass=f=3400,aresample={LINE_RATE}"
ENCODERS: Final = {
    ".ogg": ("-c:a", "libopus", "-b:a", "32k", "-application", "voip"),
    ".flac": ("-c:a", "flac", "-sample_fmt", "s16", "-compression_level", "8"),
    ".mp3": ("-c:a", "libmp3lame", "-b:a", "32k"),
    ".m4a": ("-c:a", "aac", "-b:a", "40k"),
}

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Turn:
    """One thing said: who, with which voice, after how long a pause (negative: before the other has ended)."""

    speaker: str
    voice: str
    stretch: float
    pause_before_ms: int
    spoken: str


def run(*command: str) -> None:
    """Run a program; its own words become the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed programs, our own scripts
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr.strip()}")


def read_wav(path: Path) -> Samples:
    """Mono 16-bit PCM as floats of -1..1."""
    with wave.open(str(path), "rb") as wav:
        if (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) != (SPEECH_RATE, 1, 2):
            raise SystemExit(f"{path}: expected 16-bit mono at {SPEECH_RATE} Hz")
        pcm = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2")
    return (pcm / 32768).astype(np.float32)


def write_wav(path: Path, channels: Samples) -> None:
    """``channels`` is (channels, samples), floats of -1..1."""
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(channels.shape[0])
        wav.setsampwidth(2)
        wav.setframerate(SPEECH_RATE)
        wav.writeframes((np.clip(channels, -1, 1) * 32767).astype("<i2").T.tobytes())


def turns_of(script: dict[str, Any]) -> list[Turn]:
    """The script's turns; ``say`` is the spelling for the voice where ``text`` would be mispronounced."""
    turns = [
        Turn(
            speaker=turn["speaker"],
            voice=turn["voice"],
            stretch=script["speakers"][turn["speaker"]]["stretch"],
            pause_before_ms=turn["pause_before_ms"],
            spoken=turn.get("say", turn["text"]),
        )
        for turn in script["turns"]
    ]
    for turn in turns:
        if turn.voice not in VOICES or turn.speaker not in ROLES:
            raise SystemExit(f"{script['external_id']}: {turn.speaker} with voice {turn.voice}")
    return turns


def speak(turn: Turn, folder: Path) -> Samples:
    """One turn, without the silence flite leaves around it, at the common loudness."""
    path = folder / "turn.wav"
    run("flite", "-voice", turn.voice, "--setf", f"duration_stretch={turn.stretch}", "-t", turn.spoken, "-o", str(path))
    samples = read_wav(path)
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1] + 1]
    return samples * np.float32(LOUDNESS / np.sqrt(np.mean(samples**2)))


def lay_out(turns: list[Turn], folder: Path, seed: int) -> Samples:
    """All turns on their speakers' channels, (2, samples).

    A turn starts ``pause_before_ms`` after the one before it has ended.
    """
    placed: list[tuple[int, int, Samples]] = []
    end = 0
    for turn in turns:
        samples = speak(turn, folder)
        start = max(0, end + turn.pause_before_ms * SPEECH_RATE // 1000)
        placed.append((ROLES.index(turn.speaker), start, samples))
        end = start + len(samples)
    noise = np.random.default_rng(seed).normal(0, NOISE, (2, end + int(TAIL_S * SPEECH_RATE)))
    channels: Samples = noise.astype(np.float32)
    for channel, start, samples in placed:
        channels[channel, start : start + len(samples)] += samples
    return channels


def picked(channels: Samples, part: dict[str, Any]) -> Samples:
    """The channels one file of the recording holds: both, the mix, or one speaker."""
    if "role" in part:
        index = ROLES.index(part["role"])
        return channels[index : index + 1]
    if part["channels"] == ["mixed"]:
        mix: Samples = channels.sum(axis=0, keepdims=True)
        return mix
    return channels[[ROLES.index(role) for role in part["channels"]]]


def encode(channels: Samples, target: Path, folder: Path) -> None:
    """Through the telephone and into the file."""
    clean, line = folder / "clean.wav", folder / "line.wav"
    write_wav(clean, channels)
    quiet = ("ffmpeg", "-hide_banner", "-loglevel", "error", "-y")
    exact = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact")
    run(*quiet, "-i", str(clean), "-af", TELEPHONE, "-c:a", "pcm_mulaw", *exact, str(line))
    run(*quiet, "-i", str(line), *ENCODERS[target.suffix], *exact, str(target))


def make(path: Path) -> float:
    """Write every file of one script; returns the length in seconds."""
    script = json.loads(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        channels = lay_out(turns_of(script), folder, seed=int(script["external_id"].rsplit("-", 1)[1]))
        for part in script["audio"]:
            encode(picked(channels, part), HERE / part["file"], folder)
    return float(channels.shape[1] / SPEECH_RATE)


def main(names: list[str]) -> None:
    (HERE / "audio").mkdir(exist_ok=True)
    for path in sorted((HERE / "scripts").glob("*.json")):
        if not names or path.stem in names:
            print(f"{path.stem}  {make(path):5.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
