"""Summary: who got in touch about what, what the agent did or said, how it ended; retold sentence by sentence."""

import re
from dataclasses import dataclass
from itertools import chain

from domain.conversation import Role
from domain.fields import CustomField
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.mood import CLEAR, Mood, mood_of
from engines.language_models.offline.need import needs_of
from engines.language_models.offline.retell import agent_statement, customer_statement
from engines.language_models.offline.solvers.churn import risk_of
from engines.language_models.offline.text import Sentence, words

MAX_WORDS = 78
MAX_SENTENCE_WORDS = 25
CUSTOMER_SENTENCES = 4
AGENT_SENTENCES = 4
LEAST_TELLING = 0.9
"""Weight below which an agent's sentence is no news."""
SAME = 0.7
"""Share of common words from which on two sentences say the same."""
MIN_TOPIC_WORDS = 2
MIN_FILLING_WORDS = 5

_FACT = re.compile(
    r"\d|\b(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|today|tonight|week|"
    r"month|january|february|march|april|may|june|july|august|september|october|november|december|"
    r"pounds|euros|dollars|percent)\b|[£$€%]"
)
_EXPLAINS = re.compile(
    r"\b(?:because|due to|looks like|it seems|i can see|shows|the reason|caused by|turns out|means|"
    r"instead|so your|which is why|was (?:returned|delivered|sent|charged|cancelled|booked|delayed|"
    r"lost)|outage|fault|error)\b"
)


@dataclass(frozen=True)
class _Line:
    text: str
    sentence: Sentence


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    ending = _ending(mood_of(analysis))
    lines = _within(analysis, _chosen(analysis), ending)
    if not lines:
        return unknown("Nothing of substance is said.")
    text = " ".join(line.text for line in lines)
    evidence = quotes(analysis, [Ground.of(line.sentence) for line in lines], question.evidence_role, limit=8)
    return known(text[: field.max_length], "Retold from the quoted sentences.", evidence)


def _chosen(analysis: Analysis) -> list[Sentence]:
    """The most telling sentences: the need, its topic, then by turns what the agent and the customer said."""
    mood = mood_of(analysis)
    ironic = {f.sentence.index for f in mood.feelings if f.sarcastic}
    substance = [
        s for s in analysis.customer if not analysis.is_small_talk(s) and s.index not in ironic and not _is_masked(s)
    ]
    asked = [s for s in needs_of(analysis) if s in substance][:CUSTOMER_SENTENCES]
    topic = [s for s in substance if s.word_count >= MIN_TOPIC_WORDS][:1]
    scored = [(weight, s) for s in analysis.agent if (weight := _weight(analysis, s)) > LEAST_TELLING]
    done = [s for _, s in sorted(scored, key=lambda hit: (-hit[0], -hit[1].index))[:AGENT_SENTENCES]]
    decisive = [p.sentence for p in (*risk_of(analysis).places[:1], mood.unresolved) if p is not None]
    ranked = [
        *asked[:1],
        *topic,
        *done[:1],
        *asked[1:2],
        *done[1:2],
        *decisive,
        *chain(*zip(asked[2:], done[2:], strict=False)),
    ]
    ranked += [
        *asked[2:],
        *done[2:],
        *(s for s in substance[: CUSTOMER_SENTENCES * 2] if s.word_count >= MIN_FILLING_WORDS),
    ]
    kept: list[Sentence] = []
    for sentence in ranked:
        if sentence.index not in ironic and all(_overlap(sentence, other) < SAME for other in kept):
            kept.append(sentence)
    return kept


def _is_masked(sentence: Sentence) -> bool:
    """Whether what the sentence says was personal data, so that its masks are all there is to retell."""
    masks = re.findall(r"\[[a-z_]+\]", sentence.folded)
    return bool(masks) and (len(masks) > 1 or len(words(re.sub(r"\[[a-z_]+\]", " ", sentence.folded))) < 5)


def _overlap(one: Sentence, other: Sentence) -> float:
    mine, theirs = _telling(one), _telling(other)
    return len(mine & theirs) / min(len(mine), len(theirs)) if mine and theirs else 0.0


def _telling(sentence: Sentence) -> set[str]:
    return {w[:6] for w in words(sentence.folded) if len(w) > 3}


def _within(analysis: Analysis, chosen: list[Sentence], ending: _Line | None) -> list[_Line]:
    """As many of the sentences as fit, by their weight, told in the order they were said."""
    told: list[_Line] = []
    kept: list[Sentence] = []
    for sentence in chosen:
        lines = _told(analysis, [*kept, sentence]) + ([ending] if ending else [])
        if sum(len(line.text.split()) for line in lines) <= MAX_WORDS or not told:
            kept.append(sentence)
            told = lines
    return told if kept else []


def _told(analysis: Analysis, chosen: list[Sentence]) -> list[_Line]:
    """The sentences retold, in the order they were said; the first of the customer's opens."""
    lines: list[_Line] = []
    for sentence in sorted(chosen, key=lambda s: s.index):
        if sentence.role is Role.CUSTOMER:
            again = bool(lines) and lines[-1].sentence.role is Role.CUSTOMER
            text = customer_statement(sentence, analysis, first=not again, limit=MAX_SENTENCE_WORDS)
        else:
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
