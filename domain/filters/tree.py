"""The filter expression as a tree: what both the text form and the JSON form stand for.

Trees are canonical: a conjunction or disjunction has at least two parts and none of its own kind, a number is an
int when it is whole. Equal meanings written the same way give equal trees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

from domain.names import NameType

MAX_LENGTH = 4_000
"""Characters of the text form."""
MAX_NESTING = 20
"""Levels of `and`, `or`, `not` inside each other."""
MAX_TERMS = 1_000
"""Values in the whole filter, those in an `in` list included."""
MAX_TEXT_VALUE = 1_000
"""Characters of one text value."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the schema. `key` is as written: `csat`, `channel`, `meta.plan`."""

    key: str
    type: NameType


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in milliseconds."""

    ms: int


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day in the tenant's zone; compared with an instant it stands for the whole day."""

    date: date


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant; without an offset it is meant in the tenant's zone."""

    at: datetime


class Base(StrEnum):
    NOW = "now"
    TODAY = "today"


@dataclass(frozen=True, slots=True)
class Relative:
    """`now` or `today` and a distance in milliseconds from it (whole days for `today`)."""

    base: Base
    offset_ms: int = 0


Literal: TypeAlias = bool | int | float | str | Duration | Day | Moment | Relative


class Operator(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True)
class Comparison:
    name: Name
    operator: Operator
    value: Literal


@dataclass(frozen=True, slots=True)
class Among:
    """`name in (…)`, or `name not in (…)` when negated: it has a value, and none of these."""

    name: Name
    values: tuple[Literal, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """Both ends included."""

    name: Name
    low: Literal
    high: Literal


@dataclass(frozen=True, slots=True)
class Exists:
    """A known value is there."""

    name: Name


@dataclass(frozen=True, slots=True)
class IsUnknown:
    """The field was asked for and the conversation gave no ground for a value."""

    name: Name


@dataclass(frozen=True, slots=True)
class Sample:
    """A fixed share of all conversations, chosen by their ids. `ppm`: parts per million, 1 to 1,000,000."""

    ppm: int


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Expression"


Expression: TypeAlias = Comparison | Among | Between | Exists | IsUnknown | Sample | And | Or | Not


@dataclass(frozen=True, slots=True)
class Filter:
    """An expression bound to the moment and the zone its relative and local times are read in.

    zone: IANA name. The text and JSON forms keep relative times relative, so a stored filter is bound anew each time.
    """

    expression: Expression
    now: datetime
    zone: str

    def names(self) -> frozenset[str]:
        """The keys the filter reads: what has to change for its answer to change."""
        return frozenset(leaf.name.key for leaf in leaves(self.expression) if not isinstance(leaf, Sample))


Leaf: TypeAlias = Comparison | Among | Between | Exists | IsUnknown | Sample


def conjunction(parts: Sequence[Expression]) -> Expression:
    """`and` over the parts (at least one), canonical."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(parts: Sequence[Expression]) -> Expression:
    """`or` over the parts (at least one), canonical."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def leaves(expression: Expression) -> Iterator[Leaf]:
    """Every predicate, left to right."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield expression


def nesting(expression: Expression) -> int:
    """Levels of `and`, `or`, `not`: 0 for a single predicate."""
    match expression:
        case And(parts) | Or(parts):
            return 1 + max(nesting(part) for part in parts)
        case Not(part):
            return 1 + nesting(part)
        case _:
            return 0


def terms(expression: Expression) -> int:
    """Values in the whole expression; a predicate without values counts as one."""
    return sum(len(leaf.values) if isinstance(leaf, Among) else 1 for leaf in leaves(expression))
