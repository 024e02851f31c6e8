"""JSON read strictly and checked against a model; what is wrong is said with the place.

The one way in which a canonical body is read, whether it comes as a request or as a line of a file.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from domain.errors import FieldProblem, InvalidInput

M = TypeVar("M", bound=BaseModel)

MAX_REPORTED = 50
"""Field problems named in one answer; more are counted only."""

FREE_TEXT = re.compile(r"(messages|transcript\.segments)\[\d+\]\.(words\[\d+\]\.)?(text|subject)")
"""Paths of texts that may hold NUL: they are cleaned when they are read (`domain.text`). Elsewhere it is refused."""

_INTEGER_BOUND = 2**63
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPED_NUL = re.compile(rb"\\u0000")
_SCALARS = frozenset({"str", "constrained-str", "int", "float", "bool", "none"})


class MalformedBody(InvalidInput):
    """The body is not the JSON or multipart it says it is."""

    code = "malformed_body"
    title = "The body cannot be read"


def validate(model: type[M], value: object) -> M:
    """Raises InvalidInput naming the fields."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False, include_input=False)) from None


def parse_json(raw: bytes) -> Any:
    """The JSON value of a body, by RFC 8259 and no more generously.

    Refused besides syntax errors: NaN and Infinity, numbers no database holds, a key twice in one object, lone
    surrogates, NUL outside of free text, nesting without end. Raises MalformedBody, InvalidInput.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody.of("body", f"is not UTF-8 at byte {error.start}") from None
    try:
        value = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedBody.of("body", f"is not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise MalformedBody.of("body", "is nested too deeply") from None
    if _ESCAPED_SURROGATE.search(raw):
        _require_pairs(raw)
    if _ESCAPED_NUL.search(raw):
        _require_no_nul(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise MalformedBody.of("body", f"has the key {twice[:100]!r} twice in one object")
    return found


def _no_constant(name: str) -> float:
    raise MalformedBody.of("body", f"holds {name}, which is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise MalformedBody.of("body", f"holds the number {digits[:40]}, which is too large")
    return value


def _integer(digits: str) -> int:
    if len(digits) < 19:
        return int(digits)
    if len(digits) > 20 or not -_INTEGER_BOUND <= int(digits) < _INTEGER_BOUND:
        raise MalformedBody.of("body", f"holds the number {digits[:40]}, which is too large: send it as text")
    return int(digits)


def _require_pairs(raw: bytes) -> None:
    try:
        from_json(raw.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        if "surrogate" in str(error) or "hex escape" in str(error):
            raise MalformedBody.of("body", f"holds half a character: {error}") from None


def _require_no_nul(value: object) -> None:
    found = next(_nul_paths(value, ""), None)
    if found is not None:
        raise InvalidInput.of(found or "body", "holds the character NUL")


def _nul_paths(value: object, path: str) -> Iterator[str]:
    """Paths of the texts that hold NUL and may not."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if "\0" in key:
                yield path or "body"
            yield from _nul_paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _nul_paths(inner, f"{path}[{position}]")
    elif isinstance(value, str) and "\0" in value and FREE_TEXT.fullmatch(path) is None:
        yield path


def invalid(errors: Sequence[ErrorDetails], *, skip: int = 0) -> InvalidInput:
    """Pydantic's errors as one InvalidInput; `skip` leading parts of each location name no field (`body`, `query`)."""
    reasons: dict[str, str] = {}
    for error in errors:
        location = list(error["loc"][skip:])
        reason = error["msg"].removeprefix("Value error, ")
        if len(location) > 1 and location[-1] in _SCALARS:
            location.pop()  # the members of a union of scalars: one field, one reason
            if error["type"] == "string_too_long":
                reasons[field_path(location)] = reason
            reason = "is a text, a number, true or false"
        reasons.setdefault(field_path(location) or "body", reason[:300])
    problems = tuple(FieldProblem(field, reason) for field, reason in reasons.items())
    shown = problems[:MAX_REPORTED]
    more = f" and {len(problems) - MAX_REPORTED} more" if len(problems) > MAX_REPORTED else ""
    count = "1 field is" if len(problems) == 1 else f"{len(problems)} fields are"
    first = f"{shown[0].field}: {shown[0].reason}" if shown else ""
    return InvalidInput(f"{count} not valid{more}: {first}", shown)


def field_path(location: Sequence[int | str]) -> str:
    """`messages[3].at` of ("messages", 3, "at")."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part == "[key]":
            path += " (the key)"
        else:
            path += f".{part[:100]}" if path else part[:100]
    return path
