"""What was personal once in a conversation is personal everywhere in it."""

import re
from collections.abc import Iterable

from domain.turns import MaskKind
from engines.redaction.numbers import DigitRun
from engines.redaction.spans import Span
from engines.redaction.words import is_common, may_be_word

_REPEATED = frozenset(
    {MaskKind.ACCOUNT, MaskKind.CARD, MaskKind.NATIONAL_ID, MaskKind.PHONE, MaskKind.PASSWORD, MaskKind.ID_NUMBER}
)
_FEWEST_CHARACTERS = 4


class Recall:
    """Collects the numbers, codes and secrets that were found, and finds them again.

    A number is also recognised by its last four digits. What the company calls an order is never masked as a repeat.
    """

    def __init__(self) -> None:
        self._digits: dict[str, MaskKind] = {}
        self._words: dict[str, MaskKind] = {}

    def learn(self, text: str, spans: Iterable[Span]) -> None:
        """Takes in the resolved spans of a text."""
        for span in spans:
            if span.kind not in _REPEATED:
                continue
            value = text[span.start : span.end]
            digits = "".join(character for character in value if character.isdigit())
            if len(digits) >= _FEWEST_CHARACTERS:
                self._digits[digits] = self._digits[digits[-4:]] = span.kind
            if len(value) >= _FEWEST_CHARACTERS and not value.isdigit() and not _is_ordinary(value):
                self._words[value.lower()] = span.kind

    def find(self, text: str, runs: Iterable[DigitRun], known: Iterable[Span]) -> list[Span]:
        """Spans of what was learned, where nothing is known yet."""
        taken = list(known)
        spans = [
            Span(run.start, run.end, self._digits[run.digits])
            for run in runs
            if run.digits in self._digits and not any(s.start < run.end and run.start < s.end for s in taken)
        ]
        for value, kind in self._words.items():
            for found in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE):
                spans.append(Span(*found.span(), kind))
        return spans


def _is_ordinary(value: str) -> bool:
    return all(is_common(word) for word in value.split())


def is_distinctive_name(name: str) -> bool:
    """Whether a name that was found may be looked for elsewhere: not a spelled one, nor one ordinary word."""
    return any(len(word) > 1 for word in re.findall(r"\w+", name)) and not may_be_word(name)
