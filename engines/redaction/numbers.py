"""Digits however they are written: `4242 4242`, `four two double four`, `forty-two`, `vier zwo`.

A run is a stretch of digits that belong together, with what stands between them left in place.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_UNITS: dict[str, dict[str, str]] = {
    "en": {
        "zero": "0", "oh": "0", "o": "0", "nought": "0", "one": "1", "two": "2", "three": "3", "four": "4",
        "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "niner": "9",
        "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14", "fifteen": "15",
        "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19",
    },
    "de": {"null": "0", "eins": "1", "zwei": "2", "zwo": "2", "drei": "3", "vier": "4", "fünf": "5", "sechs": "6",
           "sieben": "7", "acht": "8", "neun": "9"},
    "fr": {"zéro": "0", "un": "1", "deux": "2", "trois": "3", "quatre": "4", "cinq": "5", "six": "6", "sept": "7",
           "huit": "8", "neuf": "9"},
    "es": {"cero": "0", "uno": "1", "dos": "2", "tres": "3", "cuatro": "4", "cinco": "5", "seis": "6", "siete": "7",
           "ocho": "8", "nueve": "9"},
    "it": {"zero": "0", "uno": "1", "due": "2", "tre": "3", "quattro": "4", "cinque": "5", "sei": "6", "sette": "7",
           "otto": "8", "nove": "9"},
    "pt": {"zero": "0", "um": "1", "dois": "2", "três": "3", "quatro": "4", "cinco": "5", "seis": "6", "meia": "6",
           "sete": "7", "oito": "8", "nove": "9"},
    "nl": {"nul": "0", "een": "1", "één": "1", "twee": "2", "drie": "3", "vier": "4", "vijf": "5", "zes": "6",
           "zeven": "7", "acht": "8", "negen": "9"},
}  # fmt: skip
_TENS = {
    "twenty": "2", "thirty": "3", "forty": "4", "fourty": "4", "fifty": "5", "sixty": "6", "seventy": "7",
    "eighty": "8", "ninety": "9",
}  # fmt: skip
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
_SCALES = {"hundred": "00", "thousand": "000"}

_TOKEN = re.compile(r"(?P<digits>\d+)|(?P<word>[^\W\d_]+)")
_WRITTEN = re.compile(r"\w+(?:-\w+)*")
_CLOCK_OR_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th|am|pm)", re.IGNORECASE)
_BETWEEN = re.compile(
    r"(?:[ \t]?[-–./()]{1,2}[ \t]?|[ \t]{1,3}|,[ \t]|\.{1,3}[ \t]|[ \t]?\([ \t]?)"
    r"(?:(?:uh|um|erm?|and then|then|dash|hyphen|space|slash|bindestrich)[ \t,]{1,3})?|",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"[$£€¥₹]\s?\d[\d.,]*(?:\s?(?:k|m|million|thousand))?"
    r"|\b\d[\d.,]*\s?(?:[$£€¥₹%]|(?:usd|eur|gbp|chf|euros?|dollars?|bucks|pounds?|quid|pence|cents?|percent|prozent"
    r"|francs?|kronor|zł|rupees?|gb|mb|tb|kb|mbps|gbps|ghz|mhz|km|kg|lbs?|kwh|miles?|points?|px|p|am|pm)\b)"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?\b"
    r"|\b\d{1,3}(?:[.,]\d{3})+\b(?![.\-]?\d)"
    r"|(?<![\d.-])\d+\.\d{1,2}(?![\d.-])"
    r"|(?<![\w-])v(?:ersion)?\.?\s?\d+(?:\.\d+)*\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class DigitRun:
    """start, end: characters of the turn. digits: what they say. groups: the lengths of the written groups.

    spoken: some of it is in words. plus: it is written with a leading + or 00 of an international number.
    """

    start: int
    end: int
    digits: str
    groups: tuple[int, ...]
    spoken: bool
    text: str

    @property
    def plus(self) -> bool:
        return self.text.startswith("+") or (self.digits.startswith("00") and len(self.digits) > 9)


@dataclass(frozen=True)
class _Digits:
    start: int
    end: int
    digits: str
    spoken: bool


def digit_runs(text: str, language: str | None) -> list[DigitRun]:
    """All runs of a turn in order. Amounts, times of day, percentages and decimals are none; single words neither."""
    units = dict(_UNITS["en"]) if language in (None, "en") else {}
    units |= _UNITS.get(language or "", {})
    amounts = [found.span() for found in _AMOUNT.finditer(text)]
    runs: list[DigitRun] = []
    current: list[_Digits] = []
    for item in _items(text, units, tens=language in (None, "en")):
        if any(start < item.end and item.start < end for start, end in amounts):
            runs += _run(text, current)
            current = []
            continue
        if current and not _belongs(text, current[-1], item):
            runs += _run(text, current)
            current = []
        current.append(item)
    return runs + _run(text, current)


def _items(text: str, units: dict[str, str], *, tens: bool) -> Iterator[_Digits]:
    """Digit groups and number words in order; `double four` and `forty two` are one item each."""
    tokens = list(_tokens(text))
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token["digits"]:
            digits = "".join(str(int(digit)) for digit in token["digits"])  # other scripts have digits of their own
            yield _Digits(token.start(), token.end(), digits, spoken=False)
            at += 1
            continue
        value, used = _spoken(tokens, at, units, tens=tens)
        if value:
            yield _Digits(token.start(), tokens[at + used - 1].end(), value, spoken=True)
        at += max(used, 1)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """Groups of digits and words, without those inside a code such as `FR-189920`."""
    for written in _WRITTEN.finditer(text):
        code = any(map(str.isdigit, written.group())) and any(map(str.isalpha, written.group()))
        if not code or _CLOCK_OR_ORDINAL.fullmatch(written.group()):
            yield from _TOKEN.finditer(text, *written.span())


def _spoken(tokens: list[re.Match[str]], at: int, units: dict[str, str], *, tens: bool) -> tuple[str, int]:
    """(digits, tokens used) of the number words from here; ("", 0) when there are none."""
    word = tokens[at].group().lower()
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    after = following.group().lower() if following else ""
    if tens and word in _REPEATS and following:
        digit = units.get(after, after if following["digits"] else "")
        return (digit * _REPEATS[word], 2) if len(digit) == 1 else ("", 0)
    if tens and word in _TENS:
        unit = units.get(after, "")
        if len(unit) == 1 and unit != "0":
            return _TENS[word] + unit, 2
        return _TENS[word] + "0", 1
    value = units.get(word, "")
    if value and tens and after in _SCALES:
        return value + _SCALES[after], 2
    return (value, 1) if value else ("", 0)


def _belongs(text: str, last: _Digits, item: _Digits) -> bool:
    between = text[last.end : item.start]
    if "\n" in between or not _BETWEEN.fullmatch(between):
        return False
    if re.search(r"[,.][ \t]", between):  # a list or a new sentence, unless somebody reads out digit by digit
        return len(last.digits) <= 2 and len(item.digits) <= 2
    return True


def _run(text: str, items: list[_Digits]) -> list[DigitRun]:
    if not items:
        return []
    spoken = any(item.spoken for item in items)
    digits = "".join(item.digits for item in items)
    if all(item.spoken for item in items) and (len(items) < 2 or len(digits) < 3):
        return []
    start, end = items[0].start, items[-1].end
    while start and text[start - 1] in "+(":
        start -= 1
    return [DigitRun(start, end, digits, tuple(len(item.digits) for item in items), spoken, text[start:end])]


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 check digit."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether these can be a payment card's number: 13 to 19 digits, a known first digit, a right check digit."""
    return 13 <= len(digits) <= 19 and digits[0] in "23456" and len(set(digits)) > 1 and luhn(digits)
