"""Identifiers and secrets that are not numbers alone: user names, member codes, passwords, answers to security
questions, spelled or not."""

import re
from collections.abc import Iterator

from domain.turns import MaskKind
from engines.redaction.context import Governing, governing
from engines.redaction.identifiers import topics_by_weight
from engines.redaction.keywords import KIND_OF_TOPIC, Topic
from engines.redaction.spans import Span
from engines.redaction.topics import Heard
from engines.redaction.words import ACKNOWLEDGEMENTS, REFUSALS, is_common

_CODE = re.compile(r"(?<![\w@.-])(?=[\w-]*\d)(?=[\w-]*[^\W\d_])[^\W_][\w-]{2,38}[^\W_](?![\w@-])")
_MEASURE = re.compile(
    r"\d+(?:st|nd|rd|th|k|m|g|gb|mb|am|pm|x|days?|hours?|hrs?|minutes?|mins?|h|min|s|kg|cm|px|years?|months?|weeks?|er|ter)",
    re.IGNORECASE,
)
_REFERENCE_FORM = re.compile(r"(?:inv|ord|order|po|so|tkt|case|ref|rma|trk|bkg|sku)-?\d", re.IGNORECASE)
_PERSONAL = frozenset(
    {Topic.NATIONAL_ID, Topic.PASSWORD, Topic.CODE, Topic.SECRET, Topic.ACCOUNT, Topic.USERNAME, Topic.CARD}
)
_HANDLE = re.compile(
    r"\b(?:user ?name|user id|user|log-?in|handle|screen name|benutzername)\s*(?:is|:|=|ist)\s*[\"']?([\w.@-]{3,40})",
    re.IGNORECASE,
)
_ONE_WORD = re.compile(r"\W*([\w.-]{3,40})\W*")
_SECRET_SAID = re.compile(
    r"\b(?:pass\s?word|passcode|pass phrase|pin(?: code)?|one.?time (?:password|code|pin)|security (?:answer|word)"
    r"|secret (?:answer|word)|memorable word|maiden name|passwort|kennwort|contraseña|mot de passe|wachtwoord|senha)"
    r"(?:\s?(?:is|was|should be|would be|ist|war|lautet|es|est|è|é)\b\s*:?|\s?[:=])\s*"
    r"(?P<quote>[\"'“„‚‘«]?)(?P<secret>\S+(?:\s\d\S*)?)",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"(?:\W|\b(?:yes|yeah|yep|sure|ok|okay|so|well|um|uh|it's|its|it is|it was|that's|thats|that is|that would be"
    r"|i think|i believe|the answer is|the password is|my|password|pin|is|should be|would be|of course|oh|and|ja|es ist"
    r"|sí|es|oui|c'est)\b)*",
    re.IGNORECASE,
)
_LONGEST_SECRET_WORDS = 6


def code_spans(heard: Heard) -> list[Span]:
    """Codes of letters and digits that the words beside them or the question before make personal; user names."""
    spans = list(_handles(heard))
    for found in _CODE.finditer(heard.turn.text):
        told = governing(heard, found.start(), found.end())
        if not told.linked or _is_reference(found.group(), told) or _MEASURE.fullmatch(found.group()):
            continue
        kinds = [KIND_OF_TOPIC[topic] for topic in topics_by_weight(told.topics) if topic in _PERSONAL]
        if kinds:
            spans.append(Span(*found.span(), kinds[0]))
    return spans


def references(heard: Heard) -> Iterator[str]:
    """Codes that this turn calls an order, a booking and the like: they are kept wherever they stand."""
    for found in _CODE.finditer(heard.turn.text):
        told = governing(heard, found.start(), found.end())
        if told.named and _is_reference(found.group(), told):
            yield found.group()


def _is_reference(code: str, told: Governing) -> bool:
    if _REFERENCE_FORM.match(code):
        return True
    return Topic.ORDER in told.topics and not told.topics & {Topic.ACCOUNT, Topic.NATIONAL_ID, Topic.PASSWORD}


def secret_spans(heard: Heard) -> list[Span]:
    """Passwords, PINs and security answers: named (`the password is …`) or given as the answer to a question."""
    text = heard.turn.text
    spans: list[Span] = []
    for found in _SECRET_SAID.finditer(text):
        secret = found["secret"].rstrip(".,;!?\"'”“‘’»")
        if secret and (found["quote"] or not all(is_common(word) for word in secret.split())):
            spans.append(Span(found.start("secret"), found.start("secret") + len(secret), MaskKind.PASSWORD))
    if heard.asked & {Topic.SECRET, Topic.PASSWORD} and not spans:
        answer = _answer(text)
        if answer is not None:
            spans.append(Span(*answer, MaskKind.PASSWORD))
    return spans


def _handles(heard: Heard) -> Iterator[Span]:
    """User names without digits: after `username is`, or the only word of an answer."""
    text = heard.turn.text
    for found in _HANDLE.finditer(text):
        handle = found[1].rstrip(".-")
        if len(handle) > 2 and not is_common(handle):
            yield Span(found.start(1), found.start(1) + len(handle), MaskKind.ACCOUNT)
    only = _ONE_WORD.fullmatch(text)
    if only and Topic.USERNAME in heard.asked and not is_common(only[1]):
        yield Span(*only.span(1), MaskKind.ACCOUNT)


def _answer(text: str) -> tuple[int, int] | None:
    """Where a short answer to a security question stands, None when the turn does not answer it."""
    lowered = text.lower().replace("’", "'")
    if text.rstrip().endswith("?") or any(refusal in lowered for refusal in REFUSALS):
        return None
    lead = _LEAD_IN.match(text)
    start = lead.end() if lead else 0
    sentence = re.match(r"[^.!?\n]*", text[start:])
    said = (sentence.group() if sentence else "").rstrip(" ,;")
    words = said.split()
    if not words or len(words) > _LONGEST_SECRET_WORDS:
        return None
    plain = [word.strip(".,!'\"").lower() for word in words]
    if set(plain) <= ACKNOWLEDGEMENTS or (len(words) > 2 and all(is_common(word) for word in plain)):
        return None
    return start, start + len(said)
