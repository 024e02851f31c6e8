"""The real calls of the sample data: four telephone calls, each side a file of its own, written down by people."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from domain.conversation import Role
from engines.protocols import AudioFile

ROOT = Path(__file__).parents[1]
SIDES = {"agent": Role.AGENT, "caller": Role.CUSTOMER}


def sample_data() -> Path:
    """Folder of the sample data: `PARLEY_SAMPLE_DATA`, else `../shared/data/real-sample` beside the checkout."""
    return Path(os.environ.get("PARLEY_SAMPLE_DATA") or ROOT.parent / "shared" / "data" / "real-sample")


@dataclass(frozen=True)
class Said:
    """What was said in one stretch: who, from when (ms), in the words people wrote down."""

    role: Role
    start_ms: int
    text: str


@dataclass(frozen=True)
class RealCall:
    id: str
    folder: Path

    def path(self, side: str) -> Path:
        return self.folder / f"{self.id}.{side}.wav"

    def files(self) -> tuple[AudioFile, ...]:
        """Both sides, one file each."""
        return tuple(AudioFile(self.path(side).read_bytes(), (role,)) for side, role in SIDES.items())

    def said(self) -> tuple[Said, ...]:
        """In order of time; tags such as `[noise]` are left out, and stretches that hold nothing else."""
        turns = json.loads((self.folder / f"{self.id}.transcript.json").read_text())
        said = (Said(SIDES[t["speaker_role"]], t["start_ms"], _spoken(t["human_transcript"])) for t in turns)
        return tuple(sorted((one for one in said if one.text), key=lambda one: one.start_ms))


def real_calls() -> tuple[RealCall, ...]:
    """The calls there are; none when the sample data is not on this machine."""
    folder = sample_data() / "voice"
    return tuple(RealCall(path.name.split(".")[0], folder) for path in sorted(folder.glob("*.transcript.json")))


def _spoken(text: str) -> str:
    return " ".join(word for word in text.split() if not word.startswith(("[", "<")))
