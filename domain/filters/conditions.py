"""The small core every filter is lowered to, and its evaluation.

Three readers understand it and nothing else: `holds` here, and the two search adapters. Each condition is plainly
true or false: a condition about a name without a value is false, and `Negated` turns false into true. Negations are
pushed down to single conditions (de Morgan), so `All` and `AnyOf` nest only as deep as the filter alternates them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias
from zoneinfo import ZoneInfo

from domain.filters.facts import SAMPLE_KEY, FilterFacts, day_number, instant_ms, token
from domain.filters.literals import DAY_MS, number_text
from domain.filters.tree import (
    Among,
    And,
    Base,
    Between,
    Comparison,
    Day,
    Duration,
    Exists,
    Expression,
    Filter,
    IsUnknown,
    Literal,
    Moment,
    Name,
    Not,
    Operator,
    Or,
    Relative,
    Sample,
)
from domain.names import NameType


class Holding(StrEnum):
    """The three kinds of value a name can hold."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class HasText:
    """One of the name's texts has one of the tokens (see `facts.token`)."""

    key: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HasNumber:
    """The name's number is one of these."""

    key: str
    numbers: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class InRange:
    """The name's number is in a range; None leaves an end open."""

    key: str
    low: float | None = None
    high: float | None = None
    low_included: bool = True
    high_included: bool = True


@dataclass(frozen=True, slots=True)
class IsFlag:
    key: str
    value: bool


@dataclass(frozen=True, slots=True)
class Present:
    """The name has a value of one of these kinds."""

    key: str
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    key: str


Single: TypeAlias = HasText | HasNumber | InRange | IsFlag | Present | Unknown


@dataclass(frozen=True, slots=True)
class Negated:
    condition: Single


@dataclass(frozen=True, slots=True)
class All:
    """True when there are no parts."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """False when there are no parts."""

    parts: tuple["Condition", ...]


Condition: TypeAlias = Single | Negated | All | AnyOf

HOLDINGS: Mapping[NameType, tuple[Holding, ...]] = {
    NameType.TEXT: (Holding.TEXT,),
    NameType.OPTION: (Holding.TEXT,),
    NameType.NUMBER: (Holding.NUMBER,),
    NameType.DURATION: (Holding.NUMBER,),
    NameType.INSTANT: (Holding.NUMBER,),
    NameType.DAY: (Holding.NUMBER,),
    NameType.FLAG: (Holding.FLAG,),
    NameType.META: tuple(Holding),
}


def all_of(parts: Iterable[Condition]) -> Condition:
    """`All` without needless levels."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, All) else (part,))]
    return flat[0] if len(flat) == 1 else All(tuple(flat))


def any_of(parts: Iterable[Condition]) -> Condition:
    """`AnyOf` without needless levels."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, AnyOf) else (part,))]
    return flat[0] if len(flat) == 1 else AnyOf(tuple(flat))


def negated(condition: Condition) -> Condition:
    """The opposite, negations at the single conditions."""
    match condition:
        case All(parts):
            return any_of(negated(part) for part in parts)
        case AnyOf(parts):
            return all_of(negated(part) for part in parts)
        case Negated(inner):
            return inner
        case _:
            return Negated(condition)


def conditions(bound: Filter) -> Condition:
    """The filter in terms of the core, its times resolved."""
    return _Lowering(bound.now, ZoneInfo(bound.zone)).lower(bound.expression)


class _Lowering:
    def __init__(self, now: datetime, zone: ZoneInfo) -> None:
        self._now = now
        self._zone = zone

    def lower(self, expression: Expression) -> Condition:  # noqa: PLR0911 - one return a case
        match expression:
            case And(parts):
                return all_of(self.lower(part) for part in parts)
            case Or(parts):
                return any_of(self.lower(part) for part in parts)
            case Not(part):
                return negated(self.lower(part))
            case Comparison(name, operator, value):
                return self._comparison(name, operator, value)
            case Among(name, values, is_negated):
                found = self._among(name, values)
                return all_of((_present(name), negated(found))) if is_negated else found
            case Between(name, low, high):
                return self._between(name, low, high)
            case Exists(name):
                return _present(name)
            case IsUnknown(name):
                return Unknown(name.key)
            case Sample(ppm):
                return InRange(SAMPLE_KEY, high=ppm, high_included=False)

    def _comparison(self, name: Name, operator: Operator, value: Literal) -> Condition:
        match operator:
            case Operator.EQUAL:
                return self._among(name, (value,))
            case Operator.NOT_EQUAL:
                return all_of((_present(name), negated(self._among(name, (value,)))))
            case _:
                span = self._span(name, value)
                match operator:
                    case Operator.LESS:
                        return InRange(name.key, high=span.start, high_included=False)
                    case Operator.AT_MOST:
                        return InRange(name.key, high=span.end, high_included=span.end_included)
                    case Operator.GREATER:
                        return InRange(name.key, low=span.end, low_included=not span.end_included)
                    case _:
                        return InRange(name.key, low=span.start)

    def _between(self, name: Name, low: Literal, high: Literal) -> Condition:
        first, last = self._span(name, low), self._span(name, high)
        return InRange(name.key, first.start, last.end, high_included=last.end_included)

    def _among(self, name: Name, values: tuple[Literal, ...]) -> Condition:
        texts: dict[str, None] = {}
        numbers: dict[float, None] = {}
        others: dict[Condition, None] = {}
        for value in values:
            if isinstance(value, bool):
                others[IsFlag(name.key, value)] = None
                if name.type is NameType.META:
                    texts["true" if value else "false"] = None
            elif isinstance(value, str):
                texts[token(value)] = None
            else:
                span = self._span(name, value)
                if span.end_included:
                    numbers[span.start] = None
                else:
                    others[InRange(name.key, span.start, span.end, high_included=False)] = None
                if name.type is NameType.META and isinstance(value, int | float):
                    texts[token(number_text(value))] = None
        if texts:
            others[HasText(name.key, tuple(texts))] = None
        if numbers:
            others[HasNumber(name.key, tuple(numbers))] = None
        return any_of(others)

    def _span(self, name: Name, value: Literal) -> "_Span":  # noqa: PLR0911 - one return a case
        match value:
            case Duration(ms):
                return _Span.point(ms / 1000)
            case Day(day):
                if name.type is NameType.DAY:
                    return _Span.point(day_number(day))
                return self._local_day(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - zone follows
            case Moment(at):
                return _Span.point(instant_ms(at if at.tzinfo else at.replace(tzinfo=self._zone)))
            case Relative(Base.NOW, offset):
                return _Span.point(instant_ms(self._now) + offset)
            case Relative(_, offset):
                local = self._now.astimezone(self._zone)
                midnight = datetime(local.year, local.month, local.day)  # noqa: DTZ001 - zone follows
                day_then = midnight + timedelta(days=offset // DAY_MS)
                if name.type is NameType.DAY:
                    return _Span.point(day_number(day_then.date()))
                return self._local_day(day_then)
            case bool() | str():
                raise TypeError(f"{name.key}: a text or a flag has no place on a line")
            case _:
                return _Span.point(float(value))

    def _local_day(self, midnight: datetime) -> "_Span":
        """From this local midnight to the next: 23 to 25 hours."""
        start = instant_ms(midnight.replace(tzinfo=self._zone))
        return _Span(start, instant_ms((midnight + timedelta(days=1)).replace(tzinfo=self._zone)), end_included=False)


@dataclass(frozen=True, slots=True)
class _Span:
    """What a literal covers: a point, or a day up to but without the next day's start."""

    start: float
    end: float
    end_included: bool

    @classmethod
    def point(cls, at: float) -> "_Span":
        return cls(at, at, end_included=True)


def _present(name: Name) -> Present:
    return Present(name.key, HOLDINGS[name.type])


def holds(condition: Condition, facts: FilterFacts) -> bool:  # noqa: PLR0911 - one return a case
    """Whether the condition is true of the facts."""
    match condition:
        case All(parts):
            return all(holds(part, facts) for part in parts)
        case AnyOf(parts):
            return any(holds(part, facts) for part in parts)
        case Negated(inner):
            return not holds(inner, facts)
        case HasText(key, wanted):
            return not facts.tokens.get(key, frozenset()).isdisjoint(wanted)
        case HasNumber(key, numbers):
            return key in facts.numbers and facts.numbers[key] in numbers
        case InRange():
            return condition.key in facts.numbers and _within(condition, facts.numbers[condition.key])
        case IsFlag(key, value):
            return facts.flags.get(key) is value
        case Present(key, holdings):
            maps = {Holding.TEXT: facts.texts, Holding.NUMBER: facts.numbers, Holding.FLAG: facts.flags}
            return any(key in maps[holding] for holding in holdings)
        case Unknown(key):
            return key in facts.unknown


def _within(condition: InRange, number: float) -> bool:
    low, high = condition.low, condition.high
    if low is not None and not (number > low or (condition.low_included and number == low)):
        return False
    return high is None or number < high or (condition.high_included and number == high)
