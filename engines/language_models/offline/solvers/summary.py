"""Summary: who got in touch about what, what the agent did or said, how it ended; retold sentence by sentence."""

import re
from dataclasses import dataclass

from domain.fields import CustomField
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.mood import CLEAR, Mood, mood_of
from engines.language_models.offline.need import needs_of
from engines.language_models.offline.retell import agent_statement, customer_statement
from engines.language_models.offline.text import Sentence, words

MAX_WORDS = 80
MAX_SENTENCE_WORDS = 24
CUSTOMER_SENTENCES = 2
AGENT_SENTENCES = 2

_FACT = re.compile(
    r"\d|\b(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|today|tonight|week|month|january|february|march|april|may|june|july|august|september|october|november|december|pounds|euros|dollars|percent)\b|[£$€%]"
)
_EXPLAINS = re.compile(
    r"\b(?:because|due to|looks like|it seems|i can see|shows|the reason|caused by|turns out|means|instead|so your|which is why|was (?:returned|delivered|sent|charged|cancelled|booked|delayed|lost)|outage|fault|error)\b"
)


@dataclass(frozen=True)
class _Line:
    text: str
    sentence: Sentence


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    mood = mood_of(analysis)
    lines = [*_about(analysis), *_done(analysis)]
    if not lines:
        return unknown("Nothing of substance is said.")
    ending = _ending(mood)
    lines = _within(lines, MAX_WORDS - (len(ending.text.split()) if ending else 0))
    text = " ".join(line.text for line in lines)
    grounds = [Ground.of(line.sentence) for line in lines]
    if ending is not None:
        text = f"{text} {ending.text}"
        grounds.append(Ground.of(ending.sentence))
    evidence = quotes(analysis, grounds, question.evidence_role, limit=6)
    return known(text[: field.max_length], "Retold from the quoted sentences.", evidence)


def _about(analysis: Analysis) -> list[_Line]:
    """What the customer came for, in the order said."""
    chosen = sorted(needs_of(analysis)[:CUSTOMER_SENTENCES], key=lambda s: s.index)
    lines: list[_Line] = []
    for sentence in chosen:
        text = customer_statement(sentence, analysis, first=not lines, limit=MAX_SENTENCE_WORDS)
        if text is not None:
            lines.append(_Line(text, sentence))
    return lines


def _done(analysis: Analysis) -> list[_Line]:
    """The agent's sentences that carry most: deeds, explanations, refusals, promises."""
    scored = [(score, s) for s in analysis.agent if (score := _weight(analysis, s)) > 0.9]
    best = sorted(scored, key=lambda hit: (-hit[0], -hit[1].index))[:AGENT_SENTENCES]
    lines = []
    for _, sentence in sorted(best, key=lambda hit: hit[1].index):
        text = agent_statement(sentence, analysis, MAX_SENTENCE_WORDS)
        if text is not None:
            lines.append(_Line(text, sentence))
    return lines


def _weight(analysis: Analysis, sentence: Sentence) -> float:
    assert analysis.lexicon is not None
    lexicon, text = analysis.lexicon, sentence.folded
    if analysis.is_small_talk(sentence) or sentence.question or sentence.word_count < 4:
        return 0.0
    if lexicon.promises.momentary.search(text) or lexicon.promises.courtesy.search(text):
        return 0.0
    score = 0.4
    score += 1.6 if lexicon.outcome.agent_done.search(text) else 0
    score += 1.2 if lexicon.outcome.agent_refused.search(text) else 0
    score += 0.9 if lexicon.promises.agent.search(text) or lexicon.promises.expected.search(text) else 0
    score += 0.8 if _EXPLAINS.search(text) else 0
    score += 0.5 if _FACT.search(text) else 0
    position = sentence.index / max(len(analysis.sentences) - 1, 1)
    return score + 0.4 * position + min(sentence.word_count, 20) / 60


def _ending(mood: Mood) -> _Line | None:
    """How it ended for the customer, in fixed words that the ground decides."""
    if mood.resolved is not None and not (
        mood.last and mood.last.strength < -CLEAR and mood.last.sentence.index > mood.resolved.sentence.index
    ):
        return _Line("In the end the customer confirmed that the matter was solved.", mood.resolved.sentence)
    if mood.last is None or mood.last not in mood.ending:
        if mood.unresolved is not None:
            return _Line("The matter was left open.", mood.unresolved.sentence)
        return None
    if mood.last.strength < 0:
        return _Line("The customer ended dissatisfied.", mood.last.sentence)
    return _Line("The customer ended satisfied.", mood.last.sentence)


def _within(lines: list[_Line], limit: int) -> list[_Line]:
    kept: list[_Line] = []
    total = 0
    for line in lines:
        total += len(words(line.text.lower()))
        if total > limit and kept:
            break
        kept.append(line)
    return kept
