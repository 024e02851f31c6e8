"""Sources as they are configured: what a connector sends, and how it is to be taken."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from domain.conversation import Channel, Frozen, ShortText, Slug
from domain.mapping import Format, SourceMapping
from domain.times import is_zone

MAX_SETTLE_MINUTES = 30 * 24 * 60

SettleMinutes = Annotated[int, Field(ge=0, le=MAX_SETTLE_MINUTES)]
DedupeKey = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=60)]

KEYED = (Format.CANONICAL, Format.JSON)
"""Formats whose events a JMESPath expression can look into."""


class NewSource(Frozen):
    """A source to be made.

    slug: what conversations name as their `source`. mapping, or the name of a preset that ships with one and brings its
    format: for formats that are not canonical. channel: what all of its conversations are; others are refused.
    time_zone: of stamps without offset (IANA). settle_minutes: quiet minutes after the last message before a thread
    that is not closed is analysed. dedupe_key: JMESPath expression for what makes an event the same event, else its
    bytes do.
    """

    slug: Slug
    name: ShortText | None = None
    format: Format = Format.CANONICAL
    mapping: SourceMapping | None = None
    preset: Slug | None = None
    channel: Channel | None = None
    time_zone: Zone | None = None
    settle_minutes: SettleMinutes = 0
    dedupe_key: DedupeKey | None = None

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str | None) -> str | None:
        return _zone(value)


class SourceChange(Frozen):
    """What of a source is to change: what is not given stays, null takes a setting away. Never the slug."""

    name: ShortText | None = None
    format: Format | None = None
    mapping: SourceMapping | None = None
    preset: Slug | None = None
    channel: Channel | None = None
    time_zone: Zone | None = None
    settle_minutes: SettleMinutes | None = None
    dedupe_key: DedupeKey | None = None

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str | None) -> str | None:
        return _zone(value)

    @model_validator(mode="after")
    def _always_set(self) -> Self:
        for name in ("format", "settle_minutes"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be taken away")
        return self

    @property
    def given(self) -> dict[str, object]:
        """What changes, by name; a mapping takes the place of a preset, and the other way round."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if given.get("mapping") is not None:
            given.setdefault("preset", None)
        if given.get("preset") is not None:
            given.setdefault("mapping", None)
        return given


class EventState(StrEnum):
    """accepted: kept, not read yet. dead_lettered: something of it could not be read; the rest was received."""

    ACCEPTED = "accepted"
    RECEIVED = "received"
    DEAD_LETTERED = "dead_lettered"


class ItemOutcome(Frozen):
    """What became of one item of an event: a conversation, or the reason why not. position: 1, 2, 3 …"""

    position: int
    conversation_id: str | None = None
    revision: int | None = None
    outcome: str | None = None  # created | revised | unchanged
    problems: tuple[tuple[str, str], ...] = ()  # (field, reason)


class SourceHealth(Frozen):
    """Events of the last 24 hours by state, and the newest reason why one could not be read."""

    source_id: str
    accepted: int = 0
    received: int = 0
    dead_lettered: int = 0
    last_error_at: datetime | None = None
    last_error_type: str | None = None
    last_error: str | None = None


def _zone(value: str | None) -> str | None:
    if value is not None and not is_zone(value):
        raise ValueError("is not a time zone: give an IANA name such as Europe/Berlin")
    return value
