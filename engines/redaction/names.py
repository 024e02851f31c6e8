"""People's names that a turn itself gives away: said in so many words, or given as the answer to a question."""

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile

from domain.turns import MaskKind
from engines.redaction.keywords import NO_NAME, Topic
from engines.redaction.name_patterns import CASED, EAST_ASIAN, INTRODUCED, LEAD_IN, SAID, SET_OFF, SPELLED, WORD
from engines.redaction.spans import Span
from engines.redaction.topics import Heard
from engines.redaction.words import (
    ACKNOWLEDGEMENTS,
    NAME_AND_WORD,
    NO_NAME_AFTER_GREETING,
    ORGANISATION_WORDS,
    REFUSALS,
    is_common,
)

_NAME_WORD = re.compile(WORD)
_COMPANY_AFTER = re.compile(r"\s?(?:&|\w+\.(?:com|net|org))|\sand\s[A-Z]\w+,")
_MOST_NAME_WORDS = 4
_SHORT_NAME_WORDS = 2
"""An answer of two words is a name although one of them is an ordinary word too (`david slow`)."""

_NEVER_IN_NAME = frozenset(
    """
    a an and are as at be but by can for from had has have he her his how i if in is it its my no not of on or our she
    so that the their they this to was we were what when where which who why will with would you your please just
    """.split()  # noqa: SIM905
)


def said_names(heard: Heard) -> list[Span]:
    """Names that a turn says are names (`my name is …`, `Ms …`), or gives as the answer to the question for one."""
    text = heard.turn.text
    spans = [span for found in _matches(CASED, text) if (span := _person(found, cased=True))]
    spans += [span for found in _matches(SAID, text) if not _of_thing(found) and (span := _person(found, cased=False))]
    spans += [
        Span(*found.span("name"), MaskKind.NAME)
        for found in INTRODUCED.finditer(text)
        if not any(is_common(word) or word.lower().endswith(_NO_NAME_ENDINGS) for word in found["name"].split())
    ]
    spans += [Span(*found.span("name"), MaskKind.NAME) for found in EAST_ASIAN.finditer(text)]
    asked = Topic.NAME in heard.asked
    if asked or any(m.topic is Topic.NAME for m in heard.mentions):
        spans += [Span(*found.span(), MaskKind.NAME) for found in _matches(SPELLED, text)]
    if asked:
        spans += _answer(text)
    return spans


_NO_NAME_ENDINGS = ("ing", "ed", "ly", "ful", "ous", "able", "ible", "less", "ish", "ive", "ic")


def _of_thing(found: re.Match[str]) -> bool:
    """`city name is …`, `company name …`."""
    return any(
        barred.start() < found.start("name") and barred.end() > found.start()
        for barred in NO_NAME.finditer(found.string, max(0, found.start() - 15), found.start("name"))
    )


def _matches(patterns: Iterable[re.Pattern[str]], text: str) -> Iterator[re.Match[str]]:
    for pattern in patterns:
        yield from pattern.finditer(text)


def _person(found: re.Match[str], *, cased: bool) -> Span | None:
    """The part of the match that is a name: words up to the first that is none. None when nothing is left."""
    kept: list[re.Match[str]] = []
    for word in _NAME_WORD.finditer(found.string, *found.span("name")):
        plain = word.group().lower()
        if kept and plain in ORGANISATION_WORDS:
            return None
        if cased and not kept and word.group()[0].islower() and plain not in _PARTICLES:
            return None
        if not _can_be_name(word.group(), after_name=bool(kept)) or (not kept and plain in NO_NAME_AFTER_GREETING):
            break
        kept.append(word)
    while kept and kept[-1].group().lower() in _PARTICLES:
        kept.pop()
    if not kept or _COMPANY_AFTER.match(found.string, kept[-1].end()):
        return None
    return Span(kept[0].start(), kept[-1].end(), MaskKind.NAME)


_PARTICLES = frozenset(
    ("de", "van", "von", "der", "den", "del", "della", "di", "da", "la", "al", "bin", "mac", "mc", "st")
)


def _can_be_name(word: str, *, after_name: bool) -> bool:
    """No ordinary word, or one that is a name too and is written or placed as one."""
    if not is_common(word):
        return True
    return word.lower() in NAME_AND_WORD and (word[0].isupper() or after_name)


def _answer(text: str) -> Iterator[Span]:
    """The name in an answer: the words after `sure, it's`, if the answer is short or they are set off."""
    lowered = text.lower().replace("’", "'")
    if text.rstrip().endswith("?") or any(refusal in lowered for refusal in REFUSALS):
        return
    lead = LEAD_IN.match(text)
    at = lead.end() if lead else 0
    words: list[re.Match[str]] = []
    for word in _NAME_WORD.finditer(text, at):
        gap = text[words[-1].end() : word.start()] if words else text[at : word.start()]
        if gap.strip(" .") or word.group().lower() in _NEVER_IN_NAME or len(words) == _MOST_NAME_WORDS:
            break
        words.append(word)
    if len(words) > _SHORT_NAME_WORDS or all(is_common(word.group()) for word in words):
        words = list(takewhile(lambda word: _can_be_name(word.group(), after_name=word is not words[0]), words))
    if not words or {word.group().lower() for word in words} <= ACKNOWLEDGEMENTS:
        return
    end = words[-1].end()
    cased = all(word.group()[0].isupper() for word in words)
    if cased or not text[end : end + 20].strip(" .!") or SET_OFF.match(text, end):
        yield Span(words[0].start(), words[-1].end(), MaskKind.NAME)
