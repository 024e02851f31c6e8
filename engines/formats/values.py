"""Values of a sender's own form as canonical ones: texts, stamps, numbers, words."""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from domain.conversation import MetadataValue
from domain.errors import InvalidInput
from domain.strict_json import MalformedBody
from domain.times import canonical_stamp

LONGEST_ID = 200
"""Characters of an id that is kept as it is; a longer one becomes its hash."""

_SECONDS_BELOW = 1e11  # the year 5138 in seconds, 1973 in milliseconds
_MILLISECONDS_BELOW = 1e14
_MICROSECONDS_BELOW = 1e17
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_TEXT = re.compile(r"\d{9,17}(\.\d{1,9})?")
_SLASHED = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})(.*)", re.DOTALL)
_ZONE_NAME = re.compile(r"\s?(UTC|GMT)$", re.IGNORECASE)
_LONGEST_STAMP = 100
_SURROGATES = re.compile("[\ud800-\udfff]")
_INTEGER_DIGITS = 18
_LARGEST_INTEGER = 2**63 - 1


class Unfit(Exception):
    """A value that is not what is asked for; its text says why and holds nothing of it."""


def payload_of(body: bytes) -> Any:
    """The JSON value a sender's system wrote, read more generously than a canonical one: what it holds besides what is
    mapped is harmless.

    Numbers no database holds become texts, NaN and Infinity null, of a key that comes twice the last counts. Raises
    MalformedBody.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedBody.of("body", f"is not UTF-8 at byte {error.start}") from None
    try:
        return json.loads(text, parse_constant=lambda name: None, parse_float=_float, parse_int=_integer)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedBody.of("body", f"is not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise MalformedBody.of("body", "is nested too deeply") from None


def text_of(value: Any) -> str | None:
    """A text; numbers and truth values are written as one, what is empty is None. Raises Unfit."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (str, int, float)):
        return _SURROGATES.sub("\ufffd", str(value).replace("\0", ""))
    raise Unfit(f"is {_kind(value)}, not a text")


def short_of(value: Any, characters: int) -> str | None:
    """As `text_of`, on one line and cut to so many characters. Raises Unfit."""
    text = text_of(value)
    return cut(" ".join(text.split()), characters) or None if text else None


def cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


def id_of(value: Any, characters: int = LONGEST_ID) -> str | None:
    """As `text_of`; an id that is too long is its hash. Raises Unfit."""
    text = text_of(value)
    text = text.strip() if text else None
    if text and len(text) > characters:
        return f"sha256:{_hash(text)[:32]}"
    return text or None


def person_id(given: str) -> str:
    """The id of a participant. Ids are seen wherever turns are, so one that is a mail address is replaced by a hash."""
    return f"person-{_hash(given.strip().lower())[:16]}" if "@" in given else given


def texts_of(value: Any, most: int, characters: int) -> tuple[tuple[str, ...], int]:
    """Short texts of a list or of one value, each once, and how many there were no room for. Raises Unfit."""
    values = value if isinstance(value, list) else [value]
    texts = dict.fromkeys(text for one in values if (text := short_of(one, characters)))
    return tuple(texts)[:most], max(0, len(texts) - most)


def metadata_of(value: Any) -> MetadataValue | None:
    """A text, number or truth value; a list of them as one text. Raises Unfit."""
    if isinstance(value, list):
        parts = [text for one in value if (text := text_of(one))]
        return cut(", ".join(parts), 2000) or None
    if isinstance(value, str) or value is None:
        text = text_of(value)
        return cut(text.strip(), 2000) or None if text else None
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else str(value)
    raise Unfit(f"is {_kind(value)}, not a text, number or truth value")


def whole_of(value: Any) -> int | None:
    """A whole number, also when it is written as a text. Raises Unfit."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            raise Unfit("is a text, not a number") from None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return round(value)
    raise Unfit(f"is {_kind(value)}, not a number")


def stamp_of(value: Any, formats: Sequence[str] = ()) -> str | None:
    """An ISO 8601 stamp. Read are: the formats given (`strptime`), ISO 8601, `2026/3/1`, seconds, milliseconds and
    microseconds since 1970, dates as in emails. Without offset it stays without. Raises Unfit."""
    if value is None or value == "":
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _since_1970(float(value))
    if not isinstance(value, str):
        raise Unfit(f"is {_kind(value)}, not a time")
    text = value.strip()[:_LONGEST_STAMP]
    if not text:
        return None
    for pattern in formats:
        try:
            return datetime.strptime(text, pattern).isoformat()  # noqa: DTZ007 - the source's zone is assumed later
        except (ValueError, re.error, OverflowError):
            continue
    if _EPOCH_TEXT.fullmatch(text):
        return _since_1970(float(text))
    stamp = _iso(text) or mail_date(text)
    if stamp is None:
        raise Unfit("is not a time that can be read; see time_formats")
    return stamp


def moment_of(value: Any, formats: Sequence[str] = ()) -> datetime | None:
    """As `stamp_of`, as a moment: one without offset in UTC, good for differences only. Raises Unfit."""
    stamp = stamp_of(value, formats)
    if stamp is None:
        return None
    moment = datetime.fromisoformat(canonical_stamp(stamp) or stamp)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def mail_date(text: str) -> str | None:
    """The stamp of a date as in emails (RFC 5322), None when it cannot be read."""
    try:
        moment = parsedate_to_datetime(text[:_LONGEST_STAMP])
        stamp = moment.isoformat()
        canonical_stamp(stamp)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError, InvalidInput):
        return None
    return stamp


def _iso(text: str) -> str | None:
    slashed = _SLASHED.fullmatch(text)
    if slashed:
        text = f"{slashed[1]}-{slashed[2]:0>2}-{slashed[3]:0>2}{slashed[4]}"
    text = _ZONE_NAME.sub("Z", text)
    try:
        canonical_stamp(text)
    except InvalidInput:
        return None
    return text if len(text) <= 40 else None


def _since_1970(number: float) -> str:
    size = abs(number)
    if not math.isfinite(number) or size >= _MICROSECONDS_BELOW:
        raise Unfit("is a number too large for a time")
    unit = 1.0 if size < _SECONDS_BELOW else 1e-3 if size < _MILLISECONDS_BELOW else 1e-6
    try:
        moment = _EPOCH + timedelta(seconds=number * unit)
    except OverflowError:
        raise Unfit("is a number too large for a time") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _float(digits: str) -> float | str:
    number = float(digits)
    return digits if math.isinf(number) else number


def _integer(digits: str) -> int | str:
    if len(digits) <= _INTEGER_DIGITS:
        return int(digits)
    if len(digits) > 20 or abs(int(digits)) > _LARGEST_INTEGER:
        return digits
    return int(digits)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    names = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number"}
    return names.get(type(value), "something else")
