"""Opaque cursors of keyset pages: where the next page begins, as (time, id)."""

import base64
import json
from datetime import UTC, datetime

from domain.errors import InvalidInput
from domain.ids import is_id

Key = tuple[datetime, str]

_INTEGER = 2**31


def encode(key: Key | None) -> str | None:
    """The cursor of a key; None stays None."""
    if key is None:
        return None
    at, id_ = key
    text = json.dumps([at.astimezone(UTC).isoformat(), id_], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def encode_row(key: tuple[int, int] | None) -> str | None:
    """As `encode`, for lists in the order of numbers: (number, part)."""
    if key is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).rstrip(b"=").decode()


def decode_row(cursor: str | None) -> tuple[int, int] | None:
    """As `decode`, of `encode_row`. Raises InvalidInput."""
    if cursor is None:
        return None
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        number, part = (int(each) for each in found if type(each) is int and 0 <= each < _INTEGER)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _none_of_ours() from None
    return number, part


def decode(cursor: str | None) -> Key | None:
    """The key of a cursor. Raises InvalidInput for what is none of ours."""
    if cursor is None:
        return None
    try:
        at, id_ = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not isinstance(id_, str) or not is_id(id_):
            raise ValueError("not a key")
        return moment.astimezone(UTC), id_
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _none_of_ours() from None


def _none_of_ours() -> InvalidInput:
    return InvalidInput.of("cursor", "is not a cursor of this list: take next_cursor as it is")
