"""Stamps: what a sender wrote as a time, and the moment it is taken for. Every guess is a note.

Nothing here reads the clock: the time of receipt is handed in, so a repeated run gives the same answer.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.conversation import Note
from domain.errors import InvalidInput

FUTURE_TOLERANCE = timedelta(days=1)
"""A stamp this far after its receipt or further cannot be right. Less is a wrong time zone or a drifting clock."""

FAR_PAST = timedelta(days=20 * 365)
"""A stamp this long before its receipt is said: an old archive, or a clock that was never set."""

_CLOCKS_BEGIN = datetime(1971, 1, 1, tzinfo=UTC)
"""Before this a stamp is an unset clock (zero seconds since 1970, year 1), never a customer conversation."""

_STAMP = re.compile(
    r"(?P<date>\d{4}-?\d\d-?\d\d|\d{4}-?W\d\d-?\d)"
    r"(?:[T ](?P<time>\d\d(?::?\d\d(?::?(?P<second>\d\d)(?:[.,]\d+)?)?)?)"
    r"\s?(?P<offset>Z|[+-]\d\d(?::?\d\d)?)?)?"
)


class TimeNote(StrEnum):
    """The stable codes of notes about times."""

    ZONE_ASSUMED = "time_zone_assumed"
    ZONE_UNKNOWN = "time_zone_unknown"
    AMBIGUOUS = "time_ambiguous"
    DOES_NOT_EXIST = "time_does_not_exist"
    OF_DAY_MISSING = "time_of_day_missing"
    MISSING = "time_missing"
    IN_FUTURE = "time_in_future"
    FAR_PAST = "time_far_past"


@dataclass(frozen=True)
class StampContext:
    """What a stamp is read against: the time of receipt (aware) and the zones to assume, best first (IANA names)."""

    received_at: datetime
    source_zone: str | None = None
    tenant_zone: str = "UTC"


@dataclass(frozen=True)
class Stamp:
    """A moment. at: UTC. offset_minutes: east of UTC, as sent or as assumed.

    reliable is False when `at` is only the time of receipt, because there was no stamp or an impossible one.
    """

    at: datetime
    offset_minutes: int
    notes: tuple[Note, ...] = ()
    reliable: bool = True


def read_stamp(stamp: str | None, context: StampContext, *, field: str = "at") -> Stamp:
    """Reads an ISO 8601 stamp.

    Without offset: the source's zone, else the tenant's, with a note; an hour that a clock change skips or repeats
    is said. Without stamp, or with one that is impossible (more than a day after receipt, before 1971): the time of
    receipt, with a note. Raises InvalidInput naming `field` when the text is no ISO 8601 date.
    """
    received = context.received_at.astimezone(UTC)
    if stamp is None:
        note = _note(TimeNote.MISSING, "No time was given; the time of receipt is used.")
        return Stamp(received, 0, (note,), reliable=False)
    moment, notes = _aware(stamp, context, field)
    at = _to_utc(moment, field)
    offset = int((moment.utcoffset() or timedelta()).total_seconds() // 60)
    if at > received + FUTURE_TOLERANCE:
        note = _note(TimeNote.IN_FUTURE, f"{stamp} is after the time of receipt, which is used instead.")
        return Stamp(received, 0, (*notes, note), reliable=False)
    if at < _CLOCKS_BEGIN:
        note = _note(TimeNote.FAR_PAST, f"{stamp} reads like a clock that was not set; the time of receipt is used.")
        return Stamp(received, 0, (*notes, note), reliable=False)
    if at < received - FAR_PAST:
        notes.append(_note(TimeNote.FAR_PAST, f"{stamp} is more than 20 years before the time of receipt; kept."))
    return Stamp(at, offset, tuple(notes))


def canonical_stamp(stamp: str | None, *, field: str = "at") -> str | None:
    """One text for equal stamps, whatever their format. A stamp without offset keeps lacking one (`…` ends without Z).

    Raises InvalidInput naming `field` when the text is no ISO 8601 date.
    """
    if stamp is None:
        return None
    moment, _ = _parse(stamp, field)
    if moment.tzinfo is None:
        return moment.isoformat()
    return _to_utc(moment, field).isoformat().replace("+00:00", "Z")


def seconds_between(start: str | None, end: str | None) -> float | None:
    """How long it is from one stamp to the other; None when that cannot be told without a zone, or is negative."""
    if start is None or end is None:
        return None
    try:
        first, last = _parse(start, "start")[0], _parse(end, "end")[0]
    except InvalidInput:
        return None
    if (first.tzinfo is None) != (last.tzinfo is None):
        return None
    seconds = (last - first).total_seconds()
    return seconds if seconds >= 0 else None


def is_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone this machine knows."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _aware(stamp: str, context: StampContext, field: str) -> tuple[datetime, list[Note]]:
    moment, notes = _parse(stamp, field)
    if moment.tzinfo is not None:
        return moment, notes
    zone, whose = _zone(context, notes)
    notes.append(_note(TimeNote.ZONE_ASSUMED, f"No offset was given; {whose} time zone {zone.key} is assumed."))
    first, second = moment.replace(tzinfo=zone, fold=0), moment.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first, notes
    there_and_back = _to_utc(first, field).astimezone(zone).replace(tzinfo=None)
    if there_and_back == moment:
        notes.append(_note(TimeNote.AMBIGUOUS, f"{stamp} occurs twice in {zone.key}; the first one is taken."))
    else:
        detail = f"{stamp} does not exist in {zone.key}: clocks were put forward; read as {there_and_back:%H:%M}."
        notes.append(_note(TimeNote.DOES_NOT_EXIST, detail))
    return first, notes


def _zone(context: StampContext, notes: list[Note]) -> tuple[ZoneInfo, str]:
    for name, whose in ((context.source_zone, "the source's"), (context.tenant_zone, "the tenant's")):
        if name is None:
            continue
        if is_zone(name):
            return ZoneInfo(name), whose
        notes.append(_note(TimeNote.ZONE_UNKNOWN, f"The zone {name[:60]!r} ({whose}) is not known here."))
    return ZoneInfo("UTC"), "the default"


def _parse(stamp: str, field: str) -> tuple[datetime, list[Note]]:
    text = stamp.strip().upper()
    found = _STAMP.fullmatch(text)
    if found is None:
        raise InvalidInput.of(field, "not an ISO 8601 date and time")
    leap_second = found["second"] == "60"
    if leap_second:
        at = found.start("second")
        text = f"{text[:at]}59{text[at + 2 :]}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput.of(field, "not a date and time that exists") from error
    if leap_second:
        moment += timedelta(seconds=1)
    notes = []
    if found["time"] is None:
        notes.append(_note(TimeNote.OF_DAY_MISSING, f"{stamp} has no time of day; midnight is used."))
    return moment, notes


def _to_utc(moment: datetime, field: str) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput.of(field, "not a date and time that exists") from error


def _note(code: TimeNote, detail: str) -> Note:
    return Note(code=code.value, detail=detail)
