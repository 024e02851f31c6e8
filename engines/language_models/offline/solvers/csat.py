"""CSAT: a rating the customer gives, else what their words at the end say about help and outcome."""

import re
from dataclasses import dataclass

from domain.conversation import Role
from domain.fields import CustomField
from engines.language_models.offline.analysis import Analysis, Event
from engines.language_models.offline.context import Feeling
from engines.language_models.offline.evidence import Evidence, Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.mood import CLEAR, Mood, mood_of
from engines.language_models.offline.solvers.churn import risk_of
from engines.language_models.offline.text import Sentence, words

_NUMBERS = {
    word: value
    for value, group in enumerate(
        ("zero nil cero null", "one uno una eins", "two dos zwei", "three tres drei", "four cuatro vier",
         "five cinco fünf", "six seis sechs", "seven siete sieben", "eight ocho acht", "nine nueve neun",
         "ten diez zehn")
    )
    for word in group.split()
}  # fmt: skip
_NUMBER = r"(\d{1,2}(?:[.,]\d)?|" + "|".join(_NUMBERS) + r")"
_OUT_OF = re.compile(
    rf"(?<![\w.]){_NUMBER}(?:\s+stars?)?\s*(?:out of|/|von|sobre|de)\s*(5|10|five|ten|cinco|diez|fünf|zehn)\b"
    r"(?!\s+(?:items?|times|people|boxes|days|units|pieces|attempts|calls|orders|months|weeks|lamps|"
    r"bulbs|users))(?![/\d])"
)
_STARS = re.compile(rf"(?<![\w.]){_NUMBER}[- ](?:stars?|estrellas?|sterne?)\b")
_GIVE = re.compile(
    rf"\b(?:give|rate|rating|score|mark|gave|doy|pongo|gebe|bewerte)\b(?! (?:me|us|him|"
    rf"them)\b)(?: \w+){{0,5}}? {_NUMBER}\b"
    r"(?! (?:days?|weeks?|months?|hours?|minutes?|times|items|people|more|years?|hundred|thousand|pounds|euros|dollars|"
    r"percent|per|and|o'clock|of (?:them|these|those|the)|lines?|numbers?))(?![:.,]\d)"
)
_ASKED = re.compile(
    r"\b(?:rate|rating|score|scale|satisf\w*|stars|survey|feedback|puntu\w*|valor\w*|bewert\w*|zufrieden\w*)\b"
)
_SCALE = re.compile(
    r"\b(?:1|one|0|zero|uno|eins)\s*(?:to|-|–|and|a|bis|through)\s*(5|10|five|ten|cinco|diez|fünf|zehn)\b"
)
_ANOTHER_MATTER = re.compile(
    r"\b(?:recommend|likely|trustpilot|google|reviews?|on average|average|app store|hotel is|energy "
    r"rating|would (?:have )?given|was going to|used to|if you|had you|i'd have|normally|usually|"
    r"recomend\w*|empfehl\w*)\b"
)
_LEADING_NUMBER = re.compile(
    rf"^\W*(?:(?:a|an|it's|it is|i'd say|i would say|probably|definitely|maybe|like|um|uh|er|i'd give "
    rf"(?:it|you|that)|ein|eine|un|una)\W+)*{_NUMBER}\b(?!\s*(?:days|weeks|months|minutes|hours|%|"
    rf"pounds|euros|dollars))"
)


PRAISE_WEIGHT, BLAME_WEIGHT = 0.72, 0.75
STRONG, VERY_STRONG = 2.0, 3.0


@dataclass(frozen=True)
class _Rating:
    score: int
    scale: int
    sentence: Sentence


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    """1 to 5 (or the field's own range, in proportion)."""
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    rating = _rating(analysis)
    if rating is not None and not any(
        f.sarcastic and f.sentence is rating.sentence for f in mood_of(analysis).feelings
    ):
        value = _in_range(rating.score, rating.scale, field)
        given = (Evidence(rating.sentence.turn, rating.sentence.text),)
        return known(value, f"The customer gives {rating.score} out of {rating.scale}.", given, stated=True)
    mood = mood_of(analysis)
    score, why, grounds = _judge(mood, leaves=risk_of(analysis).level == "high")
    if score is None:
        return unknown(why)
    evidence = quotes(analysis, grounds, question.evidence_role, limit=2)
    return known(_in_range(score, 5, field), why, evidence)


def _in_range(score: int, scale: int, field: CustomField) -> int:
    low, high = int(field.minimum or 1), int(field.maximum or 5)
    if scale == high:
        return min(max(score, low), high)
    return min(max(low + round((score - 1) * (high - low) / (scale - 1)), low), high)


def _value(text: str) -> int:
    return _NUMBERS[text] if text in _NUMBERS else round(float(text.replace(",", ".")))


def _rating(analysis: Analysis) -> _Rating | None:
    """The last rating of this contact that the customer gives."""
    found: _Rating | None = None
    previous = ""
    for turn in analysis.turns:
        if turn.role is not Role.CUSTOMER:
            previous = analysis.folded[turn.number] if turn.role is not Role.SYSTEM or previous == "" else previous
            continue
        asked = _ASKED.search(previous) is not None and _ANOTHER_MATTER.search(previous) is None
        for sentence in (s for s in analysis.customer if s.turn == turn.number):
            rating = _in_sentence(sentence, asked, previous)
            found = rating or found
    return found


def _in_sentence(sentence: Sentence, asked: bool, previous: str) -> _Rating | None:
    text = sentence.folded
    if _ANOTHER_MATTER.search(text) or sentence.question:
        return None
    if match := _OUT_OF.search(text):
        return _checked(_value(match[1]), _value(match[2]), sentence)
    if match := _STARS.search(text):
        return _checked(_value(match[1]), 5, sentence) if re.search(r"\bstars?\b.*\bhotel\b", text) is None else None
    scale_asked = _SCALE.search(previous)
    scale = _value(scale_asked[1]) if asked and scale_asked else 5
    if match := _GIVE.search(text):
        score = _value(match[1])
        return _checked(score, 10 if score > 5 else scale, sentence)
    if asked and (match := _LEADING_NUMBER.search(text)) and len(words(text)) <= 25:
        score = _value(match[1])
        return _checked(score, 10 if score > 5 else scale, sentence)
    return None


def _checked(score: int, scale: int, sentence: Sentence) -> _Rating | None:
    return _Rating(max(score, 1), scale, sentence) if 0 <= score <= scale else None


def _judge(mood: Mood, *, leaves: bool) -> tuple[int | None, str, list[Ground]]:
    """Score, reason in words, and what it rests on.

    The scale's middle is 3; a delighted word at the end lifts it by two points, an angry one lowers it by two. How it
    went moves it by less than a point.
    """
    praise, blame = _at_the_end(mood)
    worst = mood.strongest(positive=False)
    earlier = -worst.strength if worst and worst.strength <= -CLEAR else 0.0
    if praise == 0 and blame == 0:
        return _only_earlier(mood, earlier) if earlier else _without_feelings(mood)
    raw = 3 + PRAISE_WEIGHT * praise - BLAME_WEIGHT * blame + _by_number(mood, praise >= blame)
    if praise >= blame:
        raw += 0.4 * (mood.resolved is not None) - 0.4 * (praise > blame and earlier >= STRONG)
        raw -= 0.5 * (mood.reluctant is not None and praise < VERY_STRONG and raw > 3)
    else:
        raw -= 0.3 * (mood.escalated is not None or mood.repeated is not None)
        raw -= 0.5 * (leaves and blame >= STRONG)
    raw -= 0.5 * (mood.unresolved is not None)
    if blame > praise and ((_is_one_remark(mood) and not leaves) or any(f.strength >= STRONG for f in mood.feelings)):
        raw = max(raw, 2.0)
    if blame > praise and _is_balanced(mood):
        raw = max(raw, 3.0)
    if blame > praise and _is_one_remark(mood) and _helped_in_the_end(mood) and not leaves:
        raw = max(raw, 2.6)
    if praise >= STRONG and mood.feelings[0].strength >= STRONG and all(f.strength > 0 for f in mood.feelings):
        raw += 0.6  # nothing but praise from the first word on
    if praise > blame and earlier and mood.reluctant is not None and mood.resolved is None:
        raw = min(raw, 3.4)
    score = min(5, max(1, int(raw + 0.5)))
    return score, _words(score), _grounds(mood, praise >= blame)


def _is_one_remark(mood: Mood) -> bool:
    """Whether all dissatisfaction is in one sentence and not of the strongest kind."""
    bad = [f for f in mood.feelings if f.strength <= -CLEAR]
    return len({f.sentence.index for f in bad}) <= 1 and all(f.strength > -VERY_STRONG for f in bad)


def _helped_in_the_end(mood: Mood) -> bool:
    """Whether the agent's last word was a deed, and the customer said something friendly after it."""
    if mood.helped is None or (mood.refused and mood.refused.sentence.index > mood.helped.sentence.index):
        return False
    return any(f.strength >= 1 and f.sentence.index > mood.helped.sentence.index for f in mood.feelings)


def _is_balanced(mood: Mood) -> bool:
    """Whether there is as much warm praise as blame in the whole, and nobody was left without help."""
    good = sum(f.strength for f in mood.feelings if f.strength >= STRONG)
    bad = -sum(f.strength for f in mood.feelings if f.strength <= -CLEAR)
    return good >= VERY_STRONG and good >= bad and not (mood.refused or mood.unresolved or mood.repeated)


def _at_the_end(mood: Mood) -> tuple[float, float]:
    """The strongest praise and blame of the ending, 0..3; of the two the later one counts in full."""
    best = mood.strongest(positive=True, ending=True)
    worst = mood.strongest(positive=False, ending=True)
    praise = best.strength if best else 0.0
    blame = -worst.strength if worst and worst.strength <= -CLEAR else 0.0
    if praise < CLEAR and not (mood.resolved or mood.helped):
        praise = 0.0
    if best and worst and praise and blame:
        if best.sentence.index > worst.sentence.index:
            blame *= 0.4 if (mood.resolved or mood.helped) and praise >= CLEAR else 0.8
        else:
            praise *= 0.3
    if mood.refused and praise < STRONG and not mood.resolved:
        praise *= 0.5
    return praise, blame


def _by_number(mood: Mood, positive: bool) -> float:
    """Unbroken praise or blame over several sentences counts more than one word of it."""
    said = {f.sentence.index for f in mood.feelings if (f.strength > 0) == positive and abs(f.strength) >= CLEAR}
    other = [f for f in mood.feelings if (f.strength > 0) != positive and abs(f.strength) >= CLEAR]
    if other or len(said) < (2 if positive else 4):
        return 0.0
    return 0.4 if positive else -0.6


def _without_feelings(mood: Mood) -> tuple[int | None, str, list[Ground]]:
    if mood.resolved is not None:
        return 4, "The customer says that the matter is solved.", [_ground(mood.resolved)]
    if mood.unresolved is not None and (mood.refused or mood.repeated):
        return 2, "The customer is left without a solution.", [_ground(mood.unresolved)]
    return None, "The customer shows neither satisfaction nor dissatisfaction.", []


def _only_earlier(mood: Mood, earlier: float) -> tuple[int | None, str, list[Ground]]:
    """Dissatisfied at first and silent about it in the end."""
    worst = mood.strongest(positive=False)
    grounds = [_ground(worst)] if worst else []
    if _is_balanced(mood):
        best = mood.strongest(positive=True)
        return 3, "As much praise as blame.", [*grounds, *([_ground(best)] if best else [])]
    if mood.resolved is not None:
        return (
            (4 if earlier < 2 else 3),
            "Dissatisfied at first; then the matter was solved.",
            [_ground(mood.resolved), *grounds],
        )
    if mood.helped is not None and not mood.refused and not mood.unresolved:
        return (2 if earlier >= 3 else 3), "Dissatisfied at first; the end shows no more of it.", grounds
    return (1 if earlier >= 3 else 2), "Dissatisfied, and nothing in the end makes up for it.", grounds


def _grounds(mood: Mood, positive: bool) -> list[Ground]:
    pool = [f for f in mood.ending if (f.strength > 0) == positive] or [
        f for f in mood.feelings if (f.strength > 0) == positive
    ]
    pool.sort(key=lambda f: (-abs(f.strength), -f.sentence.index))
    grounds = [Ground(f.sentence, f.start, f.end) for f in pool]
    if positive and mood.resolved is not None:
        grounds.append(_ground(mood.resolved))
    if not positive and mood.unresolved is not None:
        grounds.append(_ground(mood.unresolved))
    return grounds


def _ground(place: Event | Feeling) -> Ground:
    return Ground(place.sentence, place.start, place.end)


def _words(score: int) -> str:
    return {
        1: "The customer ends angry or badly let down.",
        2: "The customer ends dissatisfied.",
        3: "Neither content nor clearly dissatisfied in the end.",
        4: "The customer ends content.",
        5: "The customer ends delighted.",
    }[score]
