"""Filters: one typed expression for AI Tasks, jobs, search, retention and backfills.

    schema = FilterSchema.of(fields, may_see_sensitive=False)
    found = parse("channel = call and duration > 15s and csat < 3", schema, now=utc_now(), zone="Europe/Berlin")
    matches(found, FilterFacts.of(conversation, values, duration_s=94.2, turns=31))

The language is described in docs/filters.md and frozen: what parses today means the same for ever.
"""

from datetime import datetime
from typing import Any

from domain.errors import InvalidInput
from domain.filters.conditions import conditions, holds
from domain.filters.facts import FilterFacts, sample_bucket
from domain.filters.forms import expression_json, expression_text, parse_json
from domain.filters.parser import parse_expression
from domain.filters.schema import FilterSchema
from domain.filters.tree import Filter
from domain.times import is_zone

__all__ = [
    "Filter",
    "FilterFacts",
    "FilterSchema",
    "conditions",
    "from_json",
    "in_sample",
    "matches",
    "parse",
    "to_json",
    "to_text",
]


def parse(text: str, schema: FilterSchema, *, now: datetime, zone: str) -> Filter:
    """Reads the text form. now: aware; zone: IANA name of the tenant's zone, for times without an offset.

    Raises InvalidFilter (column and hint), InvalidInput for an unknown zone.
    """
    _check_zone(zone)
    return Filter(parse_expression(text, schema), now, zone)


def from_json(value: Any, schema: FilterSchema, *, now: datetime, zone: str) -> Filter:
    """Reads the JSON form, already decoded. Raises as `parse` does, with a path in place of the column."""
    _check_zone(zone)
    return Filter(parse_json(value, schema), now, zone)


def to_text(bound: Filter) -> str:
    """The canonical text form: `parse` of it gives the same expression."""
    return expression_text(bound.expression)


def to_json(bound: Filter) -> dict[str, Any]:
    """The JSON form: `from_json` of it gives the same expression."""
    return expression_json(bound.expression)


def matches(bound: Filter, facts: FilterFacts) -> bool:
    """Whether the conversation passes. A comparison with a missing value is false, its negation true."""
    return holds(conditions(bound), facts)


def in_sample(conversation_id: str, share: float) -> bool:
    """Whether the conversation is in the sample of this share (0..1): the same ones as `sample p%` takes."""
    return sample_bucket(conversation_id) < round(share * 1_000_000)


def _check_zone(zone: str) -> None:
    if not is_zone(zone):
        raise InvalidInput.of("zone", f"`{zone[:64]}` is not a time zone")
