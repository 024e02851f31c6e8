"""Churn risk and its reason: what the customer says about leaving and staying, and how they end."""

from dataclasses import dataclass

from domain.fields import CustomField
from engines.language_models.offline.analysis import Analysis, Event
from engines.language_models.offline.context import Feeling
from engines.language_models.offline.cues import CueSet
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.mood import CLEAR, Mood, mood_of
from engines.language_models.offline.retell import retold
from engines.language_models.offline.text import Sentence

CAUSE_NAMES = {
    "price": "Price",
    "service": "Service",
    "fault": "Product or service does not work",
    "delivery": "Delivery",
    "billing": "Wrong charges",
    "moving": "Moving away",
    "unused": "No longer needed",
}
CAUSE_REACH = 6
"""How many of the customer's sentences around a threat may hold its cause."""
MAX_REASON_WORDS = 24
MIN_REASON_WORDS = 3
BITTER = 5.0
"""Sum of the ending's dissatisfaction from which on it is more than a remark."""


@dataclass(frozen=True)
class Risk:
    level: str | None
    why: str
    places: tuple[Event | Feeling, ...] = ()


def solve_risk(analysis: Analysis, field: CustomField, question: Question) -> Found:
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    risk = risk_of(analysis)
    if risk.level not in {o.id for o in field.live_options}:
        return unknown(risk.why)
    grounds = [Ground(p.sentence, p.start, p.end) for p in risk.places]
    stated = risk.level == "high"
    return known(risk.level, risk.why, quotes(analysis, grounds, question.evidence_role, limit=2), stated=stated)


def solve_reason(analysis: Analysis, field: CustomField, question: Question) -> Found:
    """A few words and the customer's own sentence; unknown unless the risk is medium or high."""
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    risk = risk_of(analysis)
    if risk.level not in ("medium", "high") or not risk.places:
        return unknown("There is no sign that the customer may leave.")
    cause = _reason_of(analysis, risk)
    if cause is None:
        return unknown("The customer gives no reason.")
    name, place = cause
    words = retold(place.sentence, analysis, limit=MAX_REASON_WORDS)
    value = f"{name}: {words}" if words and name else words or name
    if not value:
        return unknown("The customer gives no reason that can be retold.")
    ground = Ground(place.sentence, place.start, place.end)
    return known(
        value[: field.max_length],
        "What the customer gives as the cause, or is unhappy about when leaving comes up.",
        quotes(analysis, [ground], question.evidence_role, limit=1),
    )


def _reason_of(analysis: Analysis, risk: Risk) -> tuple[str, Event | Feeling] | None:
    """(kind of cause in words or "", where it is said)."""
    unhappy = [p for p in risk.places if isinstance(p, Feeling)]
    if unhappy:  # nothing is said about leaving: the risk is that they are unhappy
        return ("", unhappy[0]) if unhappy[0].sentence.word_count >= MIN_REASON_WORDS else _grievance(analysis, ())
    return _cause(analysis, risk.places) or _grievance(analysis, risk.places) or _said_before(analysis, risk.places)


def risk_of(analysis: Analysis) -> Risk:
    """The level (None when unknown) and the places it rests on, computed once per conversation."""
    if "churn" not in analysis.memo:
        analysis.memo["churn"] = _judge(analysis)
    found: Risk = analysis.memo["churn"]
    return found


def _judge(analysis: Analysis) -> Risk:
    assert analysis.lexicon is not None
    cues, mood = analysis.lexicon.churn, mood_of(analysis)
    leaving = _of_the_relation(analysis, cues.leaving)
    retracted = list(analysis.events(cues.retracted, analysis.customer, questions=False))
    staying = list(analysis.events(cues.staying, analysis.customer, questions=False))
    if leaving:
        taken_back = [e for e in retracted if e.sentence.index > leaving[-1].sentence.index]
        if not taken_back:
            return Risk("high", "The customer says that they leave or will leave.", (leaving[-1], *leaving[:-1]))
        return _taken_back(mood, taken_back, leaving)
    wavering = _of_the_relation(analysis, cues.wavering)
    if wavering:
        taken_back = [e for e in retracted if e.sentence.index > wavering[-1].sentence.index]
        if taken_back:
            return _taken_back(mood, taken_back, wavering)
        return Risk("medium", "The customer is thinking about leaving.", tuple(reversed(wavering)))
    if staying and not _ends_unhappy(mood):
        return Risk("low", "The customer says or shows that they stay.", tuple(reversed(staying)))
    return _from_mood(mood)


def _taken_back(mood: Mood, taken_back: list[Event], before: list[Event]) -> Risk:
    level = "medium" if _ends_unhappy(mood) else "low"
    return Risk(level, "The customer takes the threat to leave back.", (*reversed(taken_back), before[-1]))


def _ends_unhappy(mood: Mood) -> bool:
    return mood.last is not None and mood.last.strength < 0 and mood.resolved is None


def _from_mood(mood: Mood) -> Risk:
    """Without a word about leaving or staying: how the customer ends."""
    bad = mood.strongest(positive=False, ending=True)
    good = mood.strongest(positive=True, ending=True)
    if _ends_unhappy(mood) and bad is not None and bad.strength <= -CLEAR:
        bitter = -sum(f.strength for f in mood.ending if f.strength < 0) >= BITTER
        severe = bad.strength <= -3 or bitter or mood.repeated or mood.escalated or mood.unresolved or mood.refused
        if severe:
            return Risk("medium", "The customer ends unhappy with a matter that is not solved.", (bad,))
    if good is not None and good.strength >= CLEAR and not _ends_unhappy(mood):
        return Risk("low", "The customer ends satisfied.", (good,))
    if mood.resolved is not None and (mood.last is None or mood.last.strength > 0):
        return Risk("low", "The matter is solved, and the customer is not unhappy.", (mood.resolved,))
    return Risk(None, "Nothing the customer says tells whether they stay or leave.")


def _of_the_relation(analysis: Analysis, cue: CueSet) -> list[Event]:
    """Events about the relation itself, not about an order or a visit that is called off."""
    assert analysis.lexicon is not None
    unrelated = analysis.lexicon.churn.unrelated
    return [
        event
        for event in analysis.events(cue, analysis.customer, hypotheses=True)
        if not any(
            m.start() < event.end and event.start < m.end()
            for m in unrelated.find(analysis.folded[event.sentence.turn], event.sentence.start, event.sentence.end)
        )
    ]


def _cause(analysis: Analysis, places: tuple[Event | Feeling, ...]) -> tuple[str, Event | Feeling] | None:
    """The nearest cause: in the sentence itself, then around it, then anywhere the customer is unhappy."""
    assert analysis.lexicon is not None
    causes = analysis.lexicon.churn.causes
    positions = {s.index: i for i, s in enumerate(analysis.customer)}
    anchor = positions[places[0].sentence.index]
    best: tuple[float, str, Event] | None = None
    unhappy = {f.sentence.index for f in mood_of(analysis).feelings if f.strength < 0}
    for name, cue in causes.items():
        for event in analysis.events(cue, analysis.customer, hypotheses=True):
            distance = abs(positions[event.sentence.index] - anchor)
            if distance > CAUSE_REACH and event.sentence.index not in unhappy:
                continue
            score = float(distance) - (2 if _gives_reason(event.sentence) else 0)
            score -= 1.5 if event.sentence.index in unhappy else 0
            if best is None or score < best[0]:
                best = (score, name, event)
    if best is None:
        return None
    near = abs(positions[best[2].sentence.index] - anchor) <= 1 or _gives_reason(best[2].sentence)
    return (CAUSE_NAMES[best[1]] if near else "", best[2])


def _grievance(analysis: Analysis, places: tuple[Event | Feeling, ...]) -> tuple[str, Event | Feeling] | None:
    """Without a cause that has a name: what the customer is most unhappy about."""
    threats = {p.sentence.index for p in places if isinstance(p, Event)}
    unhappy = [
        f
        for f in mood_of(analysis).feelings
        if f.strength <= -1 and f.sentence.index not in threats and f.sentence.word_count >= MIN_REASON_WORDS
    ]
    worst = max(unhappy, key=lambda f: (-f.strength, f.sentence.word_count), default=None)
    return ("", worst) if worst else None


def _said_before(analysis: Analysis, places: tuple[Event | Feeling, ...]) -> tuple[str, Event | Feeling] | None:
    """What an unhappy customer says right before they speak of leaving."""
    if not any(f.strength < 0 for f in mood_of(analysis).feelings):
        return None
    threats = {p.sentence.index for p in places}
    earlier = [
        s
        for s in analysis.customer
        if s.index < min(threats) and s.word_count >= MIN_REASON_WORDS + 1 and not s.question
        and not analysis.is_small_talk(s)
    ]  # fmt: skip
    return ("", Feeling(earlier[-1], earlier[-1].start, earlier[-1].end, -1.0)) if earlier else None


def _gives_reason(sentence: Sentence) -> bool:
    return any(
        word in sentence.folded
        for word in ("because", "since ", "due to", "as i'm", "porque", "weil", "wegen", "that's why", "the reason")
    )
