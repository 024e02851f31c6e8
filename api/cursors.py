"""Opaque cursors of keyset pages: where the next page begins, as (time, id)."""

import base64
import json
from datetime import UTC, datetime

from domain.errors import InvalidInput
from domain.ids import is_id

Key = tuple[datetime, str]


def encode(key: Key | None) -> str | None:
    """The cursor of a key; None stays None."""
    if key is None:
        return None
    at, id_ = key
    text = json.dumps([at.astimezone(UTC).isoformat(), id_], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


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
        raise InvalidInput.of("cursor", "is not a cursor of this list: take next_cursor as it is") from None
