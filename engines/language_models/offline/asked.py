"""What the agent asked the customer for: at the end, with a deadline, or as a condition of what they will do."""

import re

from engines.language_models.offline.actions import MAX_ACTION_WORDS, PROMISE, Action, telling
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.grammar import shortened
from engines.language_models.offline.retell import agent_clause
from engines.language_models.offline.text import Sentence, words

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
IMPERATIVE = re.compile(rf"(?:(?:just|then|first|next|and|so|simply|now),? )*(?P<what>(?:{_VERBS})\b.*)", re.IGNORECASE)


_BEFORE_LONG = re.compile(
    r"\b(?:within|by|before|until|in the next) (?:the )?(?:\w+ )?(?:days?|weeks?|hours|monday|tuesday|wednesday|"
    r"thursday|"
    r"friday|saturday|sunday|tomorrow|end|\d+)|\b(?:today|tonight|tomorrow|that day|afterwards|when you hang up|once)\b"
)
"""What has a deadline is still to be done although the conversation goes on."""


def asked_of_customer(analysis: Analysis) -> list[Action]:
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
        match = _ASK.search(said) or IMPERATIVE.fullmatch(said) or _HANDED_OVER.search(said)
        if match is None or re.match(r"let (?:us|me) know if", match["what"], re.IGNORECASE):
            continue
        clause = shortened(agent_clause(match["what"]), MAX_ACTION_WORDS)
        clause = f"use {clause}" if match.re is _HANDED_OVER else clause
        start = sentence.start + match.start("what")
        found.append(Action(f"Customer: {clause}", sentence, start, sentence.end))
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
    mine = telling(request.folded)
    for sentence in analysis.customer:
        if sentence.turn <= request.turn or not _HAS_DONE.search(sentence.folded) or sentence.question:
            continue
        if len(words(sentence.folded)) <= 6 or mine & telling(sentence.folded):
            return True
    return False


_IF_YOU = re.compile(
    rf"\bif you (?:could |can |would |just )*(?P<what>(?:{_VERBS})\b.*?)(?:,|\s(?=(?:i|we|then|and then|you)(?:'| |$)))"
    r"\s*(?:then )?(?:and )?(?P<then>(?:i|we)(?:'ll| will| can| could|'d)\b.*)?",
    re.IGNORECASE,
)


def conditions(analysis: Analysis) -> list[Action]:
    """ "If you send us the receipt, we'll write it off": the customer's part, when they take it up, and the agent's."""
    if analysis.language != "en":
        return []
    found: list[Action] = []
    for sentence in analysis.agent:
        match = _IF_YOU.search(sentence.text.replace("’", "'"))
        if match is None or not _is_pending(analysis, sentence) or _customer_did(analysis, sentence):
            continue
        clauses = [("Customer", match["what"], match.start("what"))]
        if match["then"]:
            promised = PROMISE.match(match["then"].lower())
            begin = promised.end() if promised else 0
            clauses.append(("Agent", match["then"][begin:], match.start("then")))
        for who, said, start in clauses:
            clause = shortened(agent_clause(said), MAX_ACTION_WORDS)
            if len(clause.split()) > 1:
                found.append(Action(f"{who}: {clause}", sentence, sentence.start + start, sentence.end))
    return found
