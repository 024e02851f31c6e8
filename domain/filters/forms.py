"""The two forms a filter is written, stored and sent in: text and JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.errors import InvalidFilter
from domain.filters.literals import BadLiteral, coerce, number_text, plain, text_of, whole
from domain.filters.rules import check_bounds, check_order, check_range, check_unknown, sample_ppm
from domain.filters.schema import FilterName, FilterSchema
from domain.filters.tree import (
    MAX_NESTING,
    MAX_TERMS,
    Among,
    And,
    Between,
    Comparison,
    Exists,
    Expression,
    IsUnknown,
    Literal,
    Not,
    Operator,
    Or,
    Sample,
    conjunction,
    disjunction,
)

Json = Mapping[str, Any]


def expression_text(expression: Expression) -> str:  # noqa: PLR0911 - one return a case
    """The canonical text: reading it gives the same tree."""
    match expression:
        case Comparison(name, operator, value):
            return f"{name.key} {operator.value} {text_of(value)}"
        case Among(name, values, negated):
            return f"{name.key} {'not in' if negated else 'in'} ({', '.join(map(text_of, values))})"
        case Between(name, low, high):
            return f"{name.key} between {text_of(low)} and {text_of(high)}"
        case Exists(name):
            return f"{name.key} exists"
        case IsUnknown(name):
            return f"{name.key} is unknown"
        case Sample(ppm):
            return f"sample {number_text(_percent(ppm))}%"
        case Not(part):
            return f"not {_grouped(part)}"
        case And(parts):
            return " and ".join(_grouped(part) if isinstance(part, Or) else expression_text(part) for part in parts)
        case Or(parts):
            return " or ".join(expression_text(part) for part in parts)


def _grouped(part: Expression) -> str:
    text = expression_text(part)
    return f"({text})" if isinstance(part, And | Or) else text


def _percent(ppm: int) -> int | float:
    return whole(ppm / 10_000)


def expression_json(expression: Expression) -> dict[str, Any]:  # noqa: PLR0911 - one return a case
    """The JSON form: `{"op": "<", "name": "csat", "value": 3}`, `{"op": "and", "parts": […]}`, …"""
    match expression:
        case Comparison(name, operator, value):
            return {"op": operator.value, "name": name.key, "value": plain(value)}
        case Among(name, values, negated):
            return {"op": "not in" if negated else "in", "name": name.key, "values": [plain(v) for v in values]}
        case Between(name, low, high):
            return {"op": "between", "name": name.key, "low": plain(low), "high": plain(high)}
        case Exists(name):
            return {"op": "exists", "name": name.key}
        case IsUnknown(name):
            return {"op": "is unknown", "name": name.key}
        case Sample(ppm):
            return {"op": "sample", "percent": _percent(ppm)}
        case Not(part):
            return {"op": "not", "part": expression_json(part)}
        case And(parts):
            return {"op": "and", "parts": [expression_json(part) for part in parts]}
        case Or(parts):
            return {"op": "or", "parts": [expression_json(part) for part in parts]}


def parse_json(value: Any, schema: FilterSchema) -> Expression:
    """The tree of a JSON form. Raises InvalidFilter; its message names the path, such as `parts[1].value`."""
    expression = _read(value, schema, "", 0)
    check_bounds(expression)
    return expression


_KEYS: Mapping[str, frozenset[str]] = {
    **{operator.value: frozenset({"name", "value"}) for operator in Operator},
    "in": frozenset({"name", "values"}),
    "not in": frozenset({"name", "values"}),
    "between": frozenset({"name", "low", "high"}),
    "exists": frozenset({"name"}),
    "is unknown": frozenset({"name"}),
    "sample": frozenset({"percent"}),
    "not": frozenset({"part"}),
    "and": frozenset({"parts"}),
    "or": frozenset({"parts"}),
}


def _read(value: Any, schema: FilterSchema, path: str, depth: int) -> Expression:
    if depth > 2 * MAX_NESTING:  # before recursion runs away; the exact bound is on the canonical tree
        raise InvalidFilter.at(None, f"nested more than {MAX_NESTING} levels deep")
    if not isinstance(value, Mapping) or not isinstance(value.get("op"), str) or value["op"] not in _KEYS:
        raise _bad(path, f'must be an object with "op", one of {", ".join(_KEYS)}')
    op = value["op"]
    if value.keys() != _KEYS[op] | {"op"}:
        raise _bad(path, f'"{op}" has the keys op, {", ".join(sorted(_KEYS[op]))}')
    try:
        match op:
            case "not":
                return Not(_read(value["part"], schema, f"{path}.part", depth + 1))
            case "and" | "or":
                parts = [
                    _read(part, schema, f"{path}.parts[{number}]", depth + 1)
                    for number, part in enumerate(_list(value["parts"], f"{path}.parts"))
                ]
                return conjunction(parts) if op == "and" else disjunction(parts)
            case "sample":
                return Sample(sample_ppm(_percentage(value["percent"])))
            case _:
                return _predicate(op, value, schema, path)
    except BadLiteral as bad:
        raise _bad(path, str(bad)) from None


def _predicate(op: str, value: Json, schema: FilterSchema, path: str) -> Expression:
    name = _name(value["name"], schema, path)
    match op:
        case "in" | "not in":
            values = tuple(_literal(name, v) for v in _list(value["values"], f"{path}.values"))
            return Among(name.name, values, negated=op == "not in")
        case "between":
            check_order(name, Operator.AT_LEAST)
            low, high = _literal(name, value["low"]), _literal(name, value["high"])
            check_range(name, Operator.AT_LEAST, low)
            check_range(name, Operator.AT_MOST, high)
            return Between(name.name, low, high)
        case "exists":
            return Exists(name.name)
        case "is unknown":
            check_unknown(name)
            return IsUnknown(name.name)
        case _:
            operator = Operator(op)
            check_order(name, operator)
            literal = _literal(name, value["value"])
            check_range(name, operator, literal)
            return Comparison(name.name, operator, literal)


def _literal(name: FilterName, value: Any) -> Literal:
    if not isinstance(value, bool | int | float | str):
        raise BadLiteral("a value is a text, a number, true or false")
    return coerce(name, value, quoted=True)


def _percentage(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadLiteral("percent is a number")
    return whole(value)


def _name(key: Any, schema: FilterSchema, path: str) -> FilterName:
    if not isinstance(key, str):
        raise _bad(path, "name is a text")
    found = schema.find(key)
    if found is None:
        raise _bad(path, schema.unknown(key))
    return found


def _list(value: Any, path: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or not value:
        raise _bad(path, "must be a list with at least one entry")
    if len(value) > MAX_TERMS:
        raise _bad(path, f"more than {MAX_TERMS:,} entries")
    return value


def _bad(path: str, reason: str) -> InvalidFilter:
    where = path.lstrip(".")
    return InvalidFilter.at(None, f"{where}: {reason}" if where else reason)
