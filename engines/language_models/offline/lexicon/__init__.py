"""Lexicons: the phrases of one language, in `.cues` files beside this one, read once per process.

A file holds sections: `[name] weight` and under it lines of phrases separated by ` | ` (see `offline.cues` for how a
phrase is written). `[reason billing] 4` and `[cause price]` are families; a reason may have several weights.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeVar

from engines.language_models.offline.cues import CueSet, cues
from engines.language_models.offline.lexicon.base import Churn, Context, Feelings, Lexicon, Outcome, Promises

_HEADER = re.compile(r"\[(\w+)(?: (\w+))?\](?: ([\d.]+))?")
T = TypeVar("T", Feelings, Context, Outcome, Churn, Promises)

LANGUAGES = ("en", "es", "de")


@dataclass(frozen=True)
class _Section:
    name: str
    family: str | None
    weight: float
    lines: tuple[str, ...]

    @property
    def cue_set(self) -> CueSet:
        return cues(self.family or self.name, *self.lines, weight=self.weight)


@lru_cache(maxsize=len(LANGUAGES))
def lexicon(language: str) -> Lexicon:
    """The lexicon of a language of LANGUAGES. Raises ValueError when a file is wrong: a packaging mistake."""
    sections = [section for path in sorted(_paths(language)) for section in _sections(path)]
    single = {s.name: s.cue_set for s in sections if s.family is None}
    reasons: dict[str, list[CueSet]] = defaultdict(list)
    causes: dict[str, CueSet] = {}
    for section in sections:
        if section.name == "reason" and section.family:
            reasons[section.family].append(section.cue_set)
        elif section.name == "cause" and section.family:
            causes[section.family] = section.cue_set
    return Lexicon(
        language=language,
        feelings=_group(Feelings, single),
        context=_group(Context, single),
        outcome=_group(Outcome, single),
        churn=_group(Churn, single, causes=causes),
        promises=_group(Promises, single),
        reasons={label: tuple(sets) for label, sets in reasons.items()},
        need=single["need"],
        small_talk=single["small_talk"],
        agent_talk=single["agent_talk"],
    )


def _paths(language: str) -> Iterator[str]:
    folder = files(__package__).joinpath(language)
    for entry in folder.iterdir():
        if entry.name.endswith(".cues"):
            yield entry.read_text(encoding="utf-8")


def _sections(text: str) -> Iterator[_Section]:
    header: re.Match[str] | None = None
    lines: list[str] = []
    for line in [*text.splitlines(), "[end]"]:
        if line.startswith("#") or not line.strip():
            continue
        if (match := _HEADER.fullmatch(line.strip())) is not None:
            if header is not None:
                weight = float(header[3]) if header[3] else 1.0
                yield _Section(header[1], header[2], weight, tuple(lines))
            header, lines = match, []
        elif header is None:
            raise ValueError(f"a phrase before the first section: {line[:60]}")
        else:
            lines.append(line)


def _group(kind: type[T], sets: dict[str, CueSet], **extra: Any) -> T:
    values: dict[str, Any] = dict(extra)
    for field in fields(kind):
        if field.name not in values:
            values[field.name] = sets.get(field.name, CueSet(field.name, ()))
    return kind(**values)
