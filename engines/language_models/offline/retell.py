"""Retells a sentence in the third person, by rule: what someone said, as a colleague would pass it on.

It changes persons and leaves the rest of the words alone, so nothing is said that was not said. A sentence it cannot
turn is quoted or left out.
"""

import re

from domain.conversation import Role
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.text import Sentence, words

MAX_HEADING_WORDS = 14

_LEAD = re.compile(
    r"^(?:(?:hi|hello|hey|hiya|dear|yes|yeah|yep|no|ok|okay|right|so|well|um+|uh+|er+m?|oh|ah|and|but|"
    r"also|now|basically|actually|"
    r"honestly|sure|great|good news|perfect|thanks(?! for)|thank you(?! for)|sorry(?! for)|ho|alright|"
    r"all right|lovely|brilliant|of course|there|look|listen|"
    r"just|then|anyway|certainly|absolutely|no problem|good morning|good afternoon|good evening|sir|"
    r"madam|team|again|the thing is|"
    r"hola|buenos días|buenas tardes|hallo|guten tag|to be honest|i see|i understand|fine|great news|"
    r"first of all|ma'am)\b[\s,.!:-]*)+",
    re.IGNORECASE,
)
_FILLERS = re.compile(
    r"(?:,\s*)?\b(?:um+|uh+|er|erm|(?<!do )you know|i mean|kind of|sort of|basically|literally)\b,?\s*", re.IGNORECASE
)
_MASKS = {
    "email": "email address",
    "phone": "phone number",
    "card": "card",
    "account": "account",
    "national_id": "identity number",
    "address": "address",
    "date_of_birth": "date of birth",
    "password": "password",
    "ip_address": "address",
    "id_number": "reference",
}
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
    r"calling|writing|waiting)\b",
    re.IGNORECASE,
)
_ASKS_IF = re.compile(r"^(?:can|could|may|should|do|would) (?=i\b|we\b)", re.IGNORECASE)

_FROM_CUSTOMER = (
    (r"\bi'm not\b", "they are not"),
    (r"\b(?:i'm|i am|im|we're|we are)\b", "they are"),
    (r"\b(?:i was|we were)\b", "they were"),
    (r"\bwas i\b", "were they"),
    (r"\bam i\b", "are they"),
    (r"\b(?:i've|we've|ive)\b", "they have"),
    (
        r"\b(?:i'd|we'd) (?=been|had|ordered|paid|asked|told|already|booked|called|tried|bought|signed|"
        r"seen|never|not been)",
        "they had ",
    ),
    (r"\b(?:i'd|we'd)\b", "they would"),
    (r"\b(?:i'll|we'll)\b", "they will"),
    (r"\b(?:myself|ourselves)\b", "themselves"),
    (r"\b(?:mine|ours)\b", "theirs"),
    (r"\b(?:my|our)\b", "their"),
    (r"\b(?:me|us)\b", "them"),
    (r"\b(?:i|we)\b", "they"),
    (r"\b(?:you're|you are)\b", "the company is"),
    (r"\b(?:you've|you have)\b", "the company has"),
    (r"\byou were\b", "the company was"),
    (r"\byou'll\b", "the company will"),
    (r"\byou'd\b", "the company would"),
    (r"\byours\b", "the company's"),
    (r"\byour\b", "the company's"),
    (r"\byou(?: guys| lot| all| people)?\b", "the company"),
)
_FROM_AGENT = (
    (r"\b(?:i've|i have)\b", "the agent has"),
    (r"\bi'll\b", "the agent will"),
    (r"\b(?:i'm|i am)\b", "the agent is"),
    (r"\bi'd\b", "the agent would"),
    (r"\bi was\b", "the agent was"),
    (r"\bmyself\b", ""),
    (r"\bmy\b", "the agent's"),
    (r"\bme\b", "the agent"),
    (r"\bi can\b", "the agent can"),
    (r"\bi\b", "the agent"),
    (r"\b(?:we've|we have)\b", "the company has"),
    (r"\bwe'll\b", "the company will"),
    (r"\b(?:we're|we are)\b", "the company is"),
    (r"\bwe were\b", "the company was"),
    (r"\bwe'd\b", "the company would"),
    (r"\bour\b", "the company's"),
    (r"\bus\b", "the company"),
    (r"\bwe\b", "the company"),
    (r"\b(?:you've|you have)\b", "the customer has"),
    (r"\byou'll\b", "the customer will"),
    (r"\b(?:you're|you are)\b", "the customer is"),
    (r"\byou were\b", "the customer was"),
    (r"\byou'd\b", "the customer would"),
    (r"\byou (need|want|get|receive|pay|see|live|own|use|keep|send|owe|qualify)\b", r"the customer \1s"),
    (r"\b(?:yours)\b", "theirs"),
    (r"\byour\b", "their"),
    (r"\byourself\b", "themselves"),
    (r"\byou\b", "the customer"),
)


def plain(text: str) -> str:
    """Without greeting, fillers, masks of names and end marks."""
    text = re.sub(r"\s+", " ", text.replace("’", "'")).strip()
    text = re.sub(r",?\s*\[name\]('s)?", "", text)
    text = re.sub(r"\[([a-z_]+)\]", lambda m: _MASKS.get(m[1], ""), text)
    text = _FILLERS.sub(" ", text)
    text = _LEAD.sub("", re.sub(r"\s+", " ", text).strip(" ,-"))
    return re.sub(r"\s+([,.;])", r"\1", text).strip(" ,.!;:-–—…\"'")


def _persons(text: str, rules: tuple[tuple[str, str], ...]) -> str:
    """All replacements in one pass, so that what was put in is not replaced again."""
    pattern = re.compile("|".join(f"(?P<r{i}>{rule})" for i, (rule, _) in enumerate(rules)), re.IGNORECASE)

    def put(match: re.Match[str]) -> str:
        index = int((match.lastgroup or "r0")[1:])
        return re.sub(rules[index][0], rules[index][1], match[0], flags=re.IGNORECASE) if match.lastgroup else match[0]

    return pattern.sub(put, text)


def shortened(text: str, limit: int) -> str:
    """At most `limit` words, cut at a comma or a conjunction where there is one in the last half."""
    parts = text.split()
    if len(parts) <= limit:
        return text
    cut = " ".join(parts[:limit])
    borders = [m.start() for m in re.finditer(r",\s|;|\s-\s|\s(?:and|but|so|because|which|while|although)\b", cut)]
    late = [b for b in borders if b > len(cut) * 0.45]
    cut = cut[: late[-1]] if late else cut
    return re.sub(
        r"[\s,;]+(?:and|or|but|so|to|the|a|an|of|for|with|in|on|at|that|which|their|is|because)$",
        "",
        cut.rstrip(" ,;-"),
    )


def customer_clause(text: str) -> str:
    """A customer's words with the persons turned, to stand after "The customer said that"."""
    return _small_start(_persons(plain(text), _FROM_CUSTOMER))


def agent_clause(text: str) -> str:
    """An agent's words with the persons turned."""
    return _small_start(_persons(plain(text), _FROM_AGENT))


def _small_start(text: str) -> str:
    first = text.split(" ", 1)[0] if text else ""
    return text[:1].lower() + text[1:] if first[1:].islower() or first in ("I", "A") else text


def retold(sentence: Sentence, analysis: Analysis, limit: int = 28) -> str:
    """The sentence as a clause in the third person, in at most `limit` words. Other languages stay as they are."""
    if analysis.language != "en":
        return shortened(plain(sentence.text), limit)
    clause = customer_clause(sentence.text) if sentence.role is Role.CUSTOMER else agent_clause(sentence.text)
    return shortened(clause, limit)


def customer_statement(sentence: Sentence, analysis: Analysis, *, first: bool, limit: int) -> str | None:
    """A whole sentence that tells what the customer said or asked; None when it cannot be turned."""
    subject = "The customer" if first else "They"
    text = plain(sentence.text)
    if not words(text.lower()) or _COURTEOUS.match(text):
        return None
    if analysis.language != "en":
        return f"{subject} wrote: “{shortened(text, limit)}”." if first else f"Then: “{shortened(text, limit)}”."
    asked = _request(text, subject, limit)
    if asked is not None:
        return asked
    text = re.sub(r",? ?\bplease\b,? ?", " ", text).strip()
    clause = customer_clause(text)
    starts_with_self = re.match(r"(?:i|we|my|our)\b", text, re.IGNORECASE)
    if (sentence.question and not starts_with_self) or _WH.match(clause) or _WHETHER.match(clause):
        return _question(text, subject, limit)
    if _is_heading(sentence, analysis):
        return f"{subject} got in touch about “{shortened(text, limit)}”."
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


def _statement(clause: str, subject: str, *, first: bool) -> str:
    if _NO_SUBJECT.match(clause):
        clause = f"they {clause}"
    if clause.startswith("they "):
        said = "said they " if first else ""
        return f"{subject} {said}{clause[5:]}."
    return f"{subject} said that {clause}." if first else f"{clause[:1].upper()}{clause[1:]}."


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


_ASKS_CUSTOMER = re.compile(r"^(?:could|can|would|will) you (?:please )?|^please ", re.IGNORECASE)


def agent_statement(sentence: Sentence, analysis: Analysis, limit: int) -> str | None:
    """A whole sentence that tells what the agent said, did or asked for."""
    text = plain(sentence.text)
    if len(words(text.lower())) < 3 or _COURTEOUS.match(text):
        return None
    if analysis.language != "en":
        return f"The agent answered: “{shortened(text, limit)}”."
    if (asks := _ASKS_CUSTOMER.match(text)) is not None:
        return f"The agent asked the customer to {shortened(agent_clause(text[asks.end() :]), limit)}."
    clause = shortened(agent_clause(text), limit)
    if clause.startswith(("the agent ", "the company ", "the customer ")):
        return f"{clause[:1].upper()}{clause[1:]}."
    return f"The agent said that {clause}."
