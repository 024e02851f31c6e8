"""Readers of formats in tests: bytes in, arrivals and refusals out; and the sample of real data."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bench.real_calls import sample_data
from domain.arrivals import Arrival, RawItem
from domain.errors import InvalidInput
from domain.mapping import Format, SourceMapping
from domain.normalize import thread
from domain.times import StampContext
from domain.transcript import Thread
from engines.formats import reader_of

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)

_MEDIA_TYPES = {
    Format.CANONICAL: "application/json",
    Format.JSON: "application/json",
    Format.TABLE: "text/csv",
    Format.EMAIL: "message/rfc822",
    Format.RECORDING: "application/json",
}


@dataclass(frozen=True)
class Outcome:
    """What became of one item: its arrivals, or why there are none."""

    item: RawItem
    arrivals: tuple[Arrival, ...] = ()
    error: InvalidInput | None = None


def outcomes(
    form: Format,
    body: bytes,
    mapping: SourceMapping | None = None,
    *,
    media_type: str | None = None,
    name: str | None = None,
) -> list[Outcome]:
    """Every item of a body, read. Raises InvalidInput when the whole of it cannot be read."""
    reader = reader_of(form)
    media_type = media_type or _MEDIA_TYPES[form]
    found = []
    for item in reader.items(BytesIO(body), media_type=media_type, received_at=NOON, name=name):
        try:
            found.append(Outcome(item, tuple(reader.read(item, mapping))))
        except InvalidInput as error:
            found.append(Outcome(item, error=error))
    return found


def arrivals(form: Format, body: bytes, mapping: SourceMapping | None = None, **said: Any) -> list[Arrival]:
    """As `outcomes`; raises the first refusal."""
    found: list[Arrival] = []
    for outcome in outcomes(form, body, mapping, **said):
        if outcome.error is not None:
            raise outcome.error
        found += outcome.arrivals
    return found


def read_json(payload: object, mapping: SourceMapping | dict[str, Any]) -> list[Arrival]:
    """The arrivals of one payload of a sender's own JSON."""
    if isinstance(mapping, dict):
        mapping = SourceMapping.model_validate(mapping)
    item = RawItem(json.dumps(payload).encode(), "application/json", NOON)
    return list(reader_of(Format.JSON).read(item, mapping))


def normalized(arrival: Arrival) -> Thread:
    """The thread `normalize` makes of an arrival."""
    conversation = arrival.conversation
    assert conversation.messages is not None
    return thread(conversation.messages, conversation.participants, StampContext(NOON), conversation.channel)


def codes(arrival: Arrival) -> set[str]:
    return {note.code for note in arrival.notes}


def sample(path: str) -> Path:
    """A file of the real data; skips the test when it is not on this machine."""
    found = sample_data() / path
    if not found.exists():
        pytest.skip(f"no sample data in {sample_data()} (set PARLEY_SAMPLE_DATA)")
    return found
