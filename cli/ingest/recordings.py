"""Calls as recorders drop them: which audio files and which side-cars belong to one call, by their names.

c1.wav + c1.json                       one call
c1.agent.wav + c1.caller.wav           one call, a file a speaker
c1.leg1.wav + c1.leg2.wav + c1.xml     one call, in legs; legs with side-cars of their own are calls of their own
c1.wav, c2.wav + list.csv              a side-car a row: the row that names the file
"""

import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.ingest.report import Part
from domain.errors import InvalidInput

AUDIO = frozenset({
    ".wav", ".wave", ".flac", ".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".oga", ".opus", ".au", ".snd",
})  # fmt: skip
"""Endings of audio files; what they really are is for the service to find out."""

SIDE_CARS = frozenset({".json", ".ndjson", ".jsonl", ".xml", ".csv", ".tsv"})
"""Endings of the files beside them that may tell of a call."""

_SPEAKER = re.compile(r"(?i)[._\- ](agent|operator|rep|customer|caller|client|bot|ivr)$")
_LEG = re.compile(r"(?i)[._\- ](?:leg|part)[._\- ]?\d{1,3}$")
_ABOUT = re.compile(r"(?i)[._\- ](metadata|meta|info|sidecar|transcript)$")
_TRANSCRIPT = "transcript"
_TABLES = (".csv", ".tsv")


@dataclass
class Recording:
    """One call: its audio in the order of names, what its side-cars say, and where that was read."""

    key: str
    audio: list[Path]
    side_car: dict[str, Any] = field(default_factory=dict)
    side_cars: list[Path] = field(default_factory=list)

    def parts(self) -> list[Part]:
        """Its files, each as what it is."""
        named = [Part(file.name, "audio") for file in self.audio]
        return named + [Part(file.name, _about(file)[1] or "side-car") for file in self.side_cars]


@dataclass
class Sorted:
    """Recordings, the files that are used up by them, and what could not be read of the side-cars."""

    recordings: list[Recording] = field(default_factory=list)
    used: set[Path] = field(default_factory=set)
    problems: list[tuple[Path, InvalidInput]] = field(default_factory=list)


def sort_out(files: Sequence[Path]) -> Sorted:
    """The recordings among the files. A JSON, XML or CSV file that belongs to no audio is left to others."""
    found = Sorted()
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        by_folder[file.parent].append(file)
    for folder in by_folder.values():
        audio = [file for file in folder if file.suffix.lower() in AUDIO]
        if audio:
            beside = [file for file in folder if file.suffix.lower() in SIDE_CARS]
            _sort_folder(audio, beside, found)
    return found


def _sort_folder(audio: Sequence[Path], beside: Sequence[Path], found: Sorted) -> None:
    cars: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for file in beside:
        key, about = _about(file)
        cars[key].append((about, file))
    recordings: dict[str, Recording] = {}
    for file in sorted(audio):
        key = _call(file, cars)
        recordings.setdefault(key, Recording(key, [])).audio.append(file)
        found.used.add(file)
    for key, recording in recordings.items():
        for about, file in cars.get(key, ()):
            _take(recording, about, file, found)
    for file in beside:
        if file.suffix.lower() in _TABLES and file not in found.used:
            _take_rows(file, recordings.values(), found)
    found.recordings += recordings.values()


def _call(file: Path, cars: Iterable[str]) -> str:
    """What the call is called. A leg is a part of its call unless there is a side-car of its own."""
    key = _SPEAKER.sub("", file.stem)
    if key in cars:
        return key
    return _LEG.sub("", key)


def _about(file: Path) -> tuple[str, str]:
    """(call, what it tells: metadata or transcript) of a side-car: `c1.json`, `c1.metadata.json`, `c1.wav.json`."""
    stem = file.stem
    if Path(stem).suffix.lower() in AUDIO:
        stem = _SPEAKER.sub("", Path(stem).stem)
    about = _ABOUT.search(stem)
    if about is None:
        return stem, ""
    return stem[: about.start()], _TRANSCRIPT if about[1].lower() == _TRANSCRIPT else ""


def _take(recording: Recording, about: str, file: Path, found: Sorted) -> None:
    try:
        recording.side_car |= _told_by(file, about)
        recording.side_cars.append(file)
    except InvalidInput as error:
        found.problems.append((file, InvalidInput(f"{file.name}: {error.message}")))
    found.used.add(file)


def _told_by(file: Path, about: str) -> dict[str, Any]:
    """about: the name that the whole of it goes by. Raises InvalidInput."""
    if about:
        from engines.formats.side_cars import side_car

        with file.open("rb") as opened:
            return {about: side_car(opened, file.name)}
    objects = _objects(file)
    if len(objects) != 1:
        raise InvalidInput("is not one object")
    return objects[0]


def _objects(file: Path) -> list[dict[str, Any]]:
    """Raises InvalidInput."""
    from engines.formats.side_cars import side_cars  # loaded when there is a side-car: it brings libraries of its own

    with file.open("rb") as opened:
        return side_cars(opened, file.name)


def _take_rows(file: Path, recordings: Iterable[Recording], found: Sorted) -> None:
    """Each row goes to the recording one of its values names. A table that names none is no side-car."""
    named = {audio.name: recording for recording in recordings for audio in recording.audio}
    named |= {recording.key: recording for recording in recordings}
    try:
        rows = _objects(file)
    except InvalidInput:
        return  # it may be a table of another kind
    matched = [(next((named[v] for v in row.values() if isinstance(v, str) and v in named), None), row) for row in rows]
    if not any(recording for recording, _ in matched):
        return
    found.used.add(file)
    for number, (recording, row) in enumerate(matched, start=1):
        if recording is None:
            found.problems.append((file, InvalidInput(f"row {number} names no audio file that is there")))
        else:
            recording.side_car |= row
            recording.side_cars.append(file)


def channels_of(file: Path) -> int | None:
    """How many channels a WAV file says it has; None for anything else."""
    with file.open("rb") as stream:
        head = stream.read(4096)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at = head.find(b"fmt ", 12)
    if at < 0 or len(head) < at + 12:
        return None
    channels = int(struct.unpack_from("<H", head, at + 10)[0])
    return channels or None
