"""A call's audio as a mapping, or else the names of its files, tell who speaks on it and when it starts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.conversation import Role
from domain.errors import InvalidInput
from domain.intake import MAX_AUDIO_FILES
from domain.mapping import AudioMapping, Lookup, SourceMapping
from engines.formats.expressions import is_true
from engines.formats.finding import Finder, Spot
from engines.formats.notes import Notes
from engines.formats.values import moment_of, text_of, whole_of

SUFFIX_ROLES: Mapping[str, Role] = {
    "agent": Role.AGENT,
    "operator": Role.AGENT,
    "rep": Role.AGENT,
    "customer": Role.CUSTOMER,
    "caller": Role.CUSTOMER,
    "client": Role.CUSTOMER,
    "bot": Role.BOT,
    "ivr": Role.BOT,
}
"""Who speaks on a file, by the word before its extension."""

_MIXED = "mixed"
_LATEST_MS = 86_400_000
_LAST_PART = re.compile(r"[.\-_ ]")


@dataclass(frozen=True)
class CameAlong:
    """An audio file that was handed in beside its metadata. id: the upload's. channels: how many it has, if known."""

    id: str
    name: str
    channels: int | None = None

    @property
    def stem(self) -> str:
        return name_parts(self.name)[0]

    @property
    def suffix(self) -> str | None:
        return name_parts(self.name)[1]

    def seen(self) -> dict[str, Any]:
        """What the expressions of a mapping see of it."""
        return {
            "id": self.id, "name": self.name, "stem": self.stem, "suffix": self.suffix, "channels": self.channels
        }  # fmt: skip


def name_parts(name: str) -> tuple[str, str | None]:
    """What the call is called and who speaks, of a file's name: `c1.agent.wav` gives c1 and agent, `c1.wav` c1 and
    None. Only words of SUFFIX_ROLES count."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    base = base.rsplit(".", 1)[0] if "." in base[1:] else base
    parts = _LAST_PART.split(base)
    if len(parts) > 1 and parts[-1].lower() in SUFFIX_ROLES:
        return base[: -len(parts[-1]) - 1] or base, parts[-1].lower()
    return base, None


class AudioShaper:
    """Makes the canonical `audio` of a call."""

    def __init__(self, finder: Finder, notes: Notes, mapping: SourceMapping) -> None:
        self._finder = finder
        self._notes = notes
        self._formats = mapping.time_formats

    def audio(self, place: AudioMapping, spot: Spot, files: Sequence[CameAlong]) -> list[dict[str, Any]]:
        """The files in the mapping's order. Raises InvalidInput when there are none, or a named one is missing."""
        shaped: list[dict[str, Any]] = []
        starts: list[datetime | None] = []
        for one, file in self._places(place, spot, files):
            if place.only_if is not None and not is_true(self._finder.raw("only_if", place.only_if, one)):
                continue
            if len(shaped) == MAX_AUDIO_FILES:
                raise InvalidInput.of("audio", f"a call has at most {MAX_AUDIO_FILES} files")
            shaped.append({**self._origin(place, one, file), **self._speakers(place, one, file)})
            starts.append(
                self._finder.optional("started_at", place.started_at, one, lambda v: moment_of(v, self._formats))
            )
            offset = self._finder.optional("offset_ms", place.offset_ms, one, whole_of)
            if offset is not None:
                shaped[-1]["offset_ms"] = self._sensible(offset)
        if not shaped:
            raise InvalidInput.of("audio", f"there is no audio file{spot.within}")
        known = [start for start in starts if start is not None]
        for file_shape, start in zip(shaped, starts, strict=True):
            if start is not None:
                file_shape["offset_ms"] = self._sensible(round((start - min(known)).total_seconds() * 1000))
        if known and len(known) < len(starts):
            self._notes.add("start_unknown", "Not every file says when it starts; those that do not start the call.")
        return shaped

    def _places(
        self, place: AudioMapping, spot: Spot, files: Sequence[CameAlong]
    ) -> list[tuple[Spot, CameAlong | None]]:
        if place.each is None:
            return [(Spot(f.seen(), "audio.", f" for file {number}"), f) for number, f in enumerate(files, start=1)]
        by_name = {key: file for file in files for key in (file.name, file.name.replace("\\", "/").rsplit("/", 1)[-1])}
        places: list[tuple[Spot, CameAlong | None]] = []
        for one in self._finder.spots("audio", place.each, spot) or ():
            if place.file is None:
                places.append((one, None))
                continue
            name = self._finder.required("file", place.file, one, text_of)
            file = by_name.get(name) or by_name.get(name.replace("\\", "/").rsplit("/", 1)[-1])
            if file is None:
                raise Finder.refused("file", place.file, one, "names a file that did not come along")
            places.append((one, file))
        return places

    def _origin(self, place: AudioMapping, spot: Spot, file: CameAlong | None) -> dict[str, Any]:
        if file is not None:
            return {"id": file.id}
        return {"url": self._finder.required("url", place.url or "url", spot, text_of)}

    def _speakers(self, place: AudioMapping, spot: Spot, file: CameAlong | None) -> dict[str, Any]:
        if isinstance(place.channels, Lookup):
            roles = self._finder.words("channels", place.channels, spot, Role)
            names = [role.value if role not in (None, Role.UNKNOWN) else _MIXED for role in roles]
            return {"channels": names} if names else {}
        if place.channels:
            return {"channels": list(place.channels)}
        if place.role is not None:
            role = self._finder.word("role", place.role, spot, Role)
            return {"role": role} if role not in (None, Role.UNKNOWN) else {"channels": [_MIXED]}
        return guessed_speakers(file, self._notes) if file is not None else {}

    def _sensible(self, offset: int) -> int:
        if not 0 <= offset <= _LATEST_MS:
            self._notes.add("offset_left_out", "A file starts before the call or more than a day after it; taken as 0.")
            return 0
        return offset


def guessed_speakers(file: CameAlong, notes: Notes) -> dict[str, Any]:
    """Who speaks on a file, by its name alone; said in a note."""
    suffix = file.suffix
    if suffix is not None:
        role = SUFFIX_ROLES[suffix]
        notes.add("speaker_by_file_name", f"Files whose names end in .{suffix} are taken for the {role.value}'s side.")
        return {"role": role}
    channels = min(file.channels or 1, 6)
    notes.add("speakers_not_said", "Nothing says who speaks on which file or channel; no role is guessed.")
    return {"channels": [_MIXED] * channels}
