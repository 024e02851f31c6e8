"""What must hold of a filter, however it was written."""

from domain.errors import InvalidFilter
from domain.filters.literals import BadLiteral
from domain.filters.schema import FilterName
from domain.filters.tree import MAX_NESTING, MAX_TERMS, Expression, Literal, Operator, nesting, terms
from domain.names import NameType

_EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_ORDERED = frozenset({NameType.NUMBER, NameType.DURATION, NameType.INSTANT, NameType.DAY, NameType.META})


def check_order(name: FilterName, operator: Operator) -> None:
    """Only what has an order can be more or less."""
    if operator not in _EQUALITY and name.name.type not in _ORDERED:
        raise BadLiteral(f"{name.name.key} has no order: `{operator.value}` does not apply; =, !=, in and exists do")


def check_range(name: FilterName, operator: Operator, value: Literal) -> None:
    """Metadata has the type of its literal: only numbers have an order there."""
    if operator in _EQUALITY or name.name.type is not NameType.META:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadLiteral(f"`{operator.value}` on metadata takes a number")


def check_unknown(name: FilterName) -> None:
    """Only a field can have been asked for in vain."""
    if not name.is_field:
        raise BadLiteral(f"only a field can be unknown; for {name.name.key} write `not {name.name.key} exists`")


def check_bounds(expression: Expression) -> None:
    """Nesting and number of values. Raises InvalidFilter."""
    if nesting(expression) > MAX_NESTING:
        raise InvalidFilter.at(None, f"nested more than {MAX_NESTING} levels deep")
    if terms(expression) > MAX_TERMS:
        raise InvalidFilter.at(None, f"more than {MAX_TERMS:,} values")


def sample_ppm(percent: int | float) -> int:
    """Parts per million of a percentage: above 0, up to 100, at most four decimals."""
    ppm = round(percent * 10_000)
    if not 0 < percent <= 100:
        raise BadLiteral("a sample is above 0 % and at most 100 %")
    if ppm == 0 or abs(ppm - percent * 10_000) > 1e-6:
        raise BadLiteral("a sample has at most four decimals")
    return ppm
