"""What every reader of a format promises, whatever comes in."""

import io
import tracemalloc
from io import BytesIO

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from domain.arrivals import Arrival, RawItem
from domain.errors import InvalidInput
from domain.mapping import Format, SourceMapping
from engines.formats import check_mapping, preset, presets, reader_of
from engines.protocols import FormatReader
from tests.support.formats import NOON, Outcome, outcomes

MAPPING = SourceMapping.model_validate(
    {
        "conversations": "list || @",
        "external_id": "id",
        "channel": {"value": "channel", "otherwise": "ticket"},
        "metadata": {"a": "a", "b": "b.c"},
        "tags": "tags",
        "started_at": "at",
        "messages": [
            {"each": "messages || @", "author": "author || 'x'", "text": "text || body || ''", "at": "at", "html": True}
        ],
        "own_addresses": ["example.com"],
    }
)
MAPPINGS = {Format.CANONICAL: None, Format.JSON: MAPPING, Format.TABLE: MAPPING, Format.EMAIL: MAPPING,
            Format.RECORDING: None}  # fmt: skip
PIECES = [
    b"From: a@example.com\r\n", b"Content-Type: multipart/mixed; boundary=x\n", b"\n--x\n", b"\n--x--\n", b"\n\n",
    b"Content-Transfer-Encoding: base64\n", b"Content-Type: text/html; charset=", b"=?utf-8?q?", b"From x@y 10:00\n",
    b'{"id": 1, "messages": [{"text": "', b'"}]}', b"[", b"]", b"{", b"}", b'"', b",", b";", b"\t", b"id,text,author\n",
    b"1,a,b\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe4", b"<p>", b"<table><tr><td>", b"</p>", b"\0", b"\\", b"=3D",
    b'{"audio": [{"id": "', b"00000000-0000-4000-8000-000000000000", b'", "name": "a.agent.wav"}]}',
]  # fmt: skip


@pytest.mark.parametrize("form", list(Format))
def test_every_format_has_a_reader(form: Format) -> None:
    reader: FormatReader = reader_of(form)
    assert reader is reader_of(form)


@pytest.mark.parametrize("form", list(Format))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.one_of(st.binary(max_size=3_000), st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)))
@example(body=b"")
def test_any_bytes_are_read_or_refused(form: Format, body: bytes) -> None:
    """Never anything but arrivals or InvalidInput, and the same bytes give the same answer."""
    first, second = _tried(form, body), _tried(form, body)
    assert first == second
    if isinstance(first, list):
        assert [outcome.item.position for outcome in first] == list(range(1, len(first) + 1))


def _tried(form: Format, body: bytes) -> list[Outcome] | str:
    try:
        found = outcomes(form, body, MAPPINGS[form])
    except InvalidInput as error:
        return str(error)
    return [
        Outcome(one.item, one.arrivals, None if one.error is None else InvalidInput(str(one.error)))
        if one.error is None
        else Outcome(one.item)
        for one in found
    ]


@pytest.mark.parametrize("form", list(Format))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.binary(max_size=2_000),
    media_type=st.sampled_from(["", "text/csv; charset=zlib", "a/b; x", "application/json"]),
)
def test_an_item_of_any_kind_is_read_or_refused(form: Format, body: bytes, media_type: str) -> None:
    """Items come back from a store, long after they were cut: nothing of them is taken for granted."""
    try:
        found = reader_of(form).read(RawItem(body, media_type, NOON), MAPPINGS[form])
    except InvalidInput:
        return
    assert all(isinstance(one, Arrival) for one in found)


BOMBS = {
    "a line": b"a" * 5_000_000,
    "lines": b"a\n" * 2_000_000,
    "quotes": b'"' * 3_000_000,
    "brackets": b"[" * 3_000_000,
    "objects": b'{"a":' * 1_000_000,
    "boundaries": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"\n--b\n\nx" * 400_000,
    "multiparts": b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 60_000,
    "nested, each its own": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(20_000)
    ),
    "headers": b"a: b\n" * 600_000 + b"\nx",
    "parameters": b"Content-Type: text/plain" + b'; a="' * 300_000 + b"\n\nx",
    "words": b"Subject: " + b"=?utf-8?q?" * 200_000 + b"\n\nx",
    "comments": b"From: " + b"(" * 500_000 + b"\nSubject: x\n\nx",
    "spaces": b"From: a@b.c\nContent-Type: text/html\n\n" + b" " * 4_000_000,
    "tags": b"From: a@b.c\nContent-Type: text/html\n\n" + b"<b>x" * 700_000,
    "quoted tags": b"From: a@b.c\nContent-Type: text/html\n\n" + b"<blockquote>x" * 250_000,
    "cells": b"From: a@b.c\nContent-Type: text/html\n\n<table>" + b"<tr><td>" * 200_000 + b"x" * 100_000,
    "padding": b"From: a@b.c\nContent-Type: text/html\n\n" + b"<p style='padding-left:9999em'>a" * 60_000,
    "columns": b",".join(b"c%d" % n for n in range(500_000)) + b"\n1,2\n",
    "one open quote": b'id,text\n1,"a\n' + b"2,b\n" * 1_000_000,
}


@pytest.mark.parametrize("form", [Format.JSON, Format.TABLE, Format.EMAIL])
@pytest.mark.parametrize("bomb", BOMBS)
def test_nothing_takes_long(form: Format, bomb: str) -> None:
    """Work that grew with the square of any of these would outlast a test's limit by far."""
    reader, count = reader_of(form), 0
    try:
        for item in reader.items(BytesIO(BOMBS[bomb]), media_type="", received_at=NOON, name=None):
            count += 1
            if count > 1_000:
                break
            try:
                reader.read(item, MAPPING)
            except InvalidInput:
                continue
    except InvalidInput:
        pass


@pytest.mark.parametrize("name", presets())
def test_every_ready_mapping_is_one(name: str) -> None:
    ready = preset(name)
    check_mapping(ready.mapping, ready.format)
    assert SourceMapping.model_validate_json(ready.mapping.model_dump_json()) == ready.mapping
    assert ready.about


class Endless(io.RawIOBase):
    """A body that is made while it is read: `start`, then `piece` over and over, then `end`."""

    def __init__(self, start: bytes, piece: bytes, times: int, end: bytes) -> None:
        self._start, self._piece, self._left, self._end = start, piece, times, end
        self._waiting = start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while len(self._waiting) < len(buffer) and self._left:
            more = min(self._left, 50)
            self._waiting += self._piece * more
            self._left -= more
            if not self._left:
                self._waiting += self._end
        taken, self._waiting = self._waiting[: len(buffer)], self._waiting[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


WORDS = b"some words " * 200
STREAMS = {
    Format.CANONICAL: (b"[", b'{"external_id": "a", "more": "' + WORDS + b'"},\n', b"{}]"),
    Format.JSON: (b"", b'{"external_id": "a", "more": "' + WORDS + b'"}\n', b""),
    Format.TABLE: (b"id,text\n", b'1,"two\n' + WORDS + b'"\n', b""),
    Format.EMAIL: (b"", b"From a@b.c Mon Nov  2 10:00:00 2026\nFrom: a@b.c\n\n" + WORDS + b"\n\n", b""),
}


@pytest.mark.parametrize("form", STREAMS)
def test_memory_is_bounded_by_an_item_not_by_the_body(form: Format) -> None:
    start, piece, end = STREAMS[form]
    times = 10_000_000 // len(piece)
    body = io.BufferedReader(Endless(start, piece, times, end))
    tracemalloc.start()
    try:
        count = sum(1 for _ in reader_of(form).items(body, media_type="", received_at=NOON, name=None))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == times + bool(end)
    assert peak < 2_000_000
