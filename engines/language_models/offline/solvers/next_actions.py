"""Next actions: promises that were not yet kept, what the customer will do, and requests nobody answered."""

import re
from dataclasses import dataclass

from domain.conversation import Role
from domain.fields import CustomField
from engines.language_models.offline.analysis import Analysis, Event
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.mood import mood_of
from engines.language_models.offline.need import need_of
from engines.language_models.offline.retell import agent_clause, customer_clause, plain, retold, shortened
from engines.language_models.offline.text import Sentence, words

MAX_ACTIONS = 4
MAX_ACTION_WORDS = 26
LEAD_IN_WORDS = 5
OVERLAP_DONE = 0.5
"""Share of an action's telling words in a later deed from which on it is done."""

_LATER = re.compile(
    r"\b(?:by|within|tomorrow|tonight|monday|tuesday|wednesday|thursday|friday|saturday|sunday|next|"
    r"days?|hours?|weeks?|shortly|soon|afternoon|evening|later|once|when|after|end of|as soon as|"
    r"today|within|morning|mañana|lunes|martes|miércoles|jueves|viernes|semana|días|horas|morgen|"
    r"montag|dienstag|mittwoch|donnerstag|freitag|woche|tage|stunden|werktage)\b"
)
_DONE = re.compile(
    r"\b(?:all done|that's done|that is done|done that|i've done|that's gone through|that's all "
    r"(?:set|sorted|booked|changed|updated)|all sorted|it's done|there we go|that's gone|that's now)\b"
)
_NOT_AN_ACTION = re.compile(
    r"(?:also |just |then |probably |definitely |maybe |simply )*(?:wait|stay|be|leave|take (?:it|"
    r"that)(?! (?:to|up|back|with))|take (?:the|two|one|my)|have|see|think|never|not|won't|believe|keep|love|"
    r"need|go (?:with|for|to|"
    r"elsewhere|somewhere)|hold|assume|remember|say|tell|spend|cancel|let|sit|make|do|get (?:my|"
    r"another|a new)|know|want|miss|believe|buy|book|order|switch|recommend|come|stick|give|live|lose|"
    r"find|look|just|end|die|start|pay for|feel|put up|move|report you|speak to my (?:lawyer|"
    r"solicitor)|post)\b"
)
_REQUEST = re.compile(
    r"^(?:can|could|would|will) (?:you|someone|somebody|anyone) (?:please )?|^please |^(?:i|we)(?:'d| "
    r"would) like (?:you )?(?=to\b|a\b|my\b|an\b)|^(?:i|we) (?:want|need) (?:you )?(?=to\b|a\b|my\b|"
    r"an\b)|\bplease (?=\w)"
)
_PROMISE = re.compile(
    r"\b(?:i'll|i will|i'm going to|i am going to|i shall|we'll|we will|we're going to|we are going "
    r"to|let me|i'm|we're|i can)\b\s*(?:also |now |then |just |personally |make sure (?:to|that|we|i) "
    r"|be able to )*",
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
    found = [*_promised(analysis), *_offered(analysis), *_by_customer(analysis), *_asked_of_customer(analysis)]
    found += _conditions(analysis)
    actions = _distinct(found) or _distinct(_unanswered(analysis)) or _unsolved(analysis)
    if not actions:
        return unknown("Nothing is left to do.")
    actions = sorted(actions[-MAX_ACTIONS:], key=lambda a: a.sentence.index)
    evidence = quotes(
        analysis, [Ground(a.sentence, a.start, a.end) for a in actions], question.evidence_role, limit=MAX_ACTIONS
    )
    quoted = {e.turn for e in evidence}
    lines = [a.text for a in actions if a.sentence.turn in quoted]
    why = "What was promised or asked for and not yet done."
    return known("\n".join(lines)[: field.max_length], why, evidence, stated=True)


def _promised(analysis: Analysis) -> list[_Action]:
    """The agent's promises, and what they say the company or its people will do."""
    assert analysis.lexicon is not None
    promises = analysis.lexicon.promises
    found: list[_Action] = []
    for sentence in analysis.agent:
        text = sentence.folded.rstrip(" .!")
        if sentence.question or promises.courtesy.search(text) or _is_momentary(analysis, sentence, text):
            continue
        own = next(analysis.cues(promises.agent, (sentence,)), None)
        event = own or next(analysis.cues(promises.expected, (sentence,)), None) or _still_coming(analysis, sentence)
        if own is None and _LEFT_TO_CUSTOMER.match(text):
            continue
        if event is None or _was_done(analysis, sentence) or _is_conditional(sentence) or _IMPERATIVE.match(text):
            continue
        strip = own is not None and _begins(sentence, own) and _says_little_before(sentence, own)
        found.append(_action(analysis, "Agent" if strip else "Company", sentence, event, strip=strip))
    return [a for a in found if a.text]


_LEFT_TO_CUSTOMER = re.compile(r"(?:and |but |so |then |alternatively,? )*you (?:can|could|may|might)\b")
_COMING = re.compile(
    r"\b(?:within|in|up to|by|until) (?:about |the next |up to |the end of )?(?:\d+|an?|two|three|four|five|six|seven|"
    r"eight|nine|ten|fourteen|a few|monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|next)\b"
)


def _still_coming(analysis: Analysis, sentence: Sentence) -> Event | None:
    """What was set going and takes time: "I've issued the refund, it's with you within five days"."""
    assert analysis.lexicon is not None
    if not _COMING.search(sentence.folded):
        return None
    return next(analysis.cues(analysis.lexicon.outcome.agent_done, (sentence,)), None)


def _begins(sentence: Sentence, event: Event) -> bool:
    """Whether the promise begins the sentence or a clause of it, so that its verb can stand alone."""
    before = sentence.folded[: event.start - sentence.start].rstrip()
    return not before or before[-1] in ",;:-" or before.endswith((" and", "so", "then", "okay", "ok", "right", " but"))


def _says_little_before(sentence: Sentence, event: Event) -> bool:
    """Whether nothing but a lead-in stands before the promise: else both halves are told."""
    return len(words(sentence.folded[: event.start - sentence.start])) <= LEAD_IN_WORDS


_OFFER = re.compile(
    r"\b(?:shall i|should i|would you like me to|do you want me to|i can|i could|want me to|if you "
    r"like,? i can)\s+(?:also |just )?(?P<what>\w+\b.*)"
)
_AGREES = re.compile(
    r"^\W*(?:yes|yeah|yep|sure|please|ok|okay|go ahead|that would be|that'd be|that works|perfect|"
    r"great|fine|alright|all right|they can|you can|of course|absolutely|definitely|why not|if you "
    r"could|(?:\w+ ){0,3}(?:that would be|sounds good))\b"
)


_DECLINES = re.compile(
    r"^\W*(?:(?:of course you can|ok|okay|thanks?|thank you|well|oh|hmm|um|uh)\W+)*(?:no|nope|nah|don't|"
    r"please don't|not|rather not|"
    r"i'd rather|never mind|forget it|leave it|i don't (?:want|need))\b(?! (?:problem|worries|that's (?:fine|"
    r"great|perfect)))"
)


def _offered(analysis: Analysis) -> list[_Action]:
    """Offers that the customer accepts in their next words and that are not done on the spot."""
    if analysis.language != "en":
        return []
    found = []
    for sentence in analysis.agent:
        match = _OFFER.search(sentence.folded)
        answers = [s for s in analysis.customer if s.turn > sentence.turn]
        answer = [s for s in answers if s.turn == answers[0].turn] if answers else []
        if (
            match is None
            or not any(_AGREES.match(s.folded) for s in answer)
            or any(_DECLINES.match(s.folded) for s in answer)
        ):
            continue
        if _is_momentary(analysis, sentence, "i'll " + match["what"].rstrip(" .!?")) or _MEANWHILE.match(match["what"]):
            continue
        if _was_done(analysis, sentence):
            continue
        start = sentence.start + match.start("what")
        clause = shortened(agent_clause(sentence.text[match.start("what") :]), MAX_ACTION_WORDS)
        if len(clause.split()) > 1:
            found.append(_Action(f"Agent: {clause}", sentence, start, sentence.end))
    return found


_MEANWHILE = re.compile(
    r"(?:see|help|take|have|get|confirm|read|look|check|run|try|do|start|explain|understand|offer)\b"
)


def _is_momentary(analysis: Analysis, sentence: Sentence, text: str) -> bool:
    """Done on the spot; but what has a time in it is not."""
    assert analysis.lexicon is not None
    return analysis.lexicon.promises.momentary.search(text) is not None and not _LATER.search(text.replace("today", ""))


def _is_conditional(sentence: Sentence) -> bool:
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
    arrived = mood_of(analysis).resolved
    if arrived is not None and arrived.sentence.turn > promise.turn:
        if _ARRIVED.search(arrived.sentence.folded):
            return True
        if _MENDED.search(promise.folded):
            return True
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


_ARRIVED = re.compile(r"\b(?:account|statement|arrived|came|come|received|got|here|landed|delivered|refund)\b")
_MENDED = re.compile(
    r"\b(?:developers?|engineers?|technicians?|update|fix\w*|repair\w*|look(?:ing)? into|"
    r"investigat\w*|restart\w*|reset\w*)\b"
)
_COMMON = frozenset(
    """
    that this with will your you have been just then from they them into for the and now going also when what more
    make sure get let agent customer company
    """.split()  # noqa: SIM905 - a list of words is read more easily than a list of literals
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
        if len(words(rest)) < 2 or _NOT_AN_ACTION.match(rest.lstrip()):
            continue
        found.append(_action(analysis, "Customer", sentence, event, strip=True))
    return [a for a in found if a.text]


_VERBS = (
    "send|reply|email|upload|provide|fill|complete|sign|return|bring|attach|forward|call|ring|confirm|let "
    "(?:us|me) know|keep|check|take|post|drop|contact|share|try|print|use|submit|make sure|have|pay|reset|update|"
    "wait|change|hand|give|apply|scan|register|activate|write|text|cancel|remove|report|pick|collect|put|show|"
    "install|request|renew|read|order|book|dispose|pack|restart|move|transfer|choose|delete|add|enter|hand in"
)
_ASK = re.compile(
    rf"\b(?:please|you(?:'ll| will)? (?:need|have) to|(?:could|can|would|will) (?:you|your \w+|he|she|they)|"
    rf"if you could|all you "
    rf"need to do is)\s+(?:please |also |just )?(?P<what>(?:{_VERBS})\b.*)",
    re.IGNORECASE,
)
_HANDED_OVER = re.compile(
    r"\b(?:here's|here is|attached(?: is)?|enclosed(?: is)?|i've (?:sent|emailed|attached)(?: you)?)\s+(?P<what>"
    r"(?:the|a|your) (?:\w+ ){0,2}?(?:label|form|link|template|questionnaire|voucher code)\b.*)",
    re.IGNORECASE,
)
_IMPERATIVE = re.compile(
    rf"(?:(?:just|then|first|next|and|so|simply|now),? )*(?P<what>(?:{_VERBS})\b.*)", re.IGNORECASE
)


_BEFORE_LONG = re.compile(
    r"\b(?:within|by|before|until|in the next) (?:the )?(?:\w+ )?(?:days?|weeks?|hours|monday|tuesday|wednesday|"
    r"thursday|"
    r"friday|saturday|sunday|tomorrow|end|\d+)|\b(?:today|tonight|tomorrow|that day|afterwards|when you hang up|once)\b"
)
"""What has a deadline is still to be done although the conversation goes on."""


def _asked_of_customer(analysis: Analysis) -> list[_Action]:
    """What the agent asks for in their last words, or with a deadline."""
    last_customer = analysis.customer[-1].turn if analysis.customer else 0
    found = []
    for sentence in analysis.agent:
        if analysis.language != "en" or analysis.is_small_talk(sentence):
            continue
        urgent = _BEFORE_LONG.search(sentence.folded) or _HANDED_OVER.search(sentence.text.replace("’", "'"))
        if sentence.turn < last_customer and not urgent and not _is_pending(analysis, sentence):
            continue
        if _customer_did(analysis, sentence):
            continue
        said = sentence.text.replace("’", "'")
        match = _ASK.search(said) or _IMPERATIVE.fullmatch(said) or _HANDED_OVER.search(said)
        if match is None or re.match(r"let (?:us|me) know if", match["what"], re.IGNORECASE):
            continue
        clause = shortened(agent_clause(match["what"]), MAX_ACTION_WORDS)
        clause = f"use {clause}" if match.re is _HANDED_OVER else clause
        start = sentence.start + match.start("what")
        found.append(_Action(f"Customer: {clause}", sentence, start, sentence.end))
    return found


_HANDS_OVER = re.compile(
    r"\b(?:send|upload|bring|return|email|e-mail|mail|post|provide|fill|sign|attach|forward|submit|show|hand|scan)\b"
)
_WILL_DO = re.compile(
    r"\b(?:will do|(?:i|we|she|he|they)(?:'ll| will| shall)|i'm going to|going to|i can (?:do|send)|later|"
    r"tonight|tomorrow|this week|"
    r"this afternoon|this evening|on monday|when i(?:'m| am| get)|where (?:do|should|can) i send|to which address)\b"
)
_HAS_DONE = re.compile(
    r"\b(?:sent|done|did (?:it|that)|attached|uploaded|here (?:it is|you go|they are)|just (?:sent|did|"
    r"uploaded)|filled (?:it )?in|signed|"
    r"scanned|posted|submitted|returned|changed|it's (?:in|through)|works now|that worked)\b(?! (?:tomorrow|"
    r"tonight|later))"
)


def _is_pending(analysis: Analysis, request: Sentence) -> bool:
    """Whether the agent asked for something to be handed over and the customer said that they would."""
    if not _HANDS_OVER.search(request.folded):
        return False
    later = [s for s in analysis.customer if s.turn > request.turn]
    return any(_WILL_DO.search(s.folded) for s in later)


def _customer_did(analysis: Analysis, request: Sentence) -> bool:
    """Whether the customer says later that what was asked is done."""
    mine = _telling(request.folded)
    for sentence in analysis.customer:
        if sentence.turn <= request.turn or not _HAS_DONE.search(sentence.folded) or sentence.question:
            continue
        if len(words(sentence.folded)) <= 6 or mine & _telling(sentence.folded):
            return True
    return False


_IF_YOU = re.compile(
    rf"\bif you (?:could |can |would |just )*(?P<what>(?:{_VERBS})\b.*?)(?:,|\s(?=(?:i|we|then|and then|you)(?:'| |$)))"
    r"\s*(?:then )?(?:and )?(?P<then>(?:i|we)(?:'ll| will| can| could|'d)\b.*)?",
    re.IGNORECASE,
)


def _conditions(analysis: Analysis) -> list[_Action]:
    """ "If you send us the receipt, we'll write it off": the customer's part, when they take it up, and the agent's."""
    if analysis.language != "en":
        return []
    found: list[_Action] = []
    for sentence in analysis.agent:
        match = _IF_YOU.search(sentence.text.replace("’", "'"))
        if match is None or not _is_pending(analysis, sentence) or _customer_did(analysis, sentence):
            continue
        clauses = [("Customer", match["what"], match.start("what"))]
        if match["then"]:
            promised = _PROMISE.match(match["then"].lower())
            begin = promised.end() if promised else 0
            clauses.append(("Agent", match["then"][begin:], match.start("then")))
        for who, said, start in clauses:
            clause = shortened(agent_clause(said), MAX_ACTION_WORDS)
            if len(clause.split()) > 1:
                found.append(_Action(f"{who}: {clause}", sentence, sentence.start + start, sentence.end))
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


def _unsolved(analysis: Analysis) -> list[_Action]:
    """The customer's last word is that nothing is solved: then what they came for is what is left to do."""
    mood = mood_of(analysis)
    need = need_of(analysis)
    if mood.unresolved is None or need is None:
        return []
    text = f"Agent: follow up, the matter is not solved: {retold(need, analysis, MAX_ACTION_WORDS)}"
    return [_Action(text, need, need.start, need.end)]


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
