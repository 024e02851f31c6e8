"""Language identification with lingua, offline."""

import re
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from engines.protocols import LanguageGuess

KNOWN = (
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja", "ko",
    "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
"""Languages told apart when no candidates are given."""

CONFIDENT = 0.5
"""Below this the text gives no ground for a language."""

UNSURE = 0.3
"""What is claimed at most for a text too short to tell."""

_MARGIN = 0.15
"""The best must be this far ahead of the second: a text half in one language and half in another has none."""

_MIXED = 0.35
"""Share of another language from which on a text has none."""

_SENTENCE_END = re.compile(r"[.!?\n]+\s*")
_SENTENCE_LETTERS = 12
_CLEAR = 0.8

_LONG = 120
"""Letters from which on lingua reads only trigrams, and is sure whatever the candidates."""

_OUTSIDE = 0.9
"""Confidence from which on a long text may be in a language that is no candidate."""

_FEWEST_WITHOUT_CANDIDATES = 35
"""Letters below which the small models are wrong and sure of it; only a script of one language is ground enough."""

_ALONE_IN_SCRIPT = frozenset({"el", "he", "hi", "ja", "ko", "th", "zh"})

_CHARACTERS_READ = 2_000
_FEWEST_LETTERS = 6
_FEWEST_LETTERS_ELSEWHERE = 2
_NO_LANGUAGE = re.compile(r"\S+@\S+|https?://\S+|www\.\S+|\[[a-z_]+\]|\b\w*\d\w*\b")
_LETTER = re.compile(r"[^\W\d_]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")


class LinguaIdentifier:
    """Fulfils `engines.protocols.LanguageIdentifier`. Safe to share between threads.

    Models load on first use: the full ones (some 20 MB a language) for the candidates only, the small ones (80 MB in
    all) for the rest.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._detector = lru_cache(maxsize=8)(_build)

    def identify(self, text: str, candidates: Sequence[str] = ()) -> LanguageGuess:
        """The language of a text, among `candidates` (BCP-47 tags; all known ones when there are fewer than two).

        Numbers, addresses and masks are not read. None for a text that is too short, mixed or of no language. A long
        text that is clearly in a language outside the candidates is said to be in that one.
        """
        words = _NO_LANGUAGE.sub(" ", text[:_CHARACTERS_READ])
        letters = len(_LETTER.findall(words))
        latin = len(_LATIN.findall(words)) * 2 > letters
        if letters < (_FEWEST_LETTERS if latin else _FEWEST_LETTERS_ELSEWHERE):
            return LanguageGuess(None, 0.0)
        among = _supported(candidates)
        if len(among) < 2:
            guess = self._best(words, KNOWN, small=True)
            if letters >= _FEWEST_WITHOUT_CANDIDATES or guess.language in _ALONE_IN_SCRIPT:
                return guess
            return LanguageGuess(None, min(guess.confidence, UNSURE))
        if letters >= _LONG:
            anywhere = self._best(words, tuple(sorted({*KNOWN, *among})), small=True)
            if anywhere.language not in (*among, None) and anywhere.confidence >= _OUTSIDE:
                return anywhere
        best = self._best(words, among, small=False)
        other = self._share_of_others(words, among, best)
        return LanguageGuess(None, min(1 - other, UNSURE)) if other > _MIXED else best

    def _share_of_others(self, text: str, among: tuple[str, ...], best: LanguageGuess) -> float:
        """Share of the letters of clear sentences that are in another language than the whole."""
        if best.language is None:
            return 0.0
        same = other = 0
        for sentence in _SENTENCE_END.split(text):
            letters = len(_LETTER.findall(sentence))
            if letters < _SENTENCE_LETTERS:
                continue
            guess = self._best(sentence, among, small=False)
            if guess.confidence >= _CLEAR:
                same += letters * (guess.language == best.language)
                other += letters * (guess.language != best.language)
        return other / (same + other) if other else 0.0

    def _best(self, text: str, among: tuple[str, ...], *, small: bool) -> LanguageGuess:
        with self._lock:
            detector = self._detector(among, small)
        best, second, *_ = detector.compute_language_confidence_values(text)
        confidence = float(best.value)
        if confidence < CONFIDENT or confidence - second.value < _MARGIN:
            return LanguageGuess(None, confidence)
        return LanguageGuess(best.language.iso_code_639_1.name.lower(), confidence)


def _supported(candidates: Sequence[str]) -> tuple[str, ...]:
    """Base languages of the tags that lingua knows, sorted. Norwegian without a variety is Bokmål."""
    bases = {tag.split("-")[0].lower() for tag in candidates}
    return tuple(sorted({"nb" if base == "no" else base for base in bases} & _codes()))


@lru_cache(maxsize=1)
def _codes() -> frozenset[str]:
    from lingua import Language

    return frozenset(language.iso_code_639_1.name.lower() for language in Language.all())


def _build(codes: tuple[str, ...], small: bool) -> Any:
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    builder = LanguageDetectorBuilder.from_iso_codes_639_1(*(getattr(IsoCode639_1, code.upper()) for code in codes))
    return (builder.with_low_accuracy_mode() if small else builder).build()
