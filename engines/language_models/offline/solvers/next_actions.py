"""Next actions: promises that were not yet kept, what the customer will do, and requests nobody answered."""

import re
from dataclasses import dataclass

from domain.conversation import Role
from domain.fields import CustomField
from engines.language_models.offline.analysis import Analysis, Event
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.retell import agent_clause, customer_clause, plain, shortened
from engines.language_models.offline.text import Sentence, words

MAX_ACTIONS = 4
MAX_ACTION_WORDS = 24
OVERLAP_DONE = 0.5
"""Share of an action's telling words in a later deed from which on it is done."""

_LATER = re.compile(
    r"\b(?:by|within|tomorrow|tonight|monday|tuesday|wednesday|thursday|friday|saturday|sunday|next|days?|hours?|weeks?|shortly|soon|afternoon|evening|later|once|when|after|end of|as soon as|today|within|morning|mañana|lunes|martes|miércoles|jueves|viernes|semana|días|horas|morgen|montag|dienstag|mittwoch|donnerstag|freitag|woche|tage|stunden|werktage)\b"
)
_DONE = re.compile(
    r"\b(?:all done|that's done|that is done|done that|i've done|that's gone through|that's all (?:set|sorted|booked|changed|updated)|all sorted|it's done|there we go|that's gone|that's now)\b"
)
_CUSTOMER_DOES = re.compile(
    r"\b(?:send|email|e-mail|call|ring|phone|bring|pay|post|upload|check|try|return|drop|fill|sign|provide|forward|get back|let you know|speak|talk|ask|reply|confirm|collect|pick (?:it|them|one) up|take (?:it|them|a photo|photos|pictures|some)|report|contact|test|measure|scan|attach|transfer|schicke?n?|melde|mando|envío|llamo|enviar)\b"
)
_NOT_AN_ACTION = re.compile(
    r"\b(?:wait|stay|be (?:here|in|home|back|at|there|honest|able)|leave it|take it|have (?:it|that|the)|see|think|never|not|won't|believe|keep|love|need|go with|go for|hold|assume|remember)\b"
)
_REQUEST = re.compile(
    r"^(?:can|could|would|will) (?:you|someone|somebody|anyone) (?:please )?|^please |^(?:i|we)(?:'d| would) like (?:you )?(?=to\b|a\b|my\b|an\b)|^(?:i|we) (?:want|need) (?:you )?(?=to\b|a\b|my\b|an\b)|\bplease (?=\w)"
)
_PROMISE = re.compile(
    r"\b(?:i'll|i will|i'm going to|i am going to|i shall|we'll|we will|we're going to|we are going to|let me|i'm|we're|i can)\b\s*(?:also |now |then |just |personally |make sure (?:to|that|we|i) |be able to )*",
)


@dataclass(frozen=True)
class _Action:
    text: str
    sentence: Sentence
    start: int
    end: int


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    actions = _distinct([*_promised(analysis), *_by_customer(analysis), *_asked_of_customer(analysis)])
    if not actions:
        actions = _distinct(_unanswered(analysis))
    if not actions:
        return unknown("Nothing is left to do.")
    actions = sorted(actions[-MAX_ACTIONS:], key=lambda a: a.sentence.index)
    evidence = quotes(
        analysis, [Ground(a.sentence, a.start, a.end) for a in actions], question.evidence_role, limit=MAX_ACTIONS
    )
    quoted = {e.turn for e in evidence}
    lines = [a.text for a in actions if a.sentence.turn in quoted]
    return known(
        "\n".join(lines)[: field.max_length], "What was promised or asked for and not yet done.", evidence, stated=True
    )


def _promised(analysis: Analysis) -> list[_Action]:
    assert analysis.lexicon is not None
    promises = analysis.lexicon.promises
    found: list[_Action] = []
    for sentence in analysis.agent:
        text = sentence.folded.rstrip(" .!")
        if sentence.question or promises.courtesy.search(text) or _is_momentary(analysis, sentence, text):
            continue
        event = next(analysis.cues(promises.agent, (sentence,)), None)
        who, strip = "Agent", True
        if event is None:
            event = next(analysis.cues(promises.expected, (sentence,)), None)
            who, strip = "Company", False
        if event is None or _was_done(analysis, sentence) or _is_conditional(sentence, event):
            continue
        found.append(_action(analysis, who, sentence, event, strip=strip))
    return [a for a in found if a.text]


def _is_momentary(analysis: Analysis, sentence: Sentence, text: str) -> bool:
    """Done on the spot; but what has a time in it is not."""
    assert analysis.lexicon is not None
    return analysis.lexicon.promises.momentary.search(text) is not None and not _LATER.search(text.replace("today", ""))


def _is_conditional(sentence: Sentence, event: Event) -> bool:
    """ "If you send it back, we'll refund you": a rule, unless it says what happens by itself."""
    return sentence.folded.lstrip().startswith(("if you", "should you", "unless", "in case", "would you", "when you"))


def _action(analysis: Analysis, who: str, sentence: Sentence, event: Event, *, strip: bool) -> _Action:
    begin = event.start - sentence.start
    words_said = sentence.text[begin:] if strip else sentence.text
    if strip and (promise := _PROMISE.match(words_said.replace("’", "'").lower())) is not None:
        words_said = words_said[promise.end() :]
    if analysis.language != "en":
        clause = plain(sentence.text)
    else:
        clause = agent_clause(words_said) if sentence.role is not Role.CUSTOMER else customer_clause(words_said)
    clause = shortened(clause, MAX_ACTION_WORDS)
    text = f"{who}: {clause}" if len(clause.split()) > 1 else ""
    return _Action(text, sentence, event.start, event.end)


def _was_done(analysis: Analysis, promise: Sentence) -> bool:
    """Whether a later sentence of the agent says so: in other words of the same thing, or "all done"."""
    assert analysis.lexicon is not None
    mine = _telling(promise.folded)
    for later in analysis.agent:
        if later.index <= promise.index or later.turn == promise.turn:
            continue
        if analysis.lexicon.outcome.agent_done.search(later.folded):
            theirs = _telling(later.folded)
            if mine and len(mine & theirs) / len(mine) >= OVERLAP_DONE:
                return True
        if _DONE.search(later.folded) and not _LATER.search(promise.folded):
            return True
    return False


_COMMON = frozenset(
    "that this with will your you have been just then from they them into for the and now going also when what more make sure get let".split()
)


def _telling(folded: str) -> set[str]:
    """Beginnings of the words that say what it is about: `refunded` and `refund` are the same."""
    return {w[:5] for w in words(folded) if len(w) > 3 and w not in _COMMON}


def _by_customer(analysis: Analysis) -> list[_Action]:
    assert analysis.lexicon is not None
    found = []
    for sentence in analysis.customer[-12:]:
        event = next(analysis.events(analysis.lexicon.promises.customer, (sentence,), questions=False), None)
        if event is None:
            continue
        rest = sentence.folded[event.end - sentence.start :]
        near = " ".join(words(rest)[:3])
        if not _CUSTOMER_DOES.search(" ".join(words(rest)[:5])) or _NOT_AN_ACTION.search(near):
            continue
        found.append(_action(analysis, "Customer", sentence, event, strip=True))
    return [a for a in found if a.text]


_ASK = re.compile(
    r"\b(?:please|you(?:'ll| will)? (?:need|have) to|could you|can you|would you)\s+(?:please )?(?P<what>(?:send|reply|email|upload|provide|fill|complete|sign|return|bring|attach|forward|call|confirm|let (?:us|me) know|keep|check|take|post|drop|contact|share|restart|try|print|use|submit)\b.*)",
    re.IGNORECASE,
)


def _asked_of_customer(analysis: Analysis) -> list[_Action]:
    """What the agent's last message asks for, when the customer has not answered it."""
    last_customer = analysis.customer[-1].turn if analysis.customer else 0
    found = []
    for sentence in analysis.agent:
        if sentence.turn < last_customer or analysis.language != "en":
            continue
        match = _ASK.search(sentence.text.replace("’", "'"))
        if match is None or re.match(r"let (?:us|me) know if", match["what"], re.IGNORECASE):
            continue
        clause = shortened(agent_clause(match["what"]), MAX_ACTION_WORDS)
        start = sentence.start + match.start("what")
        found.append(_Action(f"Customer: {clause}", sentence, start, sentence.end))
    return found


def _unanswered(analysis: Analysis) -> list[_Action]:
    """Requests of a customer to whom no agent has replied since."""
    last_agent = max((s.turn for s in analysis.agent), default=0)
    found = []
    for sentence in analysis.customer:
        if sentence.turn < last_agent:
            continue
        text = plain(sentence.text)
        match = _REQUEST.search(text.lower())
        if match is None or len(words(text[match.end() :].lower())) < 2:
            continue
        clause = shortened(customer_clause(text[match.end() :]), MAX_ACTION_WORDS)
        clause = re.sub(r"^to ", "", clause)
        if analysis.language != "en":
            clause = shortened(text, MAX_ACTION_WORDS)
        wants = (
            ""
            if text.lower().startswith(("can", "could", "would", "will", "please")) or "please" in match[0]
            else "the customer wants "
        )
        found.append(_Action(f"Agent: {wants}{clause}", sentence, sentence.start, sentence.end))
    return found


def _distinct(actions: list[_Action]) -> list[_Action]:
    """Later words for the same thing replace earlier ones."""
    kept: list[_Action] = []
    for action in sorted(actions, key=lambda a: a.sentence.index):
        mine = _telling(action.text.lower())
        kept = [
            k
            for k in kept
            if not (mine and len(mine & (theirs := _telling(k.text.lower()))) / min(len(mine), len(theirs) or 1) > 0.7)
        ]
        kept.append(action)
    return kept
