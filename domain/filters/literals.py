"""Literals: from what is written to a typed value of the name's type, and back to text.

Durations are `15s`, `3m`, `2h`, `7d`, `2w`, `250ms` and compounds such as `1h30m`. Days are ISO dates, moments ISO
date-times; `now` and `today` take a distance: `now - 7d`.
"""

import math
import re
from datetime import date, datetime
from difflib import get_close_matches

from domain.filters.schema import FilterName
from domain.filters.tree import MAX_TEXT_VALUE, Base, Day, Duration, Literal, Moment, Relative
from domain.names import KEYWORDS, NameType

_UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PRINTED_UNITS = ("d", "h", "m", "s", "ms")
DAY_MS = _UNITS["d"]
MAX_DURATION_MS = 100 * 366 * DAY_MS
"""A century: more is a slip of the pen, and would leave the calendar."""

_FIRST_YEAR, _LAST_YEAR = 1900, 2999

DURATION_PATTERN = r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+"
DATE_PATTERN = r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
NUMBER_PATTERN = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"

_RELATIVE = re.compile(rf"(now|today)\s*(?:([+-])\s*({DURATION_PATTERN}))?", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_BARE_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class BadLiteral(ValueError):
    """Why a literal does not fit, in words for the person who wrote it. Becomes InvalidFilter with its column."""


def number(text: str) -> int | float:
    """A finite number, an int when whole."""
    return whole(float(text))


def whole(value: int | float) -> int | float:
    """The canonical number: finite, within a double, an int when it is whole and exact."""
    try:
        as_float = float(value)
    except OverflowError:
        raise BadLiteral("the number is too large") from None
    if not math.isfinite(as_float):
        raise BadLiteral("the number is too large")
    return int(as_float) if as_float.is_integer() and abs(as_float) < 2**53 else as_float


def duration(text: str) -> Duration:
    """`15s`, `1.5h`, `1h30m`."""
    if not re.fullmatch(DURATION_PATTERN, text):
        raise BadLiteral(f"`{_shown(text)}` is not a duration; write for example 15s, 3m or 2h")
    ms = sum(float(amount) * _UNITS[unit] for amount, unit in _DURATION_PART.findall(text))
    if ms > MAX_DURATION_MS:
        raise BadLiteral(f"`{_shown(text)}` is longer than a century")
    if not math.isclose(ms, round(ms), abs_tol=1e-6):
        raise BadLiteral(f"`{_shown(text)}` is finer than a millisecond")
    return Duration(round(ms))


def time(text: str) -> Day | Moment | Relative:
    """A day, a moment, or `now`/`today` with a distance."""
    if relative := _RELATIVE.fullmatch(text):
        base, sign, distance = relative.groups()
        ms = duration(distance).ms if distance else 0
        return relative_time(Base(base.lower()), -ms if sign == "-" else ms)
    if not re.fullmatch(DATE_PATTERN, text):
        raise BadLiteral(f"`{_shown(text)}` is not a date; write 2026-11-01, 2026-11-01T14:30 or now - 7d")
    try:
        when = Moment(datetime.fromisoformat(text)) if "T" in text else Day(date.fromisoformat(text))
    except ValueError:
        raise BadLiteral(f"`{_shown(text)}` is not in the calendar") from None
    if not _FIRST_YEAR <= int(text[:4]) <= _LAST_YEAR:
        raise BadLiteral(f"years go from {_FIRST_YEAR} to {_LAST_YEAR}")
    return when


def relative_time(base: Base, offset_ms: int) -> Relative:
    if base is Base.TODAY and offset_ms % DAY_MS:
        raise BadLiteral("today takes whole days; write for example today - 7d")
    return Relative(base, offset_ms)


def coerce(  # noqa: PLR0911, PLR0912 - one return a type
    name: FilterName, value: bool | int | float | str, *, quoted: bool
) -> Literal:
    """What was written, as a literal of the name's type.

    quoted: the writer said "this is text"; a bare word may also be `true`, `now`, … where the type asks for it.
    Raises BadLiteral.
    """
    key = name.name.key
    match name.name.type:
        case NameType.TEXT:
            return _text(value if isinstance(value, str) else _scalar_text(value))
        case NameType.OPTION:
            return _option(name, value)
        case NameType.NUMBER:
            if isinstance(value, bool | str):
                raise BadLiteral(f"{key} is a number, not `{_shown(_scalar_text(value))}`")
            return whole(value)
        case NameType.DURATION:
            if not isinstance(value, str):
                raise BadLiteral(f"{key} is a duration; write for example 15s, 3m or 2h")
            return duration(value)
        case NameType.INSTANT:
            return time(_written_time(key, value))
        case NameType.DAY:
            when = time(_written_time(key, value))
            if isinstance(when, Day) or (isinstance(when, Relative) and when.base is Base.TODAY):
                return when
            raise BadLiteral(f"{key} is a date; write 2026-11-01 or today - 7d")
        case NameType.FLAG:
            if isinstance(value, str) and value.lower() in ("true", "false"):
                return value.lower() == "true"
            if isinstance(value, bool):
                return value
            raise BadLiteral(f"{key} is true or false")
        case NameType.META:
            return _metadata(value, quoted=quoted)


def _metadata(value: bool | int | float | str, *, quoted: bool) -> Literal:
    if isinstance(value, str):
        if not quoted and value.lower() in ("true", "false"):
            return value.lower() == "true"
        return _text(value)
    return value if isinstance(value, bool) else whole(value)


def _written_time(key: str, value: bool | int | float | str) -> str:
    if not isinstance(value, str):
        raise BadLiteral(f"{key} is a time; write 2026-11-01, 2026-11-01T14:30 or now - 7d")
    return value


def _text(value: str) -> str:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise BadLiteral("the text has a character that no text can have")
    if not value.strip():
        raise BadLiteral("the text is empty; for a missing value write `not … exists`")
    if len(value) > MAX_TEXT_VALUE:
        raise BadLiteral(f"the text is longer than {MAX_TEXT_VALUE:,} characters")
    return value


def _option(name: FilterName, value: bool | int | float | str) -> str:
    written = _scalar_text(value)
    found = name.options.get(written) or name.options.get(written.strip().casefold())
    if found is not None:
        return found
    near = next(iter(get_close_matches(written.casefold(), name.options, n=1, cutoff=0.6)), None)
    if near is not None:
        hint = f", did you mean `{name.options[near]}`?"
    else:
        shown = ", ".join(name.option_ids[:12])
        hint = f"; it is one of {shown}{', …' if len(name.option_ids) > 12 else ''}"
    raise BadLiteral(f"`{_shown(written)}` is not an option of {name.name.key}{hint}")


def _shown(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"


def _scalar_text(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number_text(whole(value))


def number_text(value: int | float) -> str:
    """The canonical spelling of a canonical number."""
    return str(value) if isinstance(value, int) else repr(value)


def plain(value: Literal) -> bool | int | float | str:
    """The literal as JSON has it: scalars as they are, times and durations in their text form."""
    match value:
        case Duration(ms):
            return duration_text(ms)
        case Day(day):
            return day.isoformat()
        case Moment(at):
            return at.isoformat()
        case Relative(base, offset):
            if not offset:
                return base.value
            return f"{base.value} {'-' if offset < 0 else '+'} {duration_text(abs(offset))}"
        case _:
            return value


def text_of(value: Literal) -> str:
    """The literal as the text form has it."""
    if isinstance(value, str):
        bare = _BARE_WORD.fullmatch(value) and value.lower() not in KEYWORDS
        return value if bare else quote(value)
    written = plain(value)
    return written if isinstance(written, str) else _scalar_text(written)


def duration_text(ms: int) -> str:
    """In the largest unit that gives a whole number."""
    if ms == 0:
        return "0s"
    return next(f"{ms // _UNITS[unit]}{unit}" for unit in _PRINTED_UNITS if ms % _UNITS[unit] == 0)


_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(value: str) -> str:
    """A quoted text of the filter language."""
    return "'" + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _unicode(c)) for c in value) + "'"


def _unicode(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
