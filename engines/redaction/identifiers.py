"""Numbers that identify: what they are follows from their form, the words beside them and the question before.

Order, booking, ticket and tracking numbers are kept: see docs/personal-data.md.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import phonenumbers

from domain.turns import MaskKind
from engines.redaction.context import Governing, governing
from engines.redaction.dates import written_dates
from engines.redaction.keywords import KIND_OF_TOPIC, Topic
from engines.redaction.numbers import DigitRun, is_card
from engines.redaction.spans import Span
from engines.redaction.topics import Heard

_FEWEST_DIGITS = {
    Topic.CARD: 3,
    Topic.CODE: 3,
    Topic.SECRET: 3,
    Topic.PASSWORD: 3,
    Topic.ACCOUNT: 4,
    Topic.USERNAME: 3,
    Topic.NATIONAL_ID: 4,
    Topic.PHONE: 4,
    Topic.POSTCODE: 4,
    Topic.ADDRESS: 5,
    Topic.EMAIL: 6,
    Topic.NAME: 6,
}
_FEWEST_UNLINKED = 6
"""Digits a number needs to be governed by a keyword that other words stand in between."""

_FEWEST_IN_LONG_ANSWER = 4
_SHORT_ANSWER_WORDS = 5

_UNTOLD_DIGITS = 8
"""A number this long that nothing explains is masked: better a lost number than a leaked one."""

_WEIGHTY = (
    Topic.CARD,
    Topic.NATIONAL_ID,
    Topic.CODE,
    Topic.SECRET,
    Topic.PASSWORD,
    Topic.ACCOUNT,
    Topic.PHONE,
    Topic.USERNAME,
    Topic.POSTCODE,
    Topic.ADDRESS,
    Topic.EMAIL,
    Topic.NAME,
)
_SHORT_SECRETS = frozenset({Topic.CODE, Topic.PASSWORD, Topic.SECRET})
_NOT_DATES = frozenset({Topic.ACCOUNT, Topic.CARD, Topic.NATIONAL_ID, Topic.PHONE})
_OUTWEIGH_ORDER = frozenset({Topic.ACCOUNT, Topic.CARD, Topic.NATIONAL_ID, Topic.PHONE, Topic.PASSWORD, Topic.CODE})

_LAST_DIGITS = re.compile(
    r"(?:end(?:ing|s)?(?: in| with)?|last (?:four|4|three|3)(?: digits?)?(?: (?:is|are|of|on))?|final (?:four|digits)"
    r"|endet auf|endziffern?|letzten (?:vier|4)|terminad[oa] en|se terminant par)\b[^\d\n]{0,30}$",
    re.IGNORECASE,
)
_CARD_EXPIRY = re.compile(
    r"\b(?:exp(?:ir(?:y|es|ation|ing))?|valid (?:thru|until|to)|good thru|gültig bis|caduca|vence)\b(?: date)?(?: is)?"
    r"[\s.:]*(?:on |in )?(?P<date>(?:0?[1-9]|1[0-2])\s?[/.-]\s?(?:20)?\d\d)\b",
    re.IGNORECASE,
)
_YEAR_BEFORE = re.compile(r"\b(?:in|since|from|until|till|of|year|seit|depuis|desde)\s$", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_DATE_GROUPS = frozenset({(2, 2, 4), (1, 2, 4), (2, 1, 4), (1, 1, 4), (4, 2, 2), (2, 2, 2), (1, 2, 2), (2, 1, 2)})
_NANP = (3, 3, 4)
_REGIONS = {
    "en": ("US", "GB"),
    "de": ("DE", "AT", "CH"),
    "fr": ("FR", "BE", "CH"),
    "es": ("ES", "MX"),
    "it": ("IT",),
    "pt": ("BR", "PT"),
    "nl": ("NL", "BE"),
    "sv": ("SE",),
    "pl": ("PL",),
    "cs": ("CZ",),
    "tr": ("TR",),
    "ru": ("RU",),
    "uk": ("UA",),
    "ja": ("JP",),
    "ko": ("KR",),
    "zh": ("CN",),
    "hi": ("IN",),
    "ar": ("AE", "SA", "EG"),
    "he": ("IL",),
}


class _Keep(Enum):
    KEEP = "keep"


KEEP = _Keep.KEEP
Verdict = MaskKind | _Keep | None
"""What a rule says of a number: its kind, KEEP when it is nobody's secret, None when the rule has nothing to say."""


@dataclass(frozen=True)
class _Case:
    heard: Heard
    run: DigitRun
    language: str | None
    governing: Governing


def number_spans(heard: Heard, runs: Sequence[DigitRun], language: str | None) -> list[Span]:
    """Spans of the turn's digit runs that are personal, and of card expiry dates."""
    spans = [Span(*found.span("date"), MaskKind.CARD) for found in _CARD_EXPIRY.finditer(heard.turn.text)]
    dates = written_dates(heard.turn.text) if runs else []
    for run in runs:
        case = _Case(heard, run, language, governing(heard, run.start, run.end))
        if _is_date(case, dates):
            continue
        verdict = next((said for rule in _RULES if (said := rule(case)) is not None), None)
        if isinstance(verdict, MaskKind):
            spans.append(Span(run.start, run.end, verdict))
    return spans


def _is_date(case: _Case, dates: Iterable[tuple[int, int]]) -> bool:
    """Part of a written date; `sort code 20-10-11` says that it is none."""
    told = case.governing
    if told.named and told.linked and told.topics & _NOT_DATES:
        return False
    return any(start < case.run.end and case.run.start < end for start, end in dates)


def topics_by_weight(topics: Iterable[Topic]) -> list[Topic]:
    """The more sensitive first; ORDER and DATE_OF_BIRTH are none of them."""
    present = set(topics)
    return [topic for topic in _WEIGHTY if topic in present]


def _card(case: _Case) -> Verdict:
    return MaskKind.CARD if is_card(case.run.digits) and not case.run.plus else None


def _by_form(case: _Case) -> Verdict:
    if case.run.groups == (3, 2, 4) and case.run.text[0] != "(":
        return MaskKind.NATIONAL_ID
    if case.run.text.startswith("+") and len(case.run.digits) >= 7:
        return MaskKind.PHONE
    if case.run.digits.startswith("0") and 9 <= len(case.run.digits) <= 12 and not case.governing.named:
        return MaskKind.PHONE
    return None


def _last_digits(case: _Case) -> Verdict:
    heard, run = case.heard, case.run
    if len(run.digits) not in (3, 4):
        return None
    if not _LAST_DIGITS.search(heard.turn.text[max(0, run.start - 70) : run.start]):
        return None
    near = [m for m in heard.mentions if m.end <= run.start and run.start - m.end <= 80]
    near = near or [m for m in heard.mentions if 0 <= m.start - run.end <= 40]
    topics = {near[-1].topic} if near else set(heard.asked)
    for topic in (Topic.NATIONAL_ID, Topic.CARD, Topic.PHONE, Topic.ACCOUNT):
        if topic in topics:
            return KIND_OF_TOPIC[topic]
    return KEEP if Topic.ORDER in topics else MaskKind.ID_NUMBER


def _told(case: _Case) -> Verdict:
    """What the governing words say it is."""
    topics, digits = case.governing.topics, case.run.digits
    if Topic.ORDER in topics and not topics & _OUTWEIGH_ORDER:
        return KEEP
    if _is_year(case):
        return None
    fewest = 0 if case.governing.linked else _FEWEST_UNLINKED
    long_answer = not case.governing.named and len(case.heard.turn.text.split()) > _SHORT_ANSWER_WORDS
    if long_answer and not topics & _SHORT_SECRETS:
        fewest = max(fewest, _FEWEST_IN_LONG_ANSWER)
    for topic in topics_by_weight(topics):
        if len(digits) >= max(_FEWEST_DIGITS[topic], fewest):
            return MaskKind.ID_NUMBER if topic in (Topic.EMAIL, Topic.NAME) else KIND_OF_TOPIC[topic]
    return None


def _is_year(case: _Case) -> bool:
    """`since 2017`, `the 2026 schedule`; alone in an answer or beside its keyword it is a number."""
    text, run = case.heard.turn.text, case.run
    if not _YEAR.fullmatch(run.digits):
        return False
    return bool(_YEAR_BEFORE.search(text, max(0, run.start - 8), run.start)) or not (
        case.governing.linked and (case.governing.named or len(text) < 40)
    )


def _phone(case: _Case) -> Verdict:
    """Written the way phone numbers are written, or a valid number where the language is spoken."""
    run = case.run
    if not 7 <= len(run.digits) <= 15 or run.groups in _DATE_GROUPS:
        return None
    if run.groups in (_NANP, (1, *_NANP)) or (run.text.startswith("(") and len(run.digits) >= 9):
        return MaskKind.PHONE
    if run.spoken and len(run.digits) in (10, 11):
        return MaskKind.PHONE
    if len(run.groups) > 1 or run.digits.startswith("0") or len(run.digits) == 10:
        regions = _REGIONS.get(case.language or "en", ("US", "GB"))
        if any(_is_valid_phone(run.digits, region) for region in regions):
            return MaskKind.PHONE
    return None


def _is_valid_phone(digits: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False


def _untold(case: _Case) -> Verdict:
    """Long, and nothing says what it is."""
    run = case.run
    if run.groups in _DATE_GROUPS or all(_YEAR.fullmatch(part) for part in re.findall(r"\d+", run.text) or [""]):
        return None
    if max(run.groups) >= _UNTOLD_DIGITS or len(run.digits) > _UNTOLD_DIGITS:
        return MaskKind.ID_NUMBER
    return None


_RULES: tuple[Callable[[_Case], Verdict], ...] = (_card, _by_form, _last_digits, _told, _phone, _untold)
"""In this order; the first that has something to say decides."""


_PIECES = 8
_REMARK_WORDS = 8


def split_card_spans(
    conversation: Sequence[tuple[Heard, Sequence[DigitRun]]], add: Callable[[int, Span], None]
) -> None:
    """Card numbers read out over several turns of one speaker: whatever joins to a valid number is masked.

    A piece is a turn that is mostly digits, or one that answers the question for a card. Short remarks in between do
    not interrupt. `add` gets the turn's index and the span.
    """
    pieces: dict[str, list[tuple[int, DigitRun]]] = {}
    for index, (heard, runs) in enumerate(conversation):
        speaker = heard.turn.participant_id
        told = Topic.CARD in heard.asked or any(mention.topic is Topic.CARD for mention in heard.mentions)
        mostly_digits = sum(run.end - run.start for run in runs) * 2 >= len(heard.turn.text)
        if not (told or mostly_digits):
            if len(heard.turn.text.split()) > _REMARK_WORDS:
                pieces.pop(speaker, None)
            continue
        for run in runs:
            queue = pieces.setdefault(speaker, [])
            queue.append((index, run))
            del queue[:-_PIECES]
            _mask_joined(queue, add)


def _mask_joined(queue: Sequence[tuple[int, DigitRun]], add: Callable[[int, Span], None]) -> None:
    digits = ""
    for back in range(len(queue) - 1, -1, -1):
        digits = queue[back][1].digits + digits
        if len(digits) > 19:
            return
        if back < len(queue) - 1 and is_card(digits):
            for index, run in queue[back:]:
                add(index, Span(run.start, run.end, MaskKind.CARD))
            return
