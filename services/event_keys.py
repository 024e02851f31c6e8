"""By what an event of a source is known: the value of the source's expression, else the bytes themselves."""

import hashlib
import json

import jmespath
from jmespath.exceptions import JMESPathError

from domain.errors import InvalidInput
from storage.protocols import Source


def event_digest(source: Source, body: bytes) -> bytes:
    """SHA-256 of what makes the event the same. A body the expression finds nothing in is known by its bytes."""
    value = _value(source.dedupe_key, body) if source.dedupe_key else None
    if value is None or value in ("", [], {}):
        return hashlib.sha256(b"body\0" + body).digest()
    return hashlib.sha256(b"key\0" + json.dumps(value, sort_keys=True).encode()).digest()


def check_expression(expression: str, field: str) -> None:
    """Raises InvalidInput when it is not JMESPath."""
    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        raise InvalidInput.of(field, f"is not a JMESPath expression: {type(error).__name__}") from None


def _value(expression: str, body: bytes) -> object:
    try:
        found: object = jmespath.search(expression, json.loads(body))
        return found
    except (JMESPathError, ValueError, RecursionError):
        return None
