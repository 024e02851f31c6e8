"""A JSON Schema in the forms providers take it, and the answer brought back into ours.

Everything is checked again against the full schema when the answer is here: what a provider's form leaves out is lost
as a constraint of the decoding, not as a rule.
"""

import json
from collections.abc import Mapping
from typing import Any

_TEXT_LIMITS = ("minLength", "maxLength")


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in the strict form of OpenAI's structured outputs: every property is required, what was optional may
    be null instead, and limits on the length of texts, which that form refuses, are gone."""
    found = {key: value for key, value in schema.items() if key not in _TEXT_LIMITS}
    if "properties" in schema:
        required = set(schema.get("required", ()))
        found["properties"] = {
            key: strict_schema(value) if key in required else _nullable(strict_schema(value))
            for key, value in schema["properties"].items()
        }
        found["required"] = list(schema["properties"])
        found["additionalProperties"] = False
    if "items" in schema:
        found["items"] = strict_schema(schema["items"])
    return found


def without_nulls(text: str, schema: Mapping[str, Any]) -> str:
    """The answer to `strict_schema(schema)` as an answer to `schema`: optional properties that are null are left out.
    What is no JSON stays as it is: the validator says what is wrong with it."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return json.dumps(_pruned(answer, schema), ensure_ascii=False)


def form_text(schema: Mapping[str, Any]) -> str:
    """For servers that take no schema: it is said in words."""
    compact = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return f"# The form of the answer\n\nOne JSON object that fits this JSON Schema, and nothing else:\n\n{compact}"


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _pruned(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        known = schema.get("properties", {})
        required = set(schema.get("required", ()))
        return {
            key: _pruned(inner, known.get(key, {}))
            for key, inner in value.items()
            if inner is not None or key in required or key not in known
        }
    if isinstance(value, list):
        return [_pruned(inner, schema.get("items", {})) for inner in value]
    return value
