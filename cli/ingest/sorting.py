"""What lies there: which files are conversations, which are files of many, which are recordings, which are none."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.ingest import recordings
from cli.ingest.recordings import Recording
from domain.errors import InvalidInput
from domain.import_formats import UNNAMED, media_type_of
from domain.mapping import Format

EMAIL = "message/rfc822"
LARGEST_SINGLE = 32 * 1024 * 1024
_BODIES = frozenset({"messages", "audio", "transcript"})
_HEADER = re.compile(rb"[A-Za-z][A-Za-z0-9-]{0,60}:[ \t]")


@dataclass
class Sorting:
    """singles: one canonical conversation each. many: files of rows. payloads: one JSON payload of a sender each."""

    singles: list[Path] = field(default_factory=list)
    many: list[tuple[Path, str]] = field(default_factory=list)  # with their media type
    payloads: list[Path] = field(default_factory=list)
    emails: list[Path] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    problems: list[tuple[Path, InvalidInput]] = field(default_factory=list)


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those in the folders named, however deep; hidden ones are left out."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (f for f in sorted(path.rglob("*")) if f.is_file())
            found += [f for f in inside if not any(part.startswith(".") for part in f.relative_to(path).parts)]
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def sort_out(files: Sequence[Path], form: Format | None = None) -> Sorting:
    """Every file in one of the lists. form: what JSON is, when it was said.

    Conversations in canonical form come first, with the audio they name; then audio with its side-cars.
    """
    found = Sorting()
    if form in (None, Format.CANONICAL):
        found.singles = [file for file in files if _is_single(file)]
    taken = {*found.singles, *(audio for single in found.singles for audio in audio_named_by(single))}
    heard = recordings.sort_out([file for file in files if file.resolve() not in {t.resolve() for t in taken}])
    found.recordings, found.problems = heard.recordings, list(heard.problems)
    resolved = {file.resolve() for file in (*taken, *heard.used)}
    for file in files:
        if file.resolve() not in resolved:
            _sort_file(file, found)
    return found


def _is_single(file: Path) -> bool:
    if file.suffix.lower() != ".json" or file.stat().st_size > LARGEST_SINGLE:
        return False
    body = _json(file)
    if not isinstance(body, dict):
        return False
    marks = ("external_id" in body, "channel" in body, not body.keys().isdisjoint(_BODIES))
    return sum(marks) >= 2  # one of them may be what is wrong with it


def _sort_file(file: Path, found: Sorting) -> None:
    media_type = media_type_of(file.name)
    if media_type == UNNAMED and not file.suffix and _looks_like_email(file):
        media_type = EMAIL
    if media_type == EMAIL:
        found.emails.append(file)
    elif media_type == UNNAMED:
        found.unknown.append(file)
    elif file.suffix.lower() == ".json" and isinstance(body := _json(file), dict):
        found.payloads.append(file)
    elif file.suffix.lower() == ".json" and body is not None and not isinstance(body, list):
        found.problems.append((file, InvalidInput("is neither a JSON object nor a list")))
    elif file.suffix.lower() == ".json" and body is None and not _is_lines(file):
        found.problems.append((file, InvalidInput("cannot be read as JSON")))
    else:
        found.many.append((file, media_type))


def unread(file: Path) -> str:
    """Why a file is of no kind that is read."""
    if file.suffix:
        return "is of no kind that is read"
    return "has no ending that tells its kind, and does not begin as an email does"


def _json(file: Path) -> object:
    """The value, None when it is not JSON or too large to be one conversation's."""
    if file.stat().st_size > LARGEST_SINGLE:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _is_lines(file: Path) -> bool:
    """Lines of JSON, or a list too large to be looked at."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        first = lines.readline(1_000_000)
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:
        return first.lstrip().startswith("[") and file.stat().st_size > LARGEST_SINGLE


def _looks_like_email(file: Path) -> bool:
    with file.open("rb") as stream:
        return _HEADER.match(stream.read(200).lstrip()) is not None


def audio_named_by(single: Path) -> Iterable[Path]:
    """The files a conversation names as its audio, those that are there."""
    body = _json(single)
    audio = body.get("audio") if isinstance(body, dict) else None
    for item in audio if isinstance(audio, list) else ():
        if isinstance(item, dict) and isinstance(item.get("file"), str):
            place = audio_place(single, item["file"])
            if place is not None:
                yield place


def audio_place(single: Path, name: str) -> Path | None:
    """Where the audio is that a conversation names: beside it, or one folder above it."""
    places = (single.parent / name, single.parent.parent / name)
    return next((place for place in places if place.is_file()), None)
