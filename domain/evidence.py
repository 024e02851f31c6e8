"""Are these really the words, from the right person, and do they carry any weight?

A quote is exact after folding white space, case and typographic marks. It must come from the role the task asks
for, and it must be distinctive: "ok" is in every conversation and supports nothing. Offsets refer to the redacted
turn the quote was found in.
"""

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum

from domain.conversation import Frozen, Role
from domain.turns import Turn
from domain.values import Quote

MAX_TURNS_WITH_THE_QUOTE = 3
"""A quote found in more turns than this is a habit of speech."""


class QuoteProblem(StrEnum):
    NOT_FOUND = "not_found"
    WRONG_ROLE = "wrong_role"
    NOT_DISTINCTIVE = "not_distinctive"


class ClaimedQuote(Frozen):
    """What a model says it read: the turn it names may be wrong, the words may not."""

    turn: int
    quote: str


class VerifiedQuote(Frozen):
    quote: Quote


class RejectedQuote(Frozen):
    claimed: ClaimedQuote
    problem: QuoteProblem


_MARKS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": ".", "\u00a0": " "})
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*", re.UNICODE)
_MASK = re.compile(r"\[[a-z_]+\]")
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
    turns: Sequence[Turn], claimed: ClaimedQuote, required_role: Role | None = None
) -> VerifiedQuote | RejectedQuote:
    """Find the claimed words. A wrong turn number is mended when the words stand in few enough other turns."""
    needle = _fold(claimed.quote.strip().strip("\"'“”‘’").strip()).strip()
    if not needle:
        return RejectedQuote(claimed=claimed, problem=QuoteProblem.NOT_FOUND)
    found = [(turn, span) for turn in turns if (span := _locate(turn, needle)) is not None]
    if not found:
        return RejectedQuote(claimed=claimed, problem=QuoteProblem.NOT_FOUND)
    fitting = [(turn, span) for turn, span in found if turn.role.may_be(required_role)]
    if not fitting:
        return RejectedQuote(claimed=claimed, problem=QuoteProblem.WRONG_ROLE)
    turn, (start, end) = min(fitting, key=lambda hit: (hit[0].number != claimed.turn, hit[0].number))
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
