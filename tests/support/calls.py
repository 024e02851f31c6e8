"""Calls for tests: the real ones of the sample data, and those made for the demo."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.real_calls import RealCall, real_calls, sample_data
from domain.conversation import Role
from engines.audio.decode import Decoder
from engines.protocols import AudioFile, CallAudio

DEMO = Path(__file__).parents[2] / "cli" / "demo_data"
HOUR_MS = 3_600_000

_ROLES = {"agent": Role.AGENT, "customer": Role.CUSTOMER, "mixed": None}


def real() -> tuple[RealCall, ...]:
    """The real calls; skips the test when the sample data is not on this machine."""
    calls = real_calls()
    if not calls:
        pytest.skip(f"no sample data in {sample_data()} (set PARLEY_SAMPLE_DATA)")
    return calls


@dataclass(frozen=True)
class DemoCall:
    """turns: (role, text) in the order they are spoken."""

    files: tuple[AudioFile, ...]
    turns: tuple[tuple[Role, str], ...]


def demo_call(call_id: str) -> DemoCall:
    """A demo call with its script."""
    script = json.loads((DEMO / "scripts" / f"{call_id}.json").read_text())
    files = []
    for part in script["audio"]:
        speakers = [part["role"]] if "role" in part else part["channels"]
        files.append(AudioFile((DEMO / part["file"]).read_bytes(), tuple(_ROLES[name] for name in speakers)))
    return DemoCall(tuple(files), tuple((Role(turn["speaker"]), turn["text"]) for turn in script["turns"]))


def decoded(*files: AudioFile) -> CallAudio:
    return Decoder().decode(files, max_duration_ms=HOUR_MS, progress=lambda share: None)
