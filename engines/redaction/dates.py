"""Dates as people write and say them: masked where the words say that they are of birth, else kept."""

import re
from collections.abc import Sequence

from engines.redaction.numbers import DigitRun

_MONTHS = (
    r"jan(?:uary|uar|vier|uari)?|feb(?:ruary|ruar|ruari)?|mar(?:ch|zo|s)?|märz|mrz|apr(?:il)?|may|mai|mei|june?|juni|juin"
    r"|july?|juli|juillet|aug(?:ust|ustus)?|sept?(?:ember)?|oct(?:ober|obre)?|okt(?:ober)?|nov(?:ember|embre)?|dec(?:ember)?"
    r"|dez(?:ember)?|enero|febrero|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|février|avril|août"
    r"|septembre|octobre|décembre|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|janeiro"
    r"|fevereiro|março|maio|junho|julho|setembro|outubro|novembro|dezembro|maart|januari|februari|augustus"
)
_ORDINALS = (
    r"(?:(?:twenty|thirty)[\s-])?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|tenth|eleventh|twelfth"
    r"|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth"
)
_UNITS = r"(?:one|two|three|four|five|six|seven|eight|nine)"
_TEENS = r"(?:ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)"
_TENS = r"(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_TO_99 = rf"(?:{_TENS}(?:[\s-]{_UNITS})?|{_TEENS}|(?:oh|o)[\s-]{_UNITS}|{_UNITS})"
_SPOKEN_YEAR = rf"(?:(?:nineteen|twenty)[\s-]{_TO_99}|two thousand(?: and)?(?:[\s-]{_TO_99})?|nineteen hundred)"
_DAY = rf"(?:\d{{1,2}}(?:st|nd|rd|th|\.|er|º|ª)?|{_ORDINALS}|{_TO_99})"
_YEAR = rf"(?:(?:19|20)\d\d|'?\d\d|{_SPOKEN_YEAR}|{_TENS}[\s-]{_UNITS})"
_OF = r"(?:\s(?:of|de|del|the))?"

_DATES = (
    re.compile(r"(?<![\d/.-])\d{1,2}\s?[/.-]\s?\d{1,2}\s?[/.-]\s?(?:\d{4}|\d{2})(?![\d/-])"),
    re.compile(r"(?<![\d/.-])(?:19|20)\d\d[/.-]\d{1,2}[/.-]\d{1,2}(?![\d/-])"),
    re.compile(r"(?:19|20)\d\d\s?年\s?\d{1,2}\s?月\s?\d{1,2}\s?日|(?:19|20)\d\d\s?년\s?\d{1,2}\s?월\s?\d{1,2}\s?일"),
    re.compile(rf"\b(?:{_MONTHS})\b\.?,?(?:\sthe)?\s{_DAY}\b(?:,?{_OF}\s{_YEAR}\b)?", re.IGNORECASE),
    re.compile(rf"\b{_DAY}{_OF}[\s.-](?:{_MONTHS})\b\.?(?:,?{_OF}[\s-]{_YEAR}\b)?", re.IGNORECASE),
)


def written_dates(text: str) -> list[tuple[int, int]]:
    """(start, end) of each date with a month in words or the form of a date."""
    return [match.span() for pattern in _DATES for match in pattern.finditer(text)]


def date_spans(text: str, runs: Sequence[DigitRun]) -> list[tuple[int, int]]:
    """Written dates, and digits read out as one (`oh three seventeen nineteen eighty four`)."""
    spoken = [(run.start, run.end) for run in runs if run.spoken and len(run.digits) in (6, 7, 8)]
    return [*written_dates(text), *spoken]
