"""Summary: who got in touch about what, what the agent did or said, how it ended; retold clause by clause."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.conversation import Role
from domain.fields import CustomField
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.digest import Unit, choose, part_of, units_of
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.mood import Mood, mood_of
from engines.language_models.offline.need import needs_of
from engines.language_models.offline.retell import agent_statement, customer_statement
from engines.language_models.offline.solvers.churn import risk_of
from engines.language_models.offline.text import Sentence

MAX_WORDS = 79
MAX_SENTENCE_WORDS = 30
STRONG = 2.0
"""Strength of a feeling from which on it is told how the customer ended."""
MAX_QUOTES = 8


@dataclass(frozen=True)
class _Line:
    text: str
    sentence: Sentence


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    units = units_of(analysis)
    ending = _ending(mood_of(analysis))
    room = MAX_WORDS - (len(ending.text.split()) if ending else 0)
    chosen = choose(units, _first(analysis, units), room, lambda some: _length(_told(analysis, some)))
    lines = _told(analysis, chosen) + ([ending] if ending and chosen else [])
    if not lines:
        return unknown("Nothing of substance is said.")
    text = " ".join(line.text for line in lines)
    evidence = quotes(analysis, [Ground.of(line.sentence) for line in lines], question.evidence_role, limit=MAX_QUOTES)
    return known(text[: field.max_length], "Retold from the quoted sentences.", evidence)


def _first(analysis: Analysis, units: Sequence[Unit]) -> list[Unit]:
    """What no summary may lack: the need, the weightiest word of the agent, a threat to leave."""
    said = [u for u in units if u.sentence.role is Role.CUSTOMER]
    needs = [s.index for s in needs_of(analysis)]
    plain = [u for u in said if u.sentence.index in needs and "\n\n" not in _rest(analysis, u)]
    asked = sorted(plain, key=lambda u: needs.index(u.sentence.index))[:2] or said[:1]
    answers = [u for u in units if u.sentence.role is not Role.CUSTOMER]
    answer = max(answers, key=lambda u: (u.weight, u.sentence.index), default=None)
    threats = {p.sentence.index for p in risk_of(analysis).places[:1]} if risk_of(analysis).level == "high" else set()
    threat = [u for u in said if u.sentence.index in threats][:1]
    opening = [u for u in said if u.sentence.turn == said[0].sentence.turn and u not in asked][:1]
    return [*asked[:1], *([answer] if answer else []), *opening, *threat, *asked[1:]]


def _rest(analysis: Analysis, unit: Unit) -> str:
    """What follows at once: a blank line after the subject of a letter."""
    return analysis.folded[unit.sentence.turn][unit.sentence.end : unit.sentence.end + 2]


def _length(lines: Sequence[_Line]) -> int:
    return sum(len(line.text.split()) for line in lines)


def _told(analysis: Analysis, units: Sequence[Unit]) -> list[_Line]:
    """The units retold in the order they were said; what was one sentence is one again."""
    lines: list[_Line] = []
    speaker: Role | None = None
    for sentence in _joined(analysis, units):
        text = _statement(analysis, sentence, first=speaker is not sentence.role)
        if text is not None:
            lines.append(_Line(text, sentence))
            speaker = sentence.role
    return lines


def _statement(analysis: Analysis, sentence: Sentence, *, first: bool) -> str | None:
    """The sentence retold, once per conversation: the choice asks for it again and again."""
    key = ("told", sentence.turn, sentence.start, sentence.end, first)
    if key not in analysis.memo:
        tell = customer_statement if sentence.role is Role.CUSTOMER else agent_statement
        analysis.memo[key] = tell(sentence, analysis, first=first, limit=MAX_SENTENCE_WORDS)
    text: str | None = analysis.memo[key]
    return text


def _joined(analysis: Analysis, units: Sequence[Unit]) -> list[Sentence]:
    """Neighbouring clauses of one sentence put together."""
    found: list[Sentence] = []
    for unit in sorted(units, key=lambda u: (u.sentence.index, u.sentence.start)):
        part, last = unit.sentence, found[-1] if found else None
        if last is not None and last.index == part.index:
            whole = analysis.sentences[part.index]
            between = whole.folded[last.end - whole.start : part.start - whole.start]
            if not any(c.isalnum() for c in between):
                found[-1] = part_of(whole, last.start - whole.start, part.end - whole.start)
                continue
        found.append(part)
    return found


def _ending(mood: Mood) -> _Line | None:
    """How it ended for the customer, in fixed words that the ground decides."""
    last = mood.last if mood.last in mood.ending else None
    if mood.resolved is not None and not (
        last and last.strength < 0 and last.sentence.index > mood.resolved.sentence.index
    ):
        return _Line("The customer confirmed that it was solved.", mood.resolved.sentence)
    if last is not None and last.strength < 0:
        return _Line("The customer ended dissatisfied.", last.sentence)
    if mood.unresolved is not None:
        return _Line("The matter was left open.", mood.unresolved.sentence)
    if last is not None and last.strength >= STRONG:
        return _Line("The customer ended satisfied.", last.sentence)
    return None
