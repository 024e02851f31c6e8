"""Names known in a conversation, found wherever they are said: of participants, and of those who gave theirs."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from domain.turns import MaskKind
from engines.redaction.spans import Span
from engines.redaction.words import ORGANISATION_WORDS, may_be_word


@dataclass(frozen=True)
class KnownNames:
    """Names known in a conversation, ready to be found in any turn of it."""

    patterns: tuple[re.Pattern[str], ...]
    """Anywhere, whatever the case."""
    cased: re.Pattern[str] | None
    """Ordinary words too: only with a capital letter inside a sentence."""

    def find(self, text: str) -> Iterator[Span]:
        folded, back = _folded(text)
        for pattern in self.patterns:
            for found in pattern.finditer(folded):
                end = back[found.end() - 1] + 1
                while end < len(text) and unicodedata.combining(text[end]):
                    end += 1
                yield Span(back[found.start()], end, MaskKind.NAME)
        if self.cased is not None:
            for found in self.cased.finditer(text):
                yield Span(*found.span(), MaskKind.NAME)


_NO_BOUNDARY = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_SEPARATORS = re.compile(r"[\s,;/()\"]+")


def known_names(names: Iterable[str], cased_names: Iterable[str] = (), *, inflected: bool = False) -> KnownNames:
    """Finds full names and their parts, in any case; of `cased_names` only as written with capital letters.

    A part that is an ordinary word too, or has two letters, must stand where only a name has a capital letter. Names
    of teams and companies are none. inflected: the language bends names, so endings of up to three letters are allowed.
    """
    whole: set[str] = set()
    parts: set[str] = set()
    cased: set[str] = set()
    ending = r"[^\W\d_]{0,3}" if inflected else ""
    for name in names:
        words = _words(name)
        if len(words) > 1:
            whole.add(_bounded(r"[\s,.]{1,3}".join(re.escape(_folded(word)[0]) for word in words), name))
        for word in words:
            if len(word) < 2 or word.endswith(".") or not word[0].isalpha():
                continue
            if not _NO_BOUNDARY.search(word) and (len(word) == 2 or may_be_word(word)):
                cased.add(_inside_sentence(word))
            else:
                parts.add(_bounded(re.escape(_folded(word)[0]) + (ending if len(word) > 3 else ""), word))
    for name in cased_names:
        for word in _words(name):
            if len(word) > 1 and word[0].isupper():
                cased.add(_inside_sentence(word) if may_be_word(word) else rf"\b{re.escape(word)}\b")
    patterns = tuple(re.compile("|".join(sorted(group, key=len, reverse=True))) for group in (whole, parts) if group)
    return KnownNames(patterns, re.compile("|".join(sorted(cased, key=len, reverse=True))) if cased else None)


def _words(name: str) -> list[str]:
    words = [word for word in _SEPARATORS.split(name.strip()) if word.strip(".'’-") and "@" not in word]
    return [] if words and words[-1].lower() in (ORGANISATION_WORDS | _NOBODY) else words


_NOBODY = frozenset(("bot", "assistant", "system", "agent", "customer", "desk", "helpdesk", "office", "care", "center"))


def _bounded(pattern: str, name: str) -> str:
    return pattern if _NO_BOUNDARY.search(name) else rf"(?<![^\W_])(?:{pattern})(?![^\W_])"


def _inside_sentence(word: str) -> str:
    """With a capital letter where no sentence begins, or set off as when somebody is called (`Will, …`)."""
    written = re.escape(word[0].upper() + word[1:].lower())
    return rf"(?<![.!?\n] )(?<![.!?\n])(?<!^)\b{written}\b|\b{written}(?=[,!]|\shere\b|\sspeaking\b)"


def _folded(text: str) -> tuple[str, Sequence[int]]:
    """The text without case and accents, and for each of its places (and its end) the place in the original."""
    if text.isascii():
        return text.lower(), range(len(text) + 1)
    folded: list[str] = []
    back: list[int] = []
    for place, character in enumerate(text):
        plain = [c for c in unicodedata.normalize("NFKD", character).casefold() if not unicodedata.combining(c)]
        folded += plain
        back += [place] * len(plain)
    back.append(len(text))
    return "".join(folded), back
