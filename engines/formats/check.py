"""Whether a mapping can work, before anything comes in: every expression one, and nothing that is needed missing."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from domain.errors import FieldProblem, InvalidInput
from domain.mapping import Format, Lookup, SourceMapping
from engines.formats.expressions import BadExpression, compiled

_MAPPED = (Format.JSON, Format.TABLE, Format.RECORDING)
_NOT_EXPRESSIONS = frozenset(("time_formats", "own_addresses"))


def check_mapping(mapping: SourceMapping, form: Format) -> None:
    """Raises InvalidInput naming each field that is wrong: an expression that is none, or one that is missing."""
    problems = [FieldProblem(field, reason) for field, reason in _wrong(mapping, form)]
    if problems:
        count = "1 field is" if len(problems) == 1 else f"{len(problems)} fields are"
        first = f"{problems[0].field}: {problems[0].reason}"
        raise InvalidInput(f"{count} not valid: {first}", tuple(problems))


def expressions_of(model: BaseModel, path: str = "") -> Iterator[tuple[str, str]]:
    """(field, expression) of every expression in a mapping or a part of one; `messages[1].author`, or
    `messages[].author` when there is one place only."""
    for name in type(model).model_fields:
        if name not in _NOT_EXPRESSIONS:
            yield from _of_value(getattr(model, name), f"{path}{name}")


def _of_value(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Lookup):
        yield f"{path}.value", value.value
    elif isinstance(value, BaseModel):
        yield from expressions_of(value, f"{path}.")
    elif isinstance(value, tuple):
        for number, one in enumerate(value):
            if isinstance(one, BaseModel):
                yield from expressions_of(one, f"{path}[{number if len(value) > 1 else ''}].")
    elif isinstance(value, dict):
        for key, one in value.items():
            yield f"{path}.{key}", one
    elif type(value) is str:
        yield path, value


def _wrong(mapping: SourceMapping, form: Format) -> Iterator[tuple[str, str]]:
    for field, expression in expressions_of(mapping):
        try:
            compiled(expression)
        except BadExpression as error:
            yield field, f"`{expression}` {error}"
    if form not in _MAPPED:
        return
    if mapping.channel is None and form is not Format.RECORDING:
        yield "channel", "is missing: which of call, chat, email and ticket this is, or where that is said"
    if mapping.external_id is None and form is not Format.RECORDING:
        yield "external_id", "is missing: where the conversation's own id is"
    bodies = (mapping.messages, mapping.audio, mapping.segments)
    if form is not Format.RECORDING and not any(bodies):
        yield "messages", "is missing: where the messages are (or audio, or segments of a transcript)"
    if form is Format.TABLE and mapping.audio is not None and mapping.audio.url is None:
        yield "audio.url", "is missing: no files come along with a table"
    if form is Format.JSON and mapping.audio is not None and (mapping.audio.url is None or mapping.audio.each is None):
        yield "audio", "each and url say where the files can be pulled from; no files come along"
