"""A cue is a phrase that says something when it is found: a small pattern language over folded text.

In a phrase a space is any white space, `'` may be missing (`don't` finds `dont`, but `we'll` not `well`), `~` is the
rest of a word (`cancel~` finds `cancelled`), and ` … ` stands for up to four words. The rest is a regular expression.
A cue begins and ends at a word's border.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_OPTIONAL_APOSTROPHE = re.compile(
    r"'(?!(?<=\bi')(?:ll|d)\b)(?!(?<=\bwe')(?:ll|re|d)\b)(?!(?<=\bhe')(?:ll|d)\b)(?!(?<=\bshe')(?:ll|d)\b)"
)
"""Not in `we'll`, `we're`, `i'll`, `i'd`, `he'll`, `she'll`: without it they are other words."""

_GAP = r"(?:[^\w.!?\n]+[\w']+){0,4}?[^\w.!?\n]+"


def expression(phrase: str) -> str:
    """The regular expression of one phrase, without borders."""
    parts = [_words(part) for part in phrase.split(" … ")]
    return _GAP.join(parts)


def _words(part: str) -> str:
    return _OPTIONAL_APOSTROPHE.sub("'?", part).replace("~", r"\w*").replace(" ", r"\s+")


@lru_cache(maxsize=512)
def compiled(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """One pattern for all phrases; of two that fit at a place the longer phrase is tried first."""
    if not phrases:
        return re.compile(r"(?!)")
    ordered = sorted(phrases, key=len, reverse=True)
    return re.compile(r"(?<![\w'])(?:" + "|".join(expression(p) for p in ordered) + r")(?!\w)")


@dataclass(frozen=True)
class Hit:
    """Where a cue was found: offsets in the turn."""

    turn: int
    start: int
    end: int


@dataclass(frozen=True)
class CueSet:
    """Phrases that mean the same, with the weight a hit has."""

    name: str
    phrases: tuple[str, ...]
    weight: float = 1.0

    def find(self, folded: str, start: int = 0, end: int | None = None) -> Iterable[re.Match[str]]:
        """Every place in [start, end) where one of the phrases stands."""
        return compiled(self.phrases).finditer(folded, start, len(folded) if end is None else end)

    def search(self, folded: str) -> re.Match[str] | None:
        return compiled(self.phrases).search(folded)


def cues(name: str, *lines: str, weight: float = 1.0) -> CueSet:
    """A cue set from lines of phrases separated by ` | `. A bar inside brackets belongs to the phrase."""
    phrases = [phrase for line in lines for phrase in _split(line)]
    return CueSet(name, tuple(dict.fromkeys(phrases)), weight)


def _split(line: str) -> list[str]:
    depth, begin = 0, 0
    phrases: list[str] = []
    for offset, character in enumerate(line):
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            phrases.append(line[begin:offset].strip())
            begin = offset + 1
    phrases.append(line[begin:].strip())
    return [phrase for phrase in phrases if phrase]
