"""Filters in Meilisearch's language. Every value goes through `quote`, every name through `attribute`: nothing a
caller wrote gets into a filter any other way.
"""

import re
from collections.abc import Iterable

from domain.filters.conditions import (
    All,
    AnyOf,
    Condition,
    HasNumber,
    HasText,
    Holding,
    InRange,
    IsFlag,
    Negated,
    Present,
    Unknown,
)
from domain.filters.schema import META_PREFIX
from domain.search import Direction, PageKey, Sort

TENANT, ID, UNKNOWN, STARTED = "tenant", "id", "unknown", "started_ms"
LABEL = "label"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def attribute(holding: Holding | str, key: str) -> str:
    """Where a document keeps the values of a name: `text.tag`, `number.csat`, `meta_text.plan`, `label.tag`."""
    kind = holding.value if isinstance(holding, Holding) else holding
    name = key.removeprefix(META_PREFIX)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{key!r} is not the name of a field or of metadata")
    return f"meta_{kind}.{name}" if key.startswith(META_PREFIX) else f"{kind}.{name}"


def quote(value: str) -> str:
    """A value, whatever is in it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def of_tenant(tenant_id: str) -> str:
    return f"{TENANT} = {quote(tenant_id)}"


def one_of(name: str, values: Iterable[str]) -> str:
    return f"{name} IN [{', '.join(map(quote, values))}]"


def condition_filter(condition: Condition) -> str | None:
    """The filter of a condition; None for one that is always true."""
    match condition:
        case All(()):
            return None
        case All(parts):
            return " AND ".join(_grouped(part) for part in parts)
        case AnyOf(parts):
            return " OR ".join(_grouped(part) for part in parts)
        case Negated(inner):
            return f"NOT {_grouped(inner)}"
        case _:
            return _single(condition)


def _grouped(condition: Condition) -> str:
    text = condition_filter(condition)
    if text is None:
        raise ValueError("an empty condition inside another")
    several = isinstance(condition, All | AnyOf) or (isinstance(condition, InRange | Present) and " " in text)
    return f"({text})" if several else text


def _single(condition: HasText | HasNumber | InRange | IsFlag | Present | Unknown) -> str:
    match condition:
        case HasText(key, tokens):
            return one_of(attribute(Holding.TEXT, key), tokens)
        case HasNumber(key, numbers):
            return one_of(attribute(Holding.NUMBER, key), map(_number, numbers))
        case InRange(key, low, high, low_included, high_included):
            name = attribute(Holding.NUMBER, key)
            ends = []
            if low is not None:
                ends.append(f"{name} {'>=' if low_included else '>'} {quote(_number(low))}")
            if high is not None:
                ends.append(f"{name} {'<=' if high_included else '<'} {quote(_number(high))}")
            return " AND ".join(ends) or f"{name} EXISTS"
        case IsFlag(key, value):
            return f"{attribute(Holding.FLAG, key)} = {quote(flag_text(value))}"
        case Present(key, holdings):
            return " OR ".join(f"{attribute(holding, key)} EXISTS" for holding in holdings)
        case Unknown(key):
            return f"{UNKNOWN} = {quote(key)}"


def flag_text(value: bool) -> str:
    return "true" if value else "false"


def _number(value: float) -> str:
    return repr(float(value))


# -- order --------------------------------------------------------------------------------------------------


def sorted_attribute(order: Sort) -> str:
    return STARTED if order.key == "started" else attribute(Holding.NUMBER, order.key)


def sort_rules(order: Sort) -> list[str]:
    """By the name's number, equal ones by id. Meilisearch puts documents without it last either way."""
    return [f"{sorted_attribute(order)}:{order.direction.value}", f"{ID}:asc"]


def behind(order: Sort, after: PageKey) -> str:
    """Documents behind the last one of a page in this order."""
    name = sorted_attribute(order)
    identity = f"{ID} > {quote(after.id)}"
    if after.value is None:
        return f"NOT {name} EXISTS AND {identity}"
    value = quote(_number(after.value))
    beyond = ">" if order.direction is Direction.ASCENDING else "<"
    return f"{name} {beyond} {value} OR ({name} = {value} AND {identity}) OR NOT {name} EXISTS"
