"""What a feeling word means where it stands: negated, hypothetical, reported of others, asked, or sarcastic."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from engines.language_models.offline.cues import CueSet
from engines.language_models.offline.lexicon.base import Lexicon
from engines.language_models.offline.text import Sentence, words

NEGATION_REACH = 3
"""How many words may stand between a negation and what it negates."""
HYPOTHESIS_REACH = 7
SHORT_REMARK_WORDS = 6
"""A remark of bare praise ("Great. Just great.") is no longer than this."""

_CLAUSE_BORDER = re.compile(
    r"[,;:.!?()\"]|\b(?:(?<!anything )(?<!nothing )but|although|though|however|pero|aunque|aber|obwohl)\b"
)
_SUBJECT_BORDER = re.compile(
    r"[;:.!?()]|\b(?:but|and|so|because|while|pero|y|aber|und|weil)\s+(?=i\b|i'|we\b|my\b|yo\b|me\b|"
    r"ich\b|wir\b|mir\b)|,\s*(?=i\b|i'|we\b|yo\b|ich\b|wir\b)"
)
_SAYING = re.compile(
    r"\b(?:said|says|told|tells|reckons?|thinks?|thought|found|had|has|loves?|hates?|swears?|wrote|"
    r"writes|say|claims?|got|dice|dijo|tuvo|sagt|sagte|meint|hatte)\b"
)
_DIMINISHED = re.compile(
    r"\b(?:a bit|a little|bit of an?|slightly|somewhat|mildly|a tad|kind of|sort of|etwas|ein "
    r"bisschen|un poco)\s+(?:of an? )?(?:\w+\s+)?$"
)
_PRONOUNS = frozenset({"he", "she", "they", "er", "él", "ella", "ellos"})
_BITTER_TURN = re.compile(
    r"\W{0,3}(?:that|how|to|so|another|only|just|until|when|,|\d|the way|being)\b|"
    r"\s*[,:-]\s*(?:\w+\s+){0,4}?(?:again|later|late|another|third|second|still|nobody|no one)\b"
)
_CONTRAST = re.compile(
    r"\b(?:but|despite|even though|although|though|however|pero|aunque|aber|trotzdem|obwohl|trotz)\b"
)


@dataclass(frozen=True)
class Feeling:
    """A feeling or judgement of the customer. strength: sign and weight, -3..3; [start, end) offsets in the turn."""

    sentence: Sentence
    start: int
    end: int
    strength: float
    sarcastic: bool = False


def feelings_of(turn: Sequence[Sentence], folded: str, lexicon: Lexicon) -> list[Feeling]:
    """The feelings in one customer turn, in order. folded: the whole turn's text."""
    return [found for sentence in turn for found in _in_sentence(sentence, turn, folded, lexicon)]


def _in_sentence(sentence: Sentence, turn: Sequence[Sentence], folded: str, lexicon: Lexicon) -> Iterator[Feeling]:
    spans = _spans(sentence, folded, lexicon)
    for (start, end), (cue, sign) in spans:
        strength = sign * cue.weight
        if cue.name == "irony":
            if not _is_ironic(sentence, turn, folded, lexicon, start, end):
                continue
            yield Feeling(sentence, start, end, -cue.weight, sarcastic=True)
            continue
        if cue.name == "sarcasm":
            yield Feeling(sentence, start, end, -cue.weight, sarcastic=True)
            continue
        if _is_reported(sentence, folded, start, end, cue, lexicon):
            continue
        if strength > 0 and _turns_bitter(sentence, turn, folded, lexicon, start, end):
            yield Feeling(sentence, start, end, -2.5, sarcastic=True)
            continue
        strength = _in_mood(sentence, folded, lexicon, start, end, strength)
        if strength:
            yield Feeling(sentence, start, end, strength)


def _spans(sentence: Sentence, folded: str, lexicon: Lexicon) -> list[tuple[tuple[int, int], tuple[CueSet, int]]]:
    """Hits without overlap: the longer wins, then the stronger. Politeness covers what lies inside it."""
    f = lexicon.feelings
    signed = [
        (f.sarcasm, -1),
        (f.irony, -1),
        (f.angry, -1),
        (f.unhappy, -1),
        (f.uneasy, -1),
        (f.delighted, 1),
        (f.pleased, 1),
        (f.gratitude, 1),
        (f.content, 1),
        (f.politeness, 0),
    ]
    found = [
        ((m.start(), m.end()), (cue, sign))
        for cue, sign in signed
        for m in cue.find(folded, sentence.start, sentence.end)
    ]
    found.sort(key=lambda hit: (-(hit[0][1] - hit[0][0]), -hit[1][0].weight))
    kept: list[tuple[tuple[int, int], tuple[CueSet, int]]] = []
    for span, what in found:
        if all(span[1] <= other[0] or span[0] >= other[1] for other, _ in kept):
            kept.append((span, what))
    return sorted((hit for hit in kept if hit[1][1] != 0), key=lambda hit: hit[0])


def _before(folded: str, sentence: Sentence, start: int, border: re.Pattern[str]) -> str:
    """The words of the same clause before `start`."""
    text = folded[sentence.start : start]
    borders = [match.end() for match in border.finditer(text)]
    return text[borders[-1] :] if borders else text


def is_negated(sentence: Sentence, folded: str, start: int, lexicon: Lexicon) -> bool:
    """Whether a negation of the same clause reaches the words at `start`."""
    context = lexicon.context
    before = _before(folded, sentence, start, _CLAUSE_BORDER)
    if any(
        m.end() >= len(before.rstrip()) - 25 for m in context.not_negation.find(before + folded[start : start + 20])
    ):
        return False
    return any(len(words(before[m.end() :])) <= NEGATION_REACH for m in context.negation.find(before))


def is_hypothetical(sentence: Sentence, folded: str, start: int, lexicon: Lexicon) -> bool:
    """Whether the words at `start` are wished, feared or made to depend on something."""
    before = _before(folded, sentence, start, _CLAUSE_BORDER)
    return any(len(words(before[m.end() :])) <= HYPOTHESIS_REACH for m in lexicon.context.hypothesis.find(before))


def is_reported(sentence: Sentence, folded: str, start: int, lexicon: Lexicon, *, state: bool = True) -> bool:
    """Whether someone other than the customer is the subject of the words at `start`.

    state: the words tell how a person feels; others may be judgements, which the customer passes on he and she too.
    """
    before = _before(folded, sentence, start, _SUBJECT_BORDER)
    others = list(lexicon.context.other_person.find(before))
    if not others:
        return False
    other = others[-1]
    between = before[other.end() :]
    named = other[0] not in _PRONOUNS or _has_antecedent(sentence, folded, start, lexicon)
    if _SAYING.search(between) and named:
        return True
    if lexicon.context.own_person.search(between):
        return False
    return state or named


def _has_antecedent(sentence: Sentence, folded: str, start: int, lexicon: Lexicon) -> bool:
    """Whether "he" or "she" is a person named before who has nothing to do with the company ("my neighbour")."""
    before = folded[max(0, sentence.start - 200) : start]
    return any(m[0] not in _PRONOUNS for m in lexicon.context.other_person.find(before))


def _is_reported(sentence: Sentence, folded: str, start: int, end: int, cue: CueSet, lexicon: Lexicon) -> bool:
    context = lexicon.context
    clause = _before(folded, sentence, start, _SUBJECT_BORDER)
    rest = _CLAUSE_BORDER.split(folded[end : sentence.end], maxsplit=1)[0]
    if context.other_company.search(clause) or context.other_company.search(rest):
        return True
    state = lexicon.feelings.states.search(folded[start:end]) is not None
    if is_reported(sentence, folded, start, lexicon, state=state):
        return True
    promised = cue.name in ("delighted", "pleased", "content") and context.reported_promise.search(clause)
    return bool(promised)


def _in_mood(sentence: Sentence, folded: str, lexicon: Lexicon, start: int, end: int, strength: float) -> float:
    """The strength after negation, question and hypothesis; 0 when nothing is left."""
    positive = strength > 0
    own_negation = lexicon.context.negation.search(folded[start:end]) is not None
    if not own_negation and is_negated(sentence, folded, start, lexicon):
        return -min(2.0, strength) if positive and strength > 1 else (-1.0 if positive else 0.0)
    if not positive and _DIMINISHED.search(folded[sentence.start : start]):
        strength /= 2
    if positive and sentence.question:
        return 0.0
    if is_hypothetical(sentence, folded, start, lexicon):
        return 0.0 if positive else (strength / 2 if strength > -3 else strength)
    return strength


def _grievance(folded: str, lexicon: Lexicon, start: int, end: int) -> bool:
    return any(True for _ in lexicon.feelings.grievances.find(folded, start, end))


def _is_ironic(
    sentence: Sentence, turn: Sequence[Sentence], folded: str, lexicon: Lexicon, start: int, end: int
) -> bool:
    """An idiom that may be ironic is, beside a grievance or strong words, and not beside thanks or a solution."""
    text = folded[sentence.start : sentence.end]
    if lexicon.outcome.resolved.search(text) or lexicon.feelings.gratitude.search(text):
        return False
    if re.search(r"\b(?:thanks|thank you|cheers|danke|gracias)\b", folded[end : sentence.end]):
        return False
    around = [s for s in turn if abs(s.index - sentence.index) <= 1]
    return (
        any(
            _grievance(folded, lexicon, s.start, s.end)
            or any(True for _ in lexicon.feelings.angry.find(folded, s.start, s.end))
            or any(True for _ in lexicon.feelings.unhappy.find(folded, s.start, s.end))
            for s in around
        )
        or "..." in text
    )


def _turns_bitter(
    sentence: Sentence, turn: Sequence[Sentence], folded: str, lexicon: Lexicon, start: int, end: int
) -> bool:
    """Bright words beside a grievance: "Fantastic, another week without heating." Praise of the agent is not meant."""
    text = folded[sentence.start : sentence.end]
    bright = lexicon.feelings.bright.search(folded[start:end])
    if bright is None or sentence.question:
        return False
    if (
        _CONTRAST.search(text)
        or lexicon.outcome.resolved.search(text)
        or re.search(r"\b(?:thanks|thank|cheers|you've been|you have been|you were|your help|danke|gracias)\b", text)
        or is_negated(sentence, folded, start, lexicon)
        or is_hypothetical(sentence, folded, start, lexicon)
    ):
        return False
    opens = start - sentence.start <= 4 and re.match(r"\s*[,!.]", folded[end : sentence.end]) is not None
    if (opens or _BITTER_TURN.match(folded, end)) and _grievance(folded, lexicon, end, sentence.end):
        return not _denied_grievance(folded, lexicon, end, sentence.end)
    if sentence.word_count > SHORT_REMARK_WORDS:
        return False
    near = [other for one, other in pairwise(turn) if one is sentence] + [
        one for one, other in pairwise(turn) if other is sentence
    ]
    return any(
        _grievance(folded, lexicon, s.start, s.end)
        and not lexicon.outcome.resolved.search(s.folded)
        and not _denied_grievance(folded, lexicon, s.start, s.end)
        and not s.question
        for s in near
    )


def _denied_grievance(folded: str, lexicon: Lexicon, start: int, end: int) -> bool:
    """ "Great that it isn't broken": the grievance is denied."""
    for match in lexicon.feelings.grievances.find(folded, start, end):
        before = folded[max(start, match.start() - 25) : match.start()]
        negation = lexicon.context.negation.search(before)
        if negation is not None and not lexicon.context.negation.search(match[0]):
            return True
    return False
