"""Words: how any text is cut and folded for search. Documents, queries and highlights all use this one cut.

A word is a run of letters, digits and their marks. Scripts written without spaces (Chinese, Japanese, Thai, …) give
a word a character, so that their phrases are found; a symbol such as an emoji is a word of its own. Folding drops
case, width, accents and vowel points.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_WORD_CHARACTERS = 60
"""A longer run keeps its beginning only, in documents and queries alike."""

_LETTER, _SINGLE, _SYMBOL, _MARK, _SPACE = "w", "c", "s", "m", " "
_PATTERN = re.compile(f"{_LETTER}[{_LETTER}{_MARK}]*|{_SINGLE}{_MARK}*|{_SYMBOL}")

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x20000, 0x323AF),
)
_ACCENTS = (
    (0x0300, 0x036F),  # Latin, Greek, Cyrillic
    (0x0591, 0x05C7),  # Hebrew points
    (0x0610, 0x061A),  # Arabic signs and vowels
    (0x0640, 0x0640),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
)
# Letters that Unicode does not decompose, and people type without.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})


@dataclass(frozen=True, slots=True)
class Word:
    """A folded word and where it stands: character offsets in the text it was cut from."""

    text: str
    start: int
    end: int


def words(text: str) -> Iterator[Word]:
    """The words of a text, in order. Marks alone and punctuation give none."""
    for match in _PATTERN.finditer(text.translate(_CLASSES)):
        start, end = match.span()
        folded = _fold(text[start : min(end, start + MAX_WORD_CHARACTERS)])
        if folded:
            yield Word(folded, start, end)


@lru_cache(maxsize=100_000)
def _fold(piece: str) -> str:
    if piece.isascii():
        return piece.lower()
    decomposed = unicodedata.normalize("NFKD", piece).casefold().translate(_PLAIN)
    kept = "".join(c for c in unicodedata.normalize("NFKD", decomposed) if not _dropped(c))
    folded = unicodedata.normalize("NFKC", kept)
    if len(folded) == 1 and _class_of(folded) == _SYMBOL:
        return f"u{ord(folded):x}"  # a search engine's own cut would drop the symbol
    return "".join(_digit(c) for c in folded if _class_of(c) != _SPACE)[:MAX_WORD_CHARACTERS]


def _dropped(character: str) -> bool:
    code = ord(character)
    return any(low <= code <= high for low, high in _ACCENTS) or unicodedata.category(character) in ("Cf", "Me")


def _digit(character: str) -> str:
    if unicodedata.category(character) != "Nd":
        return character
    return str(unicodedata.digit(character))


def _class_of(character: str) -> str:
    code = ord(character)
    category = unicodedata.category(character)
    if category[0] == "M" or category == "Cf":
        return _MARK
    if category[0] in "LN":
        return _SINGLE if any(low <= code <= high for low, high in _UNSPACED) else _LETTER
    return _SYMBOL if category == "So" else _SPACE


class _Classes(dict[int, str]):
    """`str.translate` table from characters to their class, filled as characters come."""

    def __missing__(self, code: int) -> str:
        found = self[code] = _class_of(chr(code))
        return found


_CLASSES = _Classes()
