"""The language of a text, by lingua: among the candidates, or among the languages below."""

import threading
from collections.abc import Sequence
from functools import lru_cache

from lingua import IsoCode639_1, Language, LanguageDetector, LanguageDetectorBuilder

from engines.protocols import LanguageGuess

LANGUAGES = (
    "ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja",
    "ko", "lt", "lv", "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
"""Told apart when no candidates are given: the languages of most customer conversations."""

MIN_LETTERS = 8
"""Fewer letters are no ground: "ok" is said in every language. A word of a script with few letters counts as one."""

MAX_CHARACTERS = 4_000
"""More text makes no better guess."""

FEW_LANGUAGES = 6
"""Up to here the larger models are loaded (about 20 MB a language); for all languages the small ones do: a quarter of a
second and 90 MB instead of 7 s and 730 MB, with the same answers on whole sentences."""

_WIDE = ("\u3040", "\u9fff"), ("\uac00", "\ud7af")


class LinguaIdentifier:
    """Fulfils `engines.protocols.LanguageIdentifier`. Safe to share between threads; models load with the first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def identify(self, text: str, candidates: Sequence[str] = ()) -> LanguageGuess:
        """`candidates`: BCP-47 tags; those lingua does not know are left out. Confidence is lingua's own, relative to
        the languages compared: low when two fit almost alike."""
        if _letters(text) < MIN_LETTERS:
            return LanguageGuess(None, 0.0)
        tags = tuple(sorted({tag.split("-")[0].lower() for tag in candidates} or LANGUAGES))
        languages = frozenset(language for tag in tags if (language := _language(tag)) is not None)
        if len(languages) < 2:  # nothing to tell it from: compare with everything, and take it only if it wins
            wanted = next(iter(languages), None)
            guess = self.identify(text)
            known = wanted is not None and guess.language == _tag(wanted)
            return guess if known else LanguageGuess(None, 0.0)
        with self._lock:
            found = _detector(languages).compute_language_confidence_values(text[:MAX_CHARACTERS])
        best = found[0]
        return LanguageGuess(_tag(best.language), best.value) if best.value > 0 else LanguageGuess(None, 0.0)


def _letters(text: str) -> int:
    """Letters, where one of a script without spaces weighs as much as three of others."""
    wide = sum(any(low <= c <= high for low, high in _WIDE) for c in text)
    return sum(c.isalpha() for c in text) + 2 * wide


def _language(tag: str) -> Language | None:
    try:
        return Language.from_iso_code_639_1(IsoCode639_1.from_str(tag.upper()))
    except (ValueError, AttributeError):
        return None


def _tag(language: Language) -> str:
    return str(language.iso_code_639_1.name.lower())


@lru_cache(maxsize=32)
def _detector(languages: frozenset[Language]) -> LanguageDetector:
    builder = LanguageDetectorBuilder.from_languages(*languages)
    return (builder.with_low_accuracy_mode() if len(languages) > FEW_LANGUAGES else builder).build()
