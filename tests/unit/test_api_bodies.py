"""Bodies, cursors and multipart by their algebra: what comes in is what was sent, however it was cut."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import cursors
from api.body import BodyTimeout, Gone, stream_body
from api.multipart import parts
from domain.errors import InvalidInput
from domain.strict_json import MalformedBody, field_path, parse_json

TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.booleans())
def test_json_that_is_right_comes_through(value: Any, ascii_only: bool, bom: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parse_json((b"\xef\xbb\xbf" if bom else b"") + raw) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_refused_in_words(raw: bytes) -> None:
    with suppress(InvalidInput):
        parse_json(raw)


@given(st.integers(min_value=2**63) | st.integers(max_value=-(2**63) - 1))
def test_integers_no_database_holds_are_refused(number: int) -> None:
    with pytest.raises(MalformedBody, match="too large"):
        parse_json(str(number).encode())


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ('{"messages": [{"text": "a\\u0000"}]}', False),
        ('{"messages": [{"subject": "a\\u0000"}]}', False),
        ('{"transcript": {"segments": [{"text": "\\u0000", "words": [{"text": "\\u0000"}]}]}}', False),
        ('{"messages": [{"author": "a\\u0000"}]}', True),
        ('{"metadata": {"text": "a\\u0000"}}', True),
        ('{"metadata": {"a\\u0000": 1}}', True),
        ('["\\u0000"]', True),
        ('"\\\\u0000"', False),
    ],
)
def test_nul_is_for_free_text_only(path: str, refused: bool) -> None:
    if refused:
        with pytest.raises(InvalidInput, match="NUL"):
            parse_json(path.encode())
    else:
        parse_json(path.encode())


def test_field_paths() -> None:
    assert field_path(["messages", 3, "at"]) == "messages[3].at"
    assert field_path([]) == ""
    assert field_path(["metadata", "a key", "[key]"]) == "metadata.a key (the key)"


class Slow:
    """A request whose sender stops, or hangs up, after its first bytes."""

    def __init__(self, then: dict[str, Any] | None) -> None:
        self._messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"first", "more_body": True}]
        self._then = then

    async def receive(self) -> dict[str, Any]:
        if self._messages:
            return self._messages.pop()
        if self._then is not None:
            return self._then
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_sender_that_stops_is_not_waited_for() -> None:
    with pytest.raises(BodyTimeout):
        [chunk async for chunk in stream_body(Slow(None), idle_seconds=0.05)]  # type: ignore[arg-type]
    with pytest.raises(Gone):
        [chunk async for chunk in stream_body(Slow({"type": "http.disconnect"}))]  # type: ignore[arg-type]


# -- cursors ------------------------------------------------------------------------------------------------


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)), st.uuids())  # noqa: DTZ001
def test_a_cursor_comes_back_as_it_was(at: datetime, id_: UUID) -> None:
    cursor = cursors.encode((at, str(id_)))
    assert cursor is not None
    assert cursor.isascii()
    assert cursors.decode(cursor) == (at, str(id_))


@given(st.text(max_size=80))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        cursors.decode(text)


# -- multipart ----------------------------------------------------------------------------------------------


class OfType:
    """As much of a request as reading a multipart body needs."""

    def __init__(self, boundary: str) -> None:
        self.headers = {"content-type": f'multipart/form-data; boundary="{boundary}"'}


NAMES = st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True)
FILES = st.lists(st.tuples(NAMES, st.binary(max_size=200)), max_size=5)


@given(FILES, st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_parts_come_out_as_they_went_in_however_the_body_is_cut(
    files: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    raw = body_of(files)
    assert asyncio.run(read(raw, cuts)) == files


@given(FILES.filter(bool), st.data())
def test_a_body_that_is_cut_short_is_refused(files: list[tuple[str, bytes]], data: st.DataObject) -> None:
    raw = body_of(files)
    short = raw[: data.draw(st.integers(0, len(raw) - len(b"--\r\n") - 1))]
    with pytest.raises(MalformedBody):
        asyncio.run(read(short, [7]))


async def test_what_is_left_of_a_part_is_passed_over() -> None:
    seen = []
    async for part in parts(OfType("edge-of-the-part"), chunks=chunked(body_of([("a", b"x" * 99), ("b", b"y")]), [10])):  # type: ignore[arg-type]
        async for chunk in part.data:
            seen.append((part.name, chunk[:1]))
            break
    assert seen == [("a", b"x"), ("b", b"y")]


def body_of(files: list[tuple[str, bytes]]) -> bytes:
    edge = "edge-of-the-part"
    head = '--{}\r\nContent-Disposition: form-data; name="{}"; filename="f.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    return (
        b"".join(head.format(edge, name).encode() + data + b"\r\n" for name, data in files) + f"--{edge}--\r\n".encode()
    )


async def read(raw: bytes, cuts: list[int]) -> list[tuple[str, bytes]]:
    found = []
    async for part in parts(OfType("edge-of-the-part"), chunks=chunked(raw, cuts)):  # type: ignore[arg-type]
        found.append((part.name, b"".join([chunk async for chunk in part.data])))
    return found


async def chunked(raw: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    at, turn = 0, 0
    while at < len(raw):
        size = cuts[turn % len(cuts)]
        yield raw[at : at + size]
        at, turn = at + size, turn + 1
