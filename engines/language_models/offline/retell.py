"""Retells a sentence in the third person, by rule: what someone said, as a colleague would pass it on.

It changes persons and leaves the rest of the words alone, so nothing is said that was not said. A sentence it cannot
turn is quoted or left out.
"""

import re

from domain.conversation import Role
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.grammar import FROM_AGENT, FROM_CUSTOMER, persons, plain, shortened, third_person
from engines.language_models.offline.text import Sentence, words

MAX_HEADING_WORDS = 14

_OPENING = re.compile(
    r"^i(?:'m| am|'ve been| have been|'d like to| would like to| wanted to| want to)? (?:just "
    r")?(?:calling|writing|ringing|phoning|"
    r"contacting|messaging|emailing|getting in touch|reaching out|call|contact|write|get in touch)(?: "
    r"(?:you|in|to you|your team))*"
    r" (?:today )?(?P<how>because|as|since|about|regarding|concerning|to|with regards? to|in regards? to)\s+",
    re.IGNORECASE,
)
_ASKS_COMPANY = re.compile(
    r"^(?:(?:can|could|would|will) (?:you|someone|somebody|anyone) (?:please |kindly |possibly |at "
    r"least |also )*(?:help me (?:to )?)?|"
    r"(?:could you )?please (?:could you |can you )?(?!find|note|see|don't|do not))",
    re.IGNORECASE,
)
_ASKS_NOT = re.compile(r"^please (?:don't|do not) ", re.IGNORECASE)
_COURTEOUS = re.compile(r"^(?:thanks|thank you|sorry|apologies|cheers) for ", re.IGNORECASE)
_NO_SUBJECT = re.compile(
    r"^(?:just |only |never |already |also |still |then |finally )*(?:got|had|tried|wanted|received|"
    r"took|taken|booked|rebooked|"
    r"ordered|paid|called|rang|sent|did|never|been|waited|bought|moved|returned|installed|reinstalled|"
    r"restarted|checked|spoke|"
    r"asked|changed|need|needs|want|would like|can't|cannot|couldn't|haven't|didn't|don't|won't|was|"
    r"were|hoping|looking|trying|"
    r"calling|writing|waiting|locked|stuck|charged|told|promised|scanned|confirmed|cancelled|signed)\b",
    re.IGNORECASE,
)
_ASKS_IF = re.compile(r"^(?:can|could|may|should|do|would) (?=i\b|we\b)", re.IGNORECASE)


def customer_clause(text: str) -> str:
    """A customer's words with the persons turned, to stand after "The customer said that"."""
    return _small_start(third_person(persons(plain(text), FROM_CUSTOMER)))


def agent_clause(text: str) -> str:
    """An agent's words with the persons turned."""
    return _small_start(third_person(persons(plain(text), FROM_AGENT)))


def _small_start(text: str) -> str:
    first = text.split(" ", 1)[0] if text else ""
    return text[:1].lower() + text[1:] if first[1:].islower() or first in ("I", "A") else text


def retold(sentence: Sentence, analysis: Analysis, limit: int = 28) -> str:
    """The sentence as a clause in the third person, in at most `limit` words. Other languages stay as they are."""
    if analysis.language != "en":
        return shortened(plain(sentence.text, english=False), limit)
    clause = customer_clause(sentence.text) if sentence.role is Role.CUSTOMER else agent_clause(sentence.text)
    return shortened(clause, limit)


def customer_statement(sentence: Sentence, analysis: Analysis, *, first: bool, limit: int) -> str | None:
    """A whole sentence that tells what the customer said or asked; None when it cannot be turned."""
    subject = "The customer" if first else "They"
    text = plain(sentence.text, english=analysis.language == "en")
    if not words(text.lower()) or _COURTEOUS.match(text):
        return None
    if analysis.language != "en":
        return f"{subject} wrote: “{shortened(text, limit)}”." if first else f"“{shortened(text, limit)}”."
    asked = _request(text, subject, limit)
    if asked is not None:
        return asked
    text = re.sub(r",? ?\bplease\b,? ?", " ", text).strip()
    clause = customer_clause(text)
    starts_with_self = re.match(r"(?:i|we|my|our)\b", text, re.IGNORECASE)
    if (sentence.question and not starts_with_self) or _WH.match(clause) or _WHETHER.match(clause):
        return _question(text, subject, limit)
    if _is_heading(sentence, analysis) or (_VERB.search(clause) is None and first):
        how = "got in touch about" if _is_heading(sentence, analysis) else "wrote:"
        return f"{subject} {how} “{shortened(text, limit)}”."
    return _statement(shortened(clause, limit).rstrip("? "), subject, first=first)


def _request(text: str, subject: str, limit: int) -> str | None:
    """Why they got in touch and what they asked for, when the sentence opens by saying so."""
    if (opening := _OPENING.match(text)) is not None:
        how = {"as": "because", "since": "because"}.get(opening["how"].lower(), opening["how"].lower())
        how = "about" if how.startswith(("with", "in r", "reg", "conc")) else how
        return f"{subject} got in touch {how} {shortened(customer_clause(text[opening.end() :]), limit)}."
    for pattern, lead in ((_ASKS_COMPANY, "asked the company to"), (_ASKS_NOT, "asked the company not to")):
        if (asks := pattern.match(text)) is not None:
            asked = shortened(customer_clause(text[asks.end() :]), limit).rstrip("? ")
            return f"{subject} {lead} {asked}."
    if _ASKS_IF.match(text) is not None:
        return f"{subject} asked whether {_straight(shortened(customer_clause(text), limit)).rstrip('? ')}."
    return None


_VERB = re.compile(
    r"\b(?:they|it|he|she|who|that|there|this|is|are|was|were|be|been|has|have|had|do|does|did|can|could|will|"
    r"would|should|"
    r"may|might|must|\w+(?:n't|'s|'re|'ve|'ll|'d)|\w+ed|says?|said|got|went|came|comes?|goes|took|told|made|"
    r"sent|paid|bought|"
    r"broke|left|lost|kept|gave|wants?|needs?|works?|keeps?|shows?|gets?|arrives?|\w{4,}s (?:the|a|an|to|their))\b"
)
"""Something a verb or its subject shows by: without it the words are a heading, not a sentence."""


def _statement(clause: str, subject: str, *, first: bool) -> str:
    if _NO_SUBJECT.match(clause):
        clause = f"they {clause}"
    if clause.startswith("they "):
        said = "said they " if first else ""
        return f"{subject} {said}{clause[5:]}."
    return f"{subject} said {clause}." if first else f"{clause[:1].upper()}{clause[1:]}."


def _straight(question: str) -> str:
    """ "can they return it" → "they can return it"."""
    return re.sub(
        r"^(can|could|may|should|do|would) they\b", lambda m: "they" if m[1] == "do" else f"they {m[1]}", question
    )


_WH = re.compile(
    r"^(?P<wh>where|when|why|how|what|which|who|what time|how long|how much|how many)\s+"
    r"(?P<aux>is|are|was|were|has|have|will|can|should|would|did|do|does)\s+(?P<rest>.+)$"
)
_SUBJECT = re.compile(
    r"^(?P<s>they|it|the company|there|this|that|(?:their|the|this|that|"
    r"an?)\s+(?:[\w'-]+\s+){0,1}?[\w'-]+)(?P<r>\s.*)?$"
)


_WHETHER = re.compile(r"^(?P<aux>do|does|did|is|are|was|were|has|have|can|could|will|would|should|may)\s+(?P<rest>.+)$")


def _question(text: str, subject: str, limit: int) -> str:
    """An asked sentence as a reported question; in quotation marks when its word order cannot be turned by rule."""
    clause = shortened(customer_clause(text).replace("where's", "where is").replace("what's", "what is"), limit).rstrip(
        "?"
    )
    match = _WH.match(clause) or _WHETHER.match(clause)
    if match is not None:
        wh = match.groupdict().get("wh") or "whether"
        rest, aux = match["rest"], "" if match["aux"] in ("do", "does", "did") else f" {match['aux']}"
        split = _SUBJECT.match(rest)
        if wh in ("where", "what", "who", "which") and match["aux"] in ("is", "are", "was", "were"):
            return f"{subject} asked {wh} {rest} {match['aux']}."
        if split is not None:
            return f"{subject} asked {wh} {split['s']}{aux}{split['r'] or ''}."
    return f"{subject} asked: “{shortened(text, limit).rstrip('?')}?”"


def _is_heading(sentence: Sentence, analysis: Analysis) -> bool:
    """The subject of an e-mail or ticket stands alone in the first line, before a blank one."""
    line, blank, _ = analysis.folded[sentence.turn].partition("\n\n")
    return bool(blank) and sentence.end <= len(line) and "\n" not in line and len(words(line)) <= MAX_HEADING_WORDS


_ASKS_CUSTOMER = re.compile(
    r"^(?:could|can|would|will) you (?:please |just |kindly )*|^(?:(?:just|then|so|now|and|but|"
    r"also) )*please (?:do )?",
    re.IGNORECASE,
)
_TELLS_CUSTOMER = re.compile(
    r"^(?:(?:just|then|first|next|and|so|simply|now|also) )*(?P<what>(?:send|reply|email|upload|provide|fill|"
    r"complete|sign|"
    r"return|bring|attach|forward|call|ring|confirm|keep|check|take|post|drop|contact|share|try|print|use|"
    r"submit|make sure|"
    r"pay|reset|update|wait|go|enter|click|choose|scan|hand|text|write|allow|restart|unplug|press|turn|"
    r"log)\b(?! (?:is|was|has|will)\b).*)",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"\bthe customer(?:'s)?\b(?P<verb> (?:is|has|was|will|would|can|could|should|needs?|wants?|gets?|does))?"
)
_THEY = {"is": "are", "has": "have", "was": "were", "needs": "need", "wants": "want", "gets": "get", "does": "do"}


def _later_mentions(clause: str) -> str:
    """ "The agent will call the customer when the customer has …": the second time "they"."""
    begin = clause.find("the customer") + 1

    def put(match: re.Match[str]) -> str:
        if match[0].startswith("the customer's"):
            return "their"
        verb = (match["verb"] or "").strip()
        return f"they {_THEY.get(verb, verb)}" if verb else "them"

    return clause[:begin] + _LATER.sub(put, clause[begin:]) if begin else clause


_DEED = re.compile(
    r"^(?:all |now |already )*(?:booked|done|sent|rolled back|released|changed|confirmed|scheduled|fixed|"
    r"refunded|removed|verified|"
    r"cancelled|corrected|reissued|upgraded|moved|added|reset|activated|ordered|approved|credited|swapped|"
    r"replaced|posted|"
    r"received|forwarded|escalated|reversed|unlocked|transferred)\b",
    re.IGNORECASE,
)


def agent_statement(sentence: Sentence, analysis: Analysis, *, first: bool = True, limit: int) -> str | None:
    """A whole sentence that tells what the agent said, did or asked for. first: nothing of the agent stands before."""
    text = plain(sentence.text, english=analysis.language == "en")
    if (len(words(text.lower())) < 3 and not _DEED.match(text)) or _COURTEOUS.match(text):
        return None
    if analysis.language != "en":
        return f"The agent answered: “{shortened(text, limit)}”." if first else f"“{shortened(text, limit)}”."
    if (asks_not := _ASKS_NOT.match(text)) is not None:
        return f"The agent asked the customer not to {shortened(agent_clause(text[asks_not.end() :]), limit)}."
    asks = _ASKS_CUSTOMER.match(text)
    told = _TELLS_CUSTOMER.match(text) if asks is None else None
    if asks is not None or told is not None:
        what = text[asks.end() :] if asks is not None else told["what"] if told is not None else ""
        return f"The agent asked the customer to {_small_start(shortened(agent_clause(what), limit))}."
    clause = shortened(agent_clause(text), limit)
    if _DEED.match(clause):
        clause = f"it was {clause}"
    if clause.startswith(("the agent ", "the company ", "the customer ")) or not first:
        clause = _later_mentions(clause)
        return f"{clause[:1].upper()}{clause[1:]}."
    return f"The agent said {clause}."
