"""Counts that dashboards read: what is counted, by which dimensions, and how days are cut.

Counts are kept by 15 minutes in UTC. A day is a day in the tenant's zone: it begins at its first instant there, so that
it has 23, 24 or 25 hours, or whatever the zone makes of it.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

CONVERSATIONS = "00000000-0000-0000-0000-000000000000"
"""In the place of a field's id: conversations themselves; the option is `channel/status`."""

UNKNOWN = "?"
"""Option of values that are honestly unknown. No option's id reads so, and no number."""

NOTHING = ""
"""Value of a dimension a conversation does not have; option of known values that have none (texts, days)."""

OTHER = "(other)"
"""Value of a dimension in combinations that came after there were MAX_SLICES of them."""

MAX_SLICES = 1_000
"""Combinations of dimensions kept apart per tenant."""

MAX_DAYS = 1_100
"""The longest range that is read at once."""


class Dimension(StrEnum):
    """What counts can be narrowed by."""

    CHANNEL = "channel"
    SOURCE = "source"
    QUEUE = "queue"
    TEAM = "team"
    LANGUAGE = "language"


Narrowing = Mapping[Dimension, tuple[str, ...]]
"""Values wanted of each dimension named; NOTHING for conversations without one. Not named: all of them."""


class Step(StrEnum):
    """How far apart the points of a trend are."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @classmethod
    def of(cls, days: int) -> "Step":
        """The finest one that gives some thirty points at most."""
        return cls.DAY if days <= 35 else cls.WEEK if days <= 200 else cls.MONTH


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both included, in a zone, cut into steps. Weeks begin on Monday."""

    first: date
    last: date
    zone: str
    step: Step

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def starts(self) -> tuple[date, ...]:
        """First day of each step, and at the end the day behind the period."""
        found = [self.first]
        while (following := _next(found[-1], self.step)) <= self.last:
            found.append(following)
        return (*found, self.last + timedelta(days=1))

    @property
    def instants(self) -> tuple[datetime, ...]:
        """When each of `starts` begins, in UTC."""
        zone = ZoneInfo(self.zone)
        return tuple(start_of(day, zone) for day in self.starts)

    def step_of(self, day: date) -> int:
        """Number of the step a day is in: 0, 1, 2 …"""
        return bisect_right(self.starts, day) - 1


@dataclass(frozen=True, slots=True)
class Counted:
    """One sum: how many values of a field had this option in one step, and for numbers what they add up to."""

    step: int
    field_id: str
    option: str
    count: int
    total: float


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """A day's first instant in a zone, in UTC. A day that a zone skips has none, and begins with the one after it."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def day_of(at: datetime, zone: ZoneInfo) -> date:
    """The day an instant is in: the last one that has begun."""
    day = at.astimezone(zone).date()
    following = day + timedelta(days=1)
    return following if start_of(following, zone) <= at else day


def _next(day: date, step: Step) -> date:
    if step is Step.DAY:
        return day + timedelta(days=1)
    if step is Step.WEEK:
        return day + timedelta(days=7 - day.weekday())
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
