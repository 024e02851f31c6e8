"""Are these really the words, from the right person, and do they carry any weight?

A quote is exact after folding white space, case, typographic marks and how a mask is written. It must come from the
role the task asks for, and it must be distinctive: "ok" is in every conversation and supports nothing. An order to a
model ("set CSAT to 5") is no evidence either. Offsets refer to the redacted turn the quote was found in.

A value may also rest on something nobody said. Then it names the turns that were searched and the words looked for,
and those are looked for again here.
"""

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum

from domain.conversation import Frozen, Role
from domain.suspicion import Suspicion
from domain.turns import Turn
from domain.values import Quote, Searched

MAX_TURNS_WITH_THE_QUOTE = 3
"""A quote found in more turns than this is a habit of speech."""


class QuoteProblem(StrEnum):
    NOT_FOUND = "not_found"
    WRONG_ROLE = "wrong_role"
    NOT_DISTINCTIVE = "not_distinctive"
    INSTRUCTION = "instruction"


class AbsenceProblem(StrEnum):
    """not_covered: some turn was not searched. said: a word is there. no_words: no word says anything by itself."""

    NOT_COVERED = "not_covered"
    SAID = "said"
    NO_WORDS = "no_words"


class ClaimedQuote(Frozen):
    """What a model says it read: the turn it names may be wrong, the words may not."""

    turn: int
    quote: str


class VerifiedQuote(Frozen):
    quote: Quote


class RejectedQuote(Frozen):
    claimed: ClaimedQuote
    problem: QuoteProblem


class ClaimedAbsence(Frozen):
    """What a model says nobody said: the words it looked for, and in which turns."""

    first: int
    last: int
    words: tuple[str, ...]


_MARKS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": ".", "\u00a0": " "})
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*", re.UNICODE)
_MASK = re.compile(r"\[[a-z_]+\]")
_ANY_MASK = re.compile(r"\[ ?([a-z]+)[ _-]?([a-z]*)[ _-]?([a-z]*) ?\]")
_RATING_QUESTION = re.compile(
    r"\b(rate|rating|scale|score|stars?|out of|from (?:one|1) to|puntuaci|valora|escala|skala|bewert|sterne)", re.I
)

_EMPTY_WORDS = frozenset(
    """
    ok okay okey k yes yeah yep yup no nope sure right alright fine good great perfect excellent cool nice hi hello
    hey bye goodbye thanks thank thankyou thx cheers please sorry welcome morning afternoon evening day well oh ah
    uh um hmm mhm so indeed understood noted correct exactly absolutely certainly course problem worries

    a an the and or but if of to in on at by for from with as is are was were be been am do does did have has had i
    me my you your he she it its we us our they them their this that these those there here what which who how when
    where why not can could will would shall should may might must just very too also then than now again all any
    some more much many one let let's get got go it's that's i'm you're we're i'll i've don't

    sí si gracias hola vale bueno buenos buenas días tardes por favor adiós de la el los las y o que un una en es
    ja nein danke hallo bitte gut guten tag morgen tschüss der die das und oder ein eine ist ich sie wir nicht
    oui non merci bonjour bonsoir d'accord le les des et ou est je vous nous
    """.split()  # noqa: SIM905 - a list of words is read more easily than a list of literals
)
"""Acknowledgements, politeness and function words of the languages most often met: alone they support nothing."""


class _Folding(dict[int, str]):
    """What each character is folded to, for `str.translate`; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        folded = unicodedata.normalize("NFKC", chr(code).translate(_MARKS)).casefold().translate(_MARKS)
        folded = "".join(" " if piece.isspace() else piece for piece in folded)
        if len(self) < _MOST_CHARACTERS:
            self[code] = folded
        return folded


_MOST_CHARACTERS = 10_000
_FOLDING = _Folding()
_BLANKS = re.compile(" {2,}")


def _fold(text: str) -> str:
    """The text folded for comparison; all white space is one blank."""
    return _BLANKS.sub(" ", text.translate(_FOLDING))


def _origins(text: str) -> list[int]:
    """For each character of the folded text the offset it came from."""
    origins: list[int] = []
    blank = False
    for offset, code in enumerate(map(ord, text)):
        for piece in _FOLDING[code]:
            if not (blank and piece == " "):
                origins.append(offset)
            blank = piece == " "
    return origins


def _locate(turn: Turn, needle: str) -> tuple[int, int] | None:
    """Offsets [start, end) of the folded needle in the turn's text, on word borders."""
    haystack = _fold(turn.text)
    position = haystack.find(needle)
    while position >= 0:
        end = position + len(needle)
        starts_clean = position == 0 or not (haystack[position - 1].isalnum() and needle[0].isalnum())
        ends_clean = end == len(haystack) or not (haystack[end].isalnum() and needle[-1].isalnum())
        if starts_clean and ends_clean:
            origins = _origins(turn.text)  # only here: most turns do not hold the quote
            return origins[position], origins[end - 1] + 1
        position = haystack.find(needle, position + 1)
    return None


def is_distinctive(quote: str, *, answers_rating_question: bool = False) -> bool:
    """Does the quote say anything by itself? One telling word is enough; greetings, masks and fillers are not."""
    text = _MASK.sub(" ", quote).translate(_MARKS).casefold()
    words = _WORD.findall(text)
    telling = [w for w in words if w not in _EMPTY_WORDS and len(w) > 1 and not w.isdigit()]
    if telling:
        return True
    if any(w.isdigit() for w in words):
        return answers_rating_question or len(words) > 1
    return not words and any(unicodedata.category(c) == "So" for c in text)


def verify(
    turns: Sequence[Turn],
    claimed: ClaimedQuote,
    required_role: Role | None = None,
    barred: Sequence[Suspicion] = (),
) -> VerifiedQuote | RejectedQuote:
    """Find the claimed words. A wrong turn number is mended when the words stand in few enough other turns.

    barred: sentences that are orders to a model, whose words support nothing.
    """
    needle = _needle(claimed.quote)
    if not needle:
        return RejectedQuote(claimed=claimed, problem=QuoteProblem.NOT_FOUND)
    found = [(turn, span) for turn in turns if (span := _locate(turn, needle)) is not None]
    if not found:
        return RejectedQuote(claimed=claimed, problem=QuoteProblem.NOT_FOUND)
    fitting = [(turn, span) for turn, span in found if turn.role.may_be(required_role)]
    if not fitting:
        return RejectedQuote(claimed=claimed, problem=QuoteProblem.WRONG_ROLE)
    honest = [(turn, span) for turn, span in fitting if not _overlaps(turn, span, barred)]
    if not honest:
        return RejectedQuote(claimed=claimed, problem=QuoteProblem.INSTRUCTION)
    turn, (start, end) = min(honest, key=lambda hit: (hit[0].number != claimed.turn, hit[0].number))
    before = next((t for t in reversed(turns) if t.number < turn.number and t.role is not turn.role), None)
    rated = before is not None and _RATING_QUESTION.search(before.text) is not None
    if len(found) > MAX_TURNS_WITH_THE_QUOTE or not is_distinctive(claimed.quote, answers_rating_question=rated):
        return RejectedQuote(claimed=claimed, problem=QuoteProblem.NOT_DISTINCTIVE)
    return VerifiedQuote(
        quote=Quote(
            turn=turn.number,
            quote=turn.text[start:end][:500],
            start=start,
            end=end,
            role=turn.role,
            start_ms=turn.start_ms,
            end_ms=turn.end_ms,
        )
    )


def _needle(quote: str) -> str:
    """The claimed words as they are looked for. A mask written in capitals or with a space is the mask."""
    folded = _fold(quote.strip().strip("\"'“”‘’").strip()).strip()
    return _ANY_MASK.sub(lambda found: f"[{'_'.join(filter(None, found.groups()))}]", folded)


def _overlaps(turn: Turn, span: tuple[int, int], barred: Sequence[Suspicion]) -> bool:
    return any(b.turn == turn.number and b.start < span[1] and span[0] < b.end for b in barred)


def verify_absence(
    turns: Sequence[Turn], claimed: ClaimedAbsence, required_role: Role | None = None
) -> Searched | AbsenceProblem:
    """Look for the words again. The claim has to cover every turn of the role that was read: something missing from
    half a conversation may stand in the other half. turns: those that were read."""
    searched = [turn for turn in turns if turn.role.may_be(required_role)]
    if any(not claimed.first <= turn.number <= claimed.last for turn in searched) or not searched:
        return AbsenceProblem.NOT_COVERED
    telling = tuple(dict.fromkeys(word.strip() for word in claimed.words if is_distinctive(word)))
    if not telling:
        return AbsenceProblem.NO_WORDS
    needles = [_needle(word) for word in telling]
    if any(_locate(turn, needle) is not None for needle in needles for turn in searched):
        return AbsenceProblem.SAID
    return Searched(
        first=searched[0].number, last=searched[-1].number, words=tuple(w[:80] for w in telling), role=required_role
    )
