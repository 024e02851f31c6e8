"""The names of the filter language, kept in one place: what it has built in, and the words of its grammar.

A Custom Field may take none of them (`RESERVED_KEYS`), so a bare name in a filter always means one thing.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class NameType(StrEnum):
    """What a name holds, and so which comparisons and literals it takes."""

    TEXT = "text"
    OPTION = "option"
    NUMBER = "number"
    DURATION = "duration"
    INSTANT = "instant"
    DAY = "day"
    FLAG = "flag"
    META = "meta"


BUILT_INS: Mapping[str, NameType] = MappingProxyType(
    {
        "id": NameType.TEXT,
        "channel": NameType.OPTION,
        "status": NameType.OPTION,
        "source": NameType.TEXT,
        "external_id": NameType.TEXT,
        "interaction_id": NameType.TEXT,
        "started": NameType.INSTANT,
        "ended": NameType.INSTANT,
        "received": NameType.INSTANT,
        "duration": NameType.DURATION,
        "direction": NameType.OPTION,
        "queue": NameType.TEXT,
        "team": NameType.TEXT,
        "campaign": NameType.TEXT,
        "language": NameType.TEXT,
        "tag": NameType.TEXT,
        "disposition": NameType.TEXT,
        "agent": NameType.TEXT,
        "turns": NameType.NUMBER,
        "revision": NameType.NUMBER,
        "searchable": NameType.FLAG,
    }
)
"""Built-in names and their types."""

KEYWORDS = frozenset(
    {"and", "or", "not", "in", "is", "exists", "between", "unknown", "sample"}
    | {"true", "false", "null", "now", "today"}
)
"""Words of the grammar; they are read in either case."""

RESERVED_KEYS = frozenset(BUILT_INS) | KEYWORDS | {"meta"}
"""What a Custom Field's key may not be."""
