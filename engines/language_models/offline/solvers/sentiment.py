"""Sentiment: the sum of the customer's own feelings, both signs apart."""

from domain.fields import CustomField
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.context import Feeling
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.mood import CLEAR, Mood, mood_of
from engines.language_models.offline.need import need_of

ENOUGH = 2.0
"""Sum of strengths from which on one side counts as shown: one clear feeling or two slight ones."""
DOMINANT = 0.74
"""Share of all feeling from which on the weaker side is a colouring."""
MIN_WORDS = 4
"""So many words of substance must a customer say to be called neutral."""
OPTIONS = frozenset({"positive", "neutral", "negative", "mixed"})


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    mood = mood_of(analysis)
    sentiment, why = _judge(mood)
    if sentiment not in {o.id for o in field.live_options}:
        return unknown("The field has no option for what the customer shows.")
    if sentiment == "neutral":
        return _neutral(analysis, question)
    grounds = _grounds(mood, sentiment)
    return known(sentiment, why, quotes(analysis, grounds, question.evidence_role, limit=3))


def _judge(mood: Mood) -> tuple[str, str]:
    good = _sum(mood, positive=True)
    bad = _sum(mood, positive=False)
    clear = mood.strongest(positive=False)
    if good < ENOUGH and bad < ENOUGH and not (good == 0 and clear is not None and clear.strength <= -CLEAR):
        return "neutral", ""
    if bad < ENOUGH and good == 0:
        return "negative", "The customer's words show dissatisfaction."
    share = good / (good + bad)
    if good >= ENOUGH and share >= DOMINANT:
        return "positive", "The customer's words show satisfaction or gratitude."
    if bad >= ENOUGH and (share <= 1 - DOMINANT or good < ENOUGH):
        return "negative", "The customer's words show dissatisfaction."
    if bad < ENOUGH:
        return "positive", "The customer's words show satisfaction or gratitude."
    return "mixed", "The customer's words show both dissatisfaction and satisfaction."


def _sum(mood: Mood, *, positive: bool) -> float:
    """Feelings of one sign, at most two of a sentence, so that one outburst does not outweigh a conversation."""
    per_sentence: dict[int, list[float]] = {}
    for feeling in mood.feelings:
        if (feeling.strength > 0) == positive:
            per_sentence.setdefault(feeling.sentence.index, []).append(abs(feeling.strength))
    return sum(sum(sorted(strengths, reverse=True)[:2]) for strengths in per_sentence.values())


def _grounds(mood: Mood, sentiment: str) -> list[Ground]:
    good = _strongest_first(mood, positive=True)
    bad = _strongest_first(mood, positive=False)
    chosen = {"positive": good, "negative": bad, "mixed": [*bad[:1], *good[:1], *bad[1:], *good[1:]]}[sentiment]
    return [Ground(f.sentence, f.start, f.end) for f in chosen]


def _strongest_first(mood: Mood, *, positive: bool) -> list[Feeling]:
    pool = [f for f in mood.feelings if (f.strength > 0) == positive and abs(f.strength) >= min(CLEAR, 1)]
    return sorted(pool, key=lambda f: (-abs(f.strength), -f.sentence.index))


def _neutral(analysis: Analysis, question: Question) -> Found:
    substance = [s for s in analysis.customer if not analysis.is_small_talk(s)]
    if sum(s.word_count for s in substance) < MIN_WORDS:
        return unknown("The customer says hardly anything of their own.")
    need = need_of(analysis)
    grounds = [Ground.of(s) for s in ([need] if need else []) + substance]
    evidence = quotes(analysis, grounds, question.evidence_role, limit=1)
    return known("neutral", "Matter-of-fact: the customer's words show no feelings.", evidence)
