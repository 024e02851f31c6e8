"""Text as the rules read it: folded without moving an offset, cut into sentences, its language guessed.

Offsets are character offsets in the turn's own text; whatever is quoted is a slice of it.
"""

import re
import unicodedata
from dataclasses import dataclass

from domain.conversation import Role
from engines.language_models.offline import speech

MAX_TURN_CHARS = 20_000
"""Of a longer turn only the beginning is read: nobody explains a problem on page ten."""

_FOLD = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "\u00a0": " ", "–": "-", "—": "-"})
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|no|nr|approx|etc|e\.g|i\.e|z\.b|bzw|ca|sr|sra|ud|vs|inc|ltd)|\b[a-z])\.$"
)
_ORDINAL = re.compile(r"\b\d{1,2}\.(?= [a-zäöü])")
_STOP = re.compile(r"[.!?…。！？]+[\"')\]]*(?=\s|$)|\n+|(?<=\w)\s*[;]\s+|\s+-{1,2}\s+")
_MARK = re.compile(r"[.?!;](?=\s|$)")
_PIVOT = re.compile(
    r"\s(?=(?:and (?:i|it|they|then|now|you|he|she|we|this|that|there|my)|but|so (?:i|now|we|you)|"
    r"because|then (?:i|they)|"
    r"i'?m|i'?ve|i (?:was|have|want|need|would|called|tried|paid|asked|got)|we'?ve|can you|could you|"
    r"pero|porque|y (?:no|me|ahora|ya|luego)|aber|weil|und (?:ich|es|jetzt|dann|nun))\b)"
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
LONG_SENTENCE_WORDS = 28
MIN_PIECE_WORDS = 8


def fold(text: str) -> str:
    """Lower case and plain quotes, of the same length as `text`, so that offsets hold in both."""
    plain = text.translate(_FOLD)
    lower = plain.lower()
    if len(lower) == len(text):
        return lower
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in plain)


def words(folded: str) -> list[str]:
    """Words without punctuation; `don't` is one word."""
    return _WORD.findall(folded)


def has_symbol(text: str) -> bool:
    """Whether the text has an emoji or the like: without a word it may still say something."""
    return any(unicodedata.category(c) == "So" for c in text)


@dataclass(frozen=True)
class Sentence:
    """One sentence of one turn. index counts over the conversation; [start, end) are offsets in the turn."""

    index: int
    turn: int
    role: Role
    start: int
    end: int
    text: str
    folded: str
    question: bool

    @property
    def word_count(self) -> int:
        return len(words(self.folded))


def spans(text: str) -> list[tuple[int, int]]:
    """Sentence borders of a text, without surrounding space. Speech without marks is cut where clauses begin."""
    folded = fold(text)
    cuts: list[tuple[int, int]] = []
    begin = 0
    for stop in _STOP.finditer(folded):
        if _ABBREVIATION.search(folded, max(begin, stop.start() - 6), stop.end()):
            continue
        if folded[begin : stop.end()].strip(" .)\n-").isdigit() or _ORDINAL.search(
            folded, max(begin, stop.start() - 3)
        ):
            continue
        cuts.append((begin, stop.end()))
        begin = stop.end()
    cuts.append((begin, len(text)))
    marked = _MARK.search(folded) is not None
    return [piece for cut in cuts for piece in _shorter(folded, *cut, marked=marked)]


def _shorter(folded: str, start: int, end: int, *, marked: bool) -> list[tuple[int, int]]:
    """A run-on sentence in pieces. marked: the text has marks, so that only very long ones are cut."""
    if not marked and speech.is_unmarked(folded[start:end]):
        return _worded(folded, speech.pieces(folded, start, end))
    pieces: list[tuple[int, int]] = []
    if len(words(folded[start:end])) > LONG_SENTENCE_WORDS:
        begin = start
        for pivot in _PIVOT.finditer(folded, start, end):
            if (
                len(words(folded[begin : pivot.start()])) >= MIN_PIECE_WORDS
                and len(words(folded[pivot.start() : end])) >= MIN_PIECE_WORDS // 2
            ):
                pieces.append((begin, pivot.start()))
                begin = pivot.start()
        start = begin
    pieces.append((start, end))
    return _worded(folded, pieces)


def _worded(folded: str, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    trimmed = [_trim(folded, *piece) for piece in pieces]
    return [(a, b) for a, b in trimmed if words(folded[a:b]) or has_symbol(folded[a:b])]


def _trim(folded: str, start: int, end: int) -> tuple[int, int]:
    while start < end and (folded[start].isspace() or folded[start] in "-;>*•"):
        start += 1
    while end > start and (folded[end - 1].isspace() or folded[end - 1] in "-;"):
        end -= 1
    return start, end


_FUNCTION_WORDS = {
    language: frozenset(listed.split())
    for language, listed in (
        (
            "en",
            "the and you is to of it that have for my not with was are this but be on can i'm i've don't what your me "
            "would just when i from has been are she her he his we our they out there then one no so if how all do did "
            "had will who which as at by or an am us them more only says said after before get got were",
        ),
        (
            "es",
            "el la los las que de no mi me en por para con una un es lo se le pero muy ya he está tengo hola "
            "gracias su "
            "como cuando del al mis esto eso ha usted",
        ),
        (
            "de",
            "der die das und ich nicht ist es zu mit mein meine auf für den dem ein eine habe sie wir aber "
            "auch noch bei "
            "von bitte danke hallo wie wurde kann mir mich ihnen seit",
        ),
    )
}
SOLVED_LANGUAGES = frozenset(_FUNCTION_WORDS)


FEW_WORDS = 6
LEAST_SHARE = 0.12
"""Of the words of real sentences at least so many are function words of their language."""


def guess_language(text: str, hint: str | None) -> str | None:
    """One of the languages the rules know, or None for any other. A few words without a function word follow the hint.

    hint: BCP-47 tag. The words decide when they are clear, because a hint names the conversation, not the text.
    """
    hinted = hint.split("-")[0].lower() if hint else None
    tokens = words(fold(text))[:3000]
    shares = {lang: sum(t in known for t in tokens) for lang, known in _FUNCTION_WORDS.items()}
    best = max(shares, key=lambda lang: (shares[lang], lang == hinted, lang == "en"))
    if len(tokens) < FEW_WORDS or shares[best] < 2:
        plain = _is_latin(text) and (len(tokens) < FEW_WORDS or text.isascii())
        return hinted if hinted in SOLVED_LANGUAGES else ("en" if hinted is None and plain else None)
    if shares[best] / len(tokens) < LEAST_SHARE and best != hinted:
        return None
    return best


def _is_latin(text: str) -> bool:
    letters = [c for c in text[:2000] if c.isalpha()]
    return bool(letters) and sum(c < "\u0250" for c in letters) / len(letters) > 0.8
