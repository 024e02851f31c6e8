"""The API reference as a page: rendered here from the OpenAPI document, so it needs no script and no other server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_PAGES = Path(__file__).parent / "web"
_REF = "#/components/schemas/"


@dataclass(frozen=True)
class Row:
    """A parameter, a field or a response: its name, its type in words, and what it means."""

    name: str
    type: str
    required: bool
    text: str
    link: str | None = None


@dataclass(frozen=True)
class OperationView:
    anchor: str
    method: str
    path: str
    text: str
    scopes: tuple[str, ...]
    parameters: tuple[Row, ...]
    body: Row | None
    responses: tuple[Row, ...]


@dataclass(frozen=True)
class SchemaView:
    name: str
    text: str
    values: tuple[str, ...]
    rows: tuple[Row, ...]


def page(document: Mapping[str, Any]) -> str:
    """The whole reference as HTML."""
    environment = Environment(
        loader=FileSystemLoader(_PAGES),
        autoescape=select_autoescape(default_for_string=True, default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups: dict[str, list[OperationView]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    return environment.get_template("reference.html").render(
        info={**document["info"], "description": _flowing(document["info"]["description"])},
        groups=groups,
        schemas=[_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())],
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> OperationView:
    return OperationView(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        text=_flowing(operation.get("description") or operation["summary"]),
        scopes=tuple(operation.get("x-scopes", ())),
        parameters=tuple(_parameter(parameter) for parameter in operation.get("parameters", ())),
        body=_body(operation.get("requestBody")),
        responses=tuple(_response(status, answer) for status, answer in operation["responses"].items()),
    )


def _parameter(parameter: Mapping[str, Any]) -> Row:
    schema = parameter["schema"]
    text = parameter.get("description") or schema.get("description", "")
    where = f"{type_text(schema)}, in the {parameter['in']}"
    return Row(parameter["name"], where, parameter.get("required", False), text)


def _body(body: Mapping[str, Any] | None) -> Row | None:
    if body is None:
        return None
    media_types = list(body["content"])
    schema = body["content"][media_types[0]]["schema"]
    return Row("body", type_text(schema), body.get("required", False), " or ".join(media_types), _link(schema))


def _response(status: str, answer: Mapping[str, Any]) -> Row:
    content = answer.get("content", {})
    schema = next(iter(content.values()))["schema"] if content else {}
    return Row(status, type_text(schema) if schema else "", True, answer["description"], _link(schema))


def _schema(name: str, schema: Mapping[str, Any]) -> SchemaView:
    required = set(schema.get("required", ()))
    rows = tuple(
        Row(field, type_text(inner), field in required, inner.get("description", ""), _link(inner))
        for field, inner in schema.get("properties", {}).items()
    )
    return SchemaView(name, _flowing(schema.get("description", "")), tuple(map(str, schema.get("enum", ()))), rows)


def type_text(schema: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words: `list of TurnOut`, `text or nothing`, `integer from 1 to 200`."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    members = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if members:
        return " or ".join(dict.fromkeys(type_text(member) for member in members))
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if values:
        return ", ".join(map(str, values))
    return _plain_type(schema)


_WORDS = {"null": "nothing", "boolean": "true or false", None: "anything"}
_FORMATS = {"date-time": "time", "binary": "bytes"}


def _plain_type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if kind == "array":
        return f"list of {type_text(schema['items'])}" if "items" in schema else "list"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"map to {type_text(inner)}" if isinstance(inner, dict) else "object"
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), "text")
    return _WORDS.get(kind) or f"{kind}{_bounds(schema)}"


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    return (f" from {low:g}" if low is not None else "") + (f" to {high:g}" if high is not None else "")


def _flowing(text: str) -> str:
    """Without the line breaks a docstring has inside its paragraphs."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)


def _link(schema: Mapping[str, Any]) -> str | None:
    """The component a schema is, or is a list of."""
    for inner in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        if isinstance(inner, dict) and "$ref" in inner:
            return str(inner["$ref"]).removeprefix(_REF)
    return None
