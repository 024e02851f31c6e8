"""What the customer came for: the sentence that says it best."""

from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.text import Sentence

FIRST_TURNS = 4
"""The need is said in the customer's first turns; later ones only when those are empty."""


def need_of(analysis: Analysis) -> Sentence | None:
    """The sentence in which the customer says what they need, or None."""
    ranked = needs_of(analysis)
    return ranked[0] if ranked else None


def needs_of(analysis: Analysis) -> tuple[Sentence, ...]:
    """Sentences of substance of the customer's first turns, the most telling first."""
    if "needs" not in analysis.memo:
        analysis.memo["needs"] = _rank(analysis)
    found: tuple[Sentence, ...] = analysis.memo["needs"]
    return found


def _rank(analysis: Analysis) -> tuple[Sentence, ...]:
    if analysis.lexicon is None:
        return ()
    substance = [s for s in analysis.customer if not analysis.is_small_talk(s) and s.word_count >= 4]
    turns = list(dict.fromkeys(s.turn for s in substance))
    early = [s for s in substance if s.turn in turns[:FIRST_TURNS]]
    return tuple(sorted(early, key=lambda s: -_weight(analysis, s, turns.index(s.turn))))


def _weight(analysis: Analysis, sentence: Sentence, order: int) -> float:
    assert analysis.lexicon is not None
    says_need = 1.0 if analysis.lexicon.need.search(sentence.folded) else 0.0
    reasons = sum(
        cue.weight for family in analysis.lexicon.reasons.values() for cue in family if cue.search(sentence.folded)
    )
    length = min(sentence.word_count, 25) / 25
    return (says_need * 2 + min(reasons, 12) / 4 + length) * 0.75**order
