"""What a filter looks at: a conversation projected to texts, numbers and flags by name.

The search document is built from the same projection, so the plan stage and every search adapter see the same.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Self

from pydantic import Field

from domain.conversation import Conversation, Frozen, Role
from domain.filters.schema import META_PREFIX
from domain.ids import IdStr
from domain.values import FieldValue, Layer, SubjectKind, ValueKind

SAMPLE_KEY = "sample"
MAX_TOKEN_BYTES = 150
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAYERS = {Layer.AI: 0, Layer.HUMAN: 1, Layer.EFFECTIVE: 2}


def clean(text: str) -> str:
    """The text without what no store can hold: NUL and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "").strip()


def fold(text: str) -> str:
    """The form in which texts are equal: case, width and spacing do not count, accents do."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean(text)).casefold())
    return " ".join(folded.split())


def token(text: str) -> str:
    """What equality compares: the folded text, or its hash when longer than an index keeps. Empty for a blank text."""
    folded = fold(text)
    data = folded.encode()
    return folded if len(data) <= MAX_TOKEN_BYTES else "#" + hashlib.sha256(data).hexdigest()


def is_hashed(found: str) -> bool:
    """Whether a token is a hash, which stands for a text too long to show."""
    return len(found) == 65 and found[0] == "#"


def instant_ms(at: datetime) -> int:
    """Whole milliseconds since 1970 (UTC), rounded down: the precision in which times are compared."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _EPOCH.date()).days


def sample_bucket(conversation_id: str) -> int:
    """0 … 999,999, evenly spread and always the same for one conversation: `sample p%` takes the lowest buckets, so
    a larger sample holds every smaller one."""
    digest = hashlib.sha256(f"sample:{conversation_id}".encode()).digest()
    return int.from_bytes(digest[:8]) * 1_000_000 >> 64


class FilterFacts(Frozen):
    """A conversation as filters see it; a name that is in none of the maps has no value.

    Keys are the names of the language (`csat`, `tag`, `meta.plan`). texts: values as given, none blank. numbers:
    instants in ms since 1970, days in days since 1970, durations in seconds. unknown: fields asked for in vain.
    """

    id: IdStr
    texts: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    numbers: Mapping[str, float] = Field(default_factory=dict)
    flags: Mapping[str, bool] = Field(default_factory=dict)
    unknown: frozenset[str] = frozenset()

    @cached_property
    def tokens(self) -> Mapping[str, frozenset[str]]:
        return {key: frozenset(map(token, values)) for key, values in self.texts.items()}

    @classmethod
    def of(
        cls,
        conversation: Conversation,
        values: Iterable[FieldValue] = (),
        *,
        duration_s: float | None = None,
        turns: int | None = None,
    ) -> Self:
        """Facts of a conversation, its current values (a human's wins over the model's) and what was measured.

        duration_s: None takes ended - started where both are known. Values of participants are not looked at.
        """
        if duration_s is None and conversation.ended_at is not None:
            duration_s = (conversation.ended_at - conversation.started_at).total_seconds()
        facts = _Projection()
        _built_ins(facts, conversation, duration_s, turns)
        for key, value in conversation.metadata.items():
            facts.put(META_PREFIX + key, value)
        for field_value in _effective(values):
            facts.put_field(field_value)
        return cls(
            id=conversation.id,
            texts=facts.texts,
            numbers=facts.numbers,
            flags=facts.flags,
            unknown=frozenset(facts.unknown),
        )


class _Projection:
    def __init__(self) -> None:
        self.texts: dict[str, tuple[str, ...]] = {}
        self.numbers: dict[str, float] = {}
        self.flags: dict[str, bool] = {}
        self.unknown: set[str] = set()

    def put(self, key: str, value: str | int | float | bool | Iterable[str] | None) -> None:
        if value is None:
            return
        if isinstance(value, bool):
            self.flags[key] = value
        elif isinstance(value, int | float):
            try:
                number = float(value)
            except OverflowError:  # no double, so no comparison: as if it were not there
                return
            if number - number == 0:  # neither infinite nor NaN
                self.numbers[key] = number
        else:
            given = (value,) if isinstance(value, str) else tuple(value)
            if kept := tuple({token(text): clean(text) for text in given if fold(text)}.values()):
                self.texts[key] = kept

    def put_field(self, value: FieldValue) -> None:
        if value.kind is ValueKind.UNKNOWN or value.value is None:
            self.unknown.add(value.field_key)
            return
        self.put(value.field_key, value.value)
        if isinstance(value.value, str) and (day := _iso_day(value.value)):
            self.put(value.field_key, day_number(day))


def _built_ins(facts: _Projection, of: Conversation, duration_s: float | None, turns: int | None) -> None:
    for key, text in {
        "id": of.id,
        "channel": of.channel.value,
        "status": of.status.value,
        "source": of.source,
        "external_id": of.external_id,
        "interaction_id": of.interaction_id,
        "direction": of.direction.value if of.direction else None,
        "queue": of.queue,
        "team": of.team,
        "campaign": of.campaign,
        "language": of.language,
    }.items():
        facts.put(key, text)
    facts.put("tag", of.tags)
    facts.put("disposition", of.dispositions)
    facts.put("agent", (p.id for p in of.participants if p.role is Role.AGENT))
    for key, at in {"started": of.started_at, "ended": of.ended_at, "received": of.received_at}.items():
        facts.put(key, None if at is None else instant_ms(at))
    facts.put("duration", None if duration_s is None else round(duration_s * 1000) / 1000)
    facts.put("turns", turns)
    facts.put("revision", of.revision)
    facts.put("searchable", of.searchable)
    facts.put(SAMPLE_KEY, sample_bucket(of.id))


def _effective(values: Iterable[FieldValue]) -> Iterable[FieldValue]:
    best: dict[str, FieldValue] = {}
    for value in values:
        if value.subject is SubjectKind.CONVERSATION:
            rival = best.get(value.field_key)
            if rival is None or _LAYERS[value.layer] >= _LAYERS[rival.layer]:
                best[value.field_key] = value
    return best.values()


def _iso_day(text: str) -> date | None:
    if len(text) != 10:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
