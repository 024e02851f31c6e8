"""Next actions: promises that were not yet kept, what the customer will do, and requests nobody answered."""

import re

from domain.conversation import Role
from domain.fields import CustomField
from engines.language_models.offline.actions import MAX_ACTION_WORDS, PROMISE, Action, telling
from engines.language_models.offline.analysis import Analysis, Event
from engines.language_models.offline.asked import IMPERATIVE, asked_of_customer, conditions
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.grammar import plain, shortened
from engines.language_models.offline.mood import mood_of
from engines.language_models.offline.need import need_of
from engines.language_models.offline.retell import agent_clause, customer_clause, retold
from engines.language_models.offline.text import Sentence, words

MAX_ACTIONS = 4
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


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    found = [*_promised(analysis), *_offered(analysis), *_by_customer(analysis), *asked_of_customer(analysis)]
    found += conditions(analysis)
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


def _promised(analysis: Analysis) -> list[Action]:
    """The agent's promises, and what they say the company or its people will do."""
    assert analysis.lexicon is not None
    promises = analysis.lexicon.promises
    found: list[Action] = []
    for sentence in analysis.agent:
        text = sentence.folded.rstrip(" .!")
        if sentence.question or promises.courtesy.search(text) or _is_momentary(analysis, sentence, text):
            continue
        own = next(analysis.cues(promises.agent, (sentence,)), None)
        event = own or next(analysis.cues(promises.expected, (sentence,)), None) or _still_coming(analysis, sentence)
        if own is None and (_LEFT_TO_CUSTOMER.match(text) or _HABIT.search(text)):
            continue
        if event is None or _was_done(analysis, sentence) or _is_conditional(sentence) or IMPERATIVE.match(text):
            continue
        strip = own is not None and _begins(sentence, own) and _says_little_before(sentence, own)
        found.append(_action(analysis, "Agent" if strip else "Company", sentence, event, strip=strip))
    return [a for a in found if a.text]


_LEFT_TO_CUSTOMER = re.compile(r"(?:and |but |so |then |alternatively,? )*you (?:can|could|may|might)\b")
_HABIT = re.compile(r"\b(?:sometimes|usually|normally|often|generally|always|typically|every (?:day|week|time))\b")
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


def _offered(analysis: Analysis) -> list[Action]:
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
            found.append(Action(f"Agent: {clause}", sentence, start, sentence.end))
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


def _action(analysis: Analysis, who: str, sentence: Sentence, event: Event, *, strip: bool) -> Action:
    begin = event.start - sentence.start
    words_said = sentence.text[begin:] if strip else sentence.text
    if strip and (promise := PROMISE.match(words_said.replace("’", "'").lower())) is not None:
        words_said = words_said[promise.end() :]
    if analysis.language != "en":
        clause = plain(sentence.text, english=False)
    else:
        clause = agent_clause(words_said) if sentence.role is not Role.CUSTOMER else customer_clause(words_said)
    clause = shortened(clause, MAX_ACTION_WORDS)
    text = f"{who}: {clause}" if len(clause.split()) > 1 else ""
    return Action(text, sentence, event.start, event.end)


def _was_done(analysis: Analysis, promise: Sentence) -> bool:
    """Whether a later sentence of the agent says so: in other words of the same thing, or "all done"."""
    assert analysis.lexicon is not None
    mine = telling(promise.folded)
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
            theirs = telling(later.folded)
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


def _by_customer(analysis: Analysis) -> list[Action]:
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


def _unanswered(analysis: Analysis) -> list[Action]:
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
        found.append(Action(f"Agent: {wants}{clause}", sentence, sentence.start, sentence.end))
    return found


def _unsolved(analysis: Analysis) -> list[Action]:
    """The customer's last word is that nothing is solved: then what they came for is what is left to do."""
    mood = mood_of(analysis)
    need = need_of(analysis)
    if mood.unresolved is None or need is None:
        return []
    text = f"Agent: follow up, the matter is not solved: {retold(need, analysis, MAX_ACTION_WORDS)}"
    return [Action(text, need, need.start, need.end)]


def _distinct(actions: list[Action]) -> list[Action]:
    """Later words for the same thing replace earlier ones."""
    kept: list[Action] = []
    for action in sorted(actions, key=lambda a: a.sentence.index):
        mine = telling(action.text.lower())
        kept = [
            k
            for k in kept
            if not (mine and len(mine & (theirs := telling(k.text.lower()))) / min(len(mine), len(theirs) or 1) > 0.7)
        ]
        kept.append(action)
    return kept
