"""One Custom Field on the dashboard: an average or a distribution, its parts, and how it went over time."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from domain.conversation import Frozen
from domain.fields import Aggregate, CustomField, FieldType, Threshold
from domain.rollups import NOTHING, UNKNOWN, Counted, Period
from services.which import Which

MAX_PLACES = 12
"""A number without thresholds is shown value by value up to so many different ones."""

_NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL)
_CHOICES = (FieldType.CHOICE, FieldType.MULTI_CHOICE, FieldType.BOOLEAN)


class Part(Frozen):
    """A bucket of a number, or an option: how many values are in it. share: of the known values, 0 … 1.

    where: the filter that lists these conversations.
    """

    id: str
    label: str
    colour: str | None
    count: int
    share: float
    where: str | None


class Point(Frozen):
    """One step of the trend. counts: by the parts' ids."""

    first: date
    last: date
    known: int
    unknown: int
    average: float | None
    counts: dict[str, int]


class FieldPanel(Frozen):
    """bucket: the part the average is in. known and unknown: values, whose conversations `where_…` list."""

    key: str
    label: str
    description: str
    group: str | None
    type: FieldType
    shows: Aggregate
    known: int
    unknown: int
    average: float | None
    bucket: str | None
    minimum: float | None
    maximum: float | None
    parts: tuple[Part, ...]
    trend: tuple[Point, ...]
    where_known: str | None
    where_unknown: str | None


def shown_as(field: CustomField) -> Aggregate:
    """What the field asks for, as far as its type can give it."""
    if field.type in _NUMBERS:
        return field.aggregate or Aggregate.AVERAGE
    if field.type in _CHOICES:
        return Aggregate.COUNT if field.aggregate is Aggregate.COUNT else Aggregate.DISTRIBUTION
    return Aggregate.COUNT


def panel_of(field: CustomField, period: Period, counted: Sequence[Counted], which: Which) -> FieldPanel:
    """The field's panel, from what was counted of it."""
    sums = _Sums.of(field, counted)
    parts = _parts(field, sums, which)
    starts = period.starts
    return FieldPanel(
        key=field.key,
        label=field.label,
        description=field.description,
        group=field.display_group,
        type=field.type,
        shows=shown_as(field),
        known=sums.known,
        unknown=sums.unknown,
        average=sums.average,
        bucket=_bucket(field, sums.average),
        minimum=field.minimum,
        maximum=field.maximum,
        parts=parts,
        trend=tuple(
            _point(field, first, starts[step + 1] - timedelta(days=1), (c for c in counted if c.step == step), parts)
            for step, first in enumerate(starts[:-1])
        ),
        where_known=which.known(field),
        where_unknown=which.unknown(field),
    )


class _Sums:
    """What was counted, put together."""

    def __init__(self, counts: dict[str, int], known: int, unknown: int, total: float, *, numeric: bool) -> None:
        self.counts = counts
        self.known = known
        self.unknown = unknown
        self.average = total / known if numeric and known > 0 else None

    @classmethod
    def of(cls, field: CustomField, counted: Iterable[Counted]) -> "_Sums":
        """A value with several options is counted once for itself, and once for each of them."""
        counts: dict[str, int] = {}
        total = 0.0
        for c in counted:
            counts[c.option] = counts.get(c.option, 0) + c.count
            total += c.total
        unknown = counts.pop(UNKNOWN, 0)
        known = counts.get(NOTHING, 0) if field.type is FieldType.MULTI_CHOICE else sum(counts.values())
        counts.pop(NOTHING, None)
        return cls(counts, known, unknown, total, numeric=field.type in _NUMBERS)

    def within(self, low: float | None, high: float | None) -> int:
        """How many values are in places from `low` up to and without `high`."""
        return sum(n for place, n in self.counts.items() if _inside(float(place), low, high))


def _parts(field: CustomField, sums: _Sums, which: Which) -> tuple[Part, ...]:
    def part(id_: str, label: str, count: int, where: str | None, colour: str | None = None) -> Part:
        return Part(
            id=id_,
            label=label,
            colour=colour,
            count=count,
            share=count / sums.known if sums.known else 0.0,
            where=where,
        )

    if field.type in _NUMBERS:
        if field.thresholds:
            return tuple(
                part(_id(t), t.label, sums.within(t.low, t.high), which.range(field, t.low, t.high), t.colour)
                for t in field.thresholds
            )
        if len(sums.counts) > MAX_PLACES or any(not float(place).is_integer() for place in sums.counts):
            return ()
        places = sorted(sums.counts, key=float)
        return tuple(part(p, p, sums.counts[p], which.range(field, float(p), float(p) + 1)) for p in places)
    if field.type is FieldType.BOOLEAN:
        return tuple(part(o, w, sums.counts.get(o, 0), which.option(field, o)) for o, w in _FLAGS)
    # A retired option is shown as long as there are values of it.
    options = [o for o in field.options if not o.retired or sums.counts.get(o.id)]
    return tuple(part(o.id, o.label, sums.counts.get(o.id, 0), which.option(field, o.id)) for o in options)


_FLAGS = (("true", "Yes"), ("false", "No"))


def _point(field: CustomField, first: date, last: date, counted: Iterable[Counted], parts: Sequence[Part]) -> Point:
    sums = _Sums.of(field, counted)
    if field.type in _NUMBERS and field.thresholds:
        counts = {_id(t): sums.within(t.low, t.high) for t in field.thresholds}
    else:
        counts = {part.id: sums.counts.get(part.id, 0) for part in parts}
    return Point(first=first, last=last, known=sums.known, unknown=sums.unknown, average=sums.average, counts=counts)


def _bucket(field: CustomField, average: float | None) -> str | None:
    if average is None:
        return None
    return next((_id(t) for t in field.thresholds if _inside(average, t.low, t.high)), None)


def _id(threshold: Threshold) -> str:
    """Ends and not the label: that may change, or be there twice."""
    low, high = ("" if end is None else f"{end:g}" for end in (threshold.low, threshold.high))
    return f"{low}..{high}"


def _inside(number: float, low: float | None, high: float | None) -> bool:
    return (low is None or number >= low) and (high is None or number < high)
