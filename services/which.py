"""Which conversations a number of a dashboard stands for: as a filter that lists them."""

from collections.abc import Sequence

from domain.fields import CustomField, FieldType
from domain.filters.forms import expression_text
from domain.filters.tree import (
    Among,
    Between,
    Comparison,
    Day,
    Exists,
    Expression,
    IsUnknown,
    Literal,
    Name,
    Not,
    Operator,
    conjunction,
    disjunction,
)
from domain.names import NameType
from domain.rollups import NOTHING, OTHER, Dimension, Narrowing, Period

_NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL)


class Which:
    """Filters inside one period and narrowing. None where no filter says it: combinations that are not kept apart."""

    def __init__(self, period: Period, narrowing: Narrowing) -> None:
        self._within = _within(period, narrowing)

    def all(self) -> str | None:
        return self._text(())

    def of_dimension(self, dimension: Dimension, value: str) -> str | None:
        wanted = _dimension(dimension, (value,))
        return None if wanted is None else self._text((wanted,))

    def of_status(self, status: str, channel: str | None = None) -> str | None:
        parts: list[Expression] = [Comparison(Name("status", NameType.OPTION), Operator.EQUAL, status)]
        if channel is not None:
            parts.append(Comparison(Name("channel", NameType.OPTION), Operator.EQUAL, channel))
        return self._text(parts)

    def known(self, field: CustomField) -> str | None:
        return self._text((Exists(_name(field)),))

    def unknown(self, field: CustomField) -> str | None:
        return self._text((IsUnknown(_name(field)),))

    def option(self, field: CustomField, option: str) -> str | None:
        value: Literal = option == "true" if field.type is FieldType.BOOLEAN else option
        return self._text((Comparison(_name(field), Operator.EQUAL, value),))

    def range(self, field: CustomField, low: float | None, high: float | None) -> str | None:
        """From `low` up to and without `high`; None is open."""
        name = _name(field)
        ends: list[Expression] = []
        if low is not None:
            ends.append(Comparison(name, Operator.AT_LEAST, _whole(low)))
        if high is not None:
            ends.append(Comparison(name, Operator.LESS, _whole(high)))
        return self._text(ends or (Exists(name),))

    def _text(self, parts: Sequence[Expression]) -> str | None:
        return None if self._within is None else expression_text(conjunction((*parts, *self._within)))


def _within(period: Period, narrowing: Narrowing) -> tuple[Expression, ...] | None:
    started = Name("started", NameType.INSTANT)
    parts: list[Expression] = [Between(started, Day(period.first), Day(period.last))]
    for dimension, values in narrowing.items():
        wanted = _dimension(dimension, values)
        if wanted is None:
            return None
        parts.append(wanted)
    return tuple(parts)


def _dimension(dimension: Dimension, values: Sequence[str]) -> Expression | None:
    if OTHER in values or not values:
        return None
    name = Name(dimension.value, NameType.OPTION if dimension is Dimension.CHANNEL else NameType.TEXT)
    named = tuple(value for value in values if value != NOTHING)
    parts: list[Expression] = []
    if len(named) == 1:
        parts.append(Comparison(name, Operator.EQUAL, named[0]))
    elif named:
        parts.append(Among(name, named))
    if NOTHING in values:
        parts.append(Not(Exists(name)))
    return disjunction(parts)


def _name(field: CustomField) -> Name:
    return Name(field.key, NameType.NUMBER if field.type in _NUMBERS else NameType.OPTION)


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number
