"""Rules of imports: what a body is, which rows go together, what an estimate comes to, how far it is."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.arrivals import Arrival
from domain.conversation import Channel, Role
from domain.engine import EngineFamily, Price
from domain.errors import Conflict, InvalidInput, UnsupportedMedia
from domain.import_formats import ARCHIVE, NDJSON, import_form, media_type_of
from domain.imports import Import, ImportState, RowOutcome, Rows, Volume, problems_of, volume_of
from domain.intake import ConversationIn
from domain.mapping import Format
from domain.times import seconds_between
from services.accept_many import Landed
from services.estimate import estimate
from services.import_lines import JOINED_AT_ONCE, chunks, lines
from services.import_reading import ReadRow
from storage.protocols import AcceptOutcome
from tests.support.rows import chat_row
from tests.support.samples import engine, task, tenant


def arrival(external_id: str = "1", **more: Any) -> Arrival:
    adds = more.pop("adds", False)
    return Arrival(conversation=ConversationIn.model_validate(chat_row(external_id, **more)), adds=adds)


def rows_of(shape: list[list[tuple[int, bool]] | None]) -> list[ReadRow]:
    """Rows of arrivals given as (key, adds); None is a row that cannot be read."""
    return [
        ReadRow(number, None, number, error=InvalidInput.of("row", "bad"))
        if given is None
        else ReadRow(number, None, number, arrivals=tuple(arrival(str(key), adds=adds) for key, adds in given))
        for number, given in enumerate(shape, start=1)
    ]


Shapes = st.lists(st.none() | st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=3), max_size=30)


@given(Shapes)
def test_chunks_keep_the_order_and_never_hold_a_key_twice(shape: list[list[tuple[int, bool]] | None]) -> None:
    rows = rows_of(shape)
    found = list(chunks(rows))
    assert [row.number for chunk in found for row in chunk.rows] == [row.number for row in rows]
    for chunk in found:
        assert chunk.rows
        arrivals = [a for row in chunk.rows for a in row.arrivals]
        if chunk.joins:
            assert len(chunk.rows) <= JOINED_AT_ONCE
        else:
            keys = [a.conversation.external_id for a in arrivals]
            assert len(keys) == len(set(keys))
            assert not any(a.adds or a.links for a in arrivals)


@given(Shapes)
def test_every_row_and_every_arrival_gets_its_line(shape: list[list[tuple[int, bool]] | None]) -> None:
    rows = rows_of(shape)
    arrivals = [a for row in rows for a in row.arrivals]
    outcomes = [list(AcceptOutcome)[n % 3] for n in range(len(arrivals))]
    landed = [Landed(outcome, "00000000-0000-4000-8000-000000000000", 1) for outcome in outcomes]
    made, volumes = lines(rows, landed, {})
    assert [line.number for line in made] == [row.number for row in rows for _ in (row.arrivals or (row.error,)) if _]
    assert [line.outcome.value for line in made if line.outcome is not RowOutcome.FAILED] == [o.value for o in outcomes]
    counted = Rows().with_more(len(rows), made)
    assert counted.created + counted.unchanged + counted.revised + counted.failed == len(made)
    changed = sum(outcome is not AcceptOutcome.UNCHANGED for outcome in outcomes)
    assert volumes.get(Channel.CHAT, Volume()).conversations == changed


def test_a_line_says_why_whatever_was_wrong() -> None:
    row = rows_of([[(1, False), (2, False), (3, False)]])[0]
    errors = [Landed(error=InvalidInput.of("started_at", "no")), Landed(error=Conflict("another")), Landed()]
    made, _ = lines([row], errors, {})
    assert [(line.part, line.code, line.problems[0].field, line.problems[0].reason) for line in made] == [
        (1, "invalid_input", "started_at", "no"),
        (2, "conflict", "row", "another"),
        (3, None, "row", "cannot be accepted"),
    ]


def test_problems_are_bounded() -> None:
    many = InvalidInput("many", tuple(InvalidInput.of("f" * 1000, "r" * 1000).problems) * 50)
    kept = problems_of(many)
    assert (len(kept), len(kept[0].field), len(kept[0].reason)) == (10, 300, 500)
    assert problems_of(InvalidInput("just words"))[0].reason == "just words"


@pytest.mark.parametrize(
    ("content_type", "wanted", "found"),
    [
        (None, None, (NDJSON, Format.CANONICAL)),
        ("application/octet-stream", None, (NDJSON, Format.CANONICAL)),
        ("application/json; charset=utf-8", None, ("application/json", Format.CANONICAL)),
        ("Application/X-NDJSON", Format.JSON, (NDJSON, Format.JSON)),
        (NDJSON, Format.RECORDING, (NDJSON, Format.RECORDING)),
        ("text/csv", None, ("text/csv", Format.TABLE)),
        ("text/csv", Format.TABLE, ("text/csv", Format.TABLE)),
        ("application/mbox", None, ("application/mbox", Format.EMAIL)),
        (ARCHIVE, Format.EMAIL, (ARCHIVE, Format.EMAIL)),
    ],
)
def test_what_a_body_is(content_type: str | None, wanted: Format | None, found: tuple[str, Format]) -> None:
    assert import_form(content_type, wanted) == found


def test_json_is_what_its_source_sends() -> None:
    assert import_form(NDJSON, None, Format.JSON) == (NDJSON, Format.JSON)
    assert import_form(NDJSON, Format.CANONICAL, Format.JSON) == (NDJSON, Format.CANONICAL)
    assert import_form(NDJSON, None, Format.EMAIL) == (NDJSON, Format.CANONICAL)
    assert import_form("text/csv", None, Format.JSON) == ("text/csv", Format.TABLE)


@pytest.mark.parametrize(
    ("content_type", "wanted"),
    [
        ("image/png", None),
        ("text/csv", Format.EMAIL),
        (NDJSON, Format.TABLE),
        (ARCHIVE, None),
        ("message/rfc822", Format.JSON),
    ],
)
def test_what_it_cannot_be(content_type: str, wanted: Format | None) -> None:
    with pytest.raises(UnsupportedMedia):
        import_form(content_type, wanted)


def test_a_files_ending_tells_its_kind() -> None:
    assert media_type_of("Inbox/A.EML") == "message/rfc822"
    assert media_type_of("a.tar.gz") == "application/octet-stream"
    assert media_type_of("") == "application/octet-stream"


def test_how_much_a_conversation_has_to_read_or_hear() -> None:
    chat = arrival("1", messages=[{"author": "c", "text": "hello", "subject": "hi"}])
    assert volume_of(chat) == Volume(conversations=1, characters=7)
    audio = {"channel": "call", "messages": None, "audio": [{"url": "https://a.example/a.wav"}]}
    times = {"started_at": "2026-11-02T09:00:00Z", "ended_at": "2026-11-02T10:01:00+01:00"}
    assert volume_of(arrival("2", **audio, **times)) == Volume(conversations=1, audio_ms=60_000)
    assert volume_of(arrival("3", **audio)) == Volume(conversations=1, unmeasured=1)
    spoken = {"segments": [{"speaker": "c", "start_ms": 0, "end_ms": 9, "text": "hello"}]}
    assert volume_of(arrival("4", channel="call", messages=None, transcript=spoken)).characters == 5


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        ("2026-11-02T09:00:00Z", "2026-11-02T09:00:30Z", 30),
        ("2026-11-02T09:00:00", "2026-11-02T09:00:30", 30),
        ("2026-11-02T09:00:00", "2026-11-02T09:00:30Z", None),
        ("2026-11-02T09:00:30Z", "2026-11-02T09:00:00Z", None),
        ("2026-11-02T09:00:00Z", "some day", None),
        (None, "2026-11-02T09:00:00Z", None),
    ],
)
def test_seconds_between_stamps(start: str | None, end: str | None, seconds: float | None) -> None:
    assert seconds_between(start, end) == seconds


def test_an_estimate_is_of_the_tasks_that_would_run() -> None:
    hosted = engine(name="hosted", price=Price(input_per_million=2.0, output_per_million=10.0))
    hearing = engine(name="ear", family=EngineFamily.TRANSCRIPTION, price=Price(audio_per_hour=0.6))
    asked = task({"engine": "hosted", "channels": (Channel.CHAT,), "evidence_role": Role.CUSTOMER})
    volumes = {
        Channel.CHAT: Volume(conversations=100, characters=400_000),
        Channel.CALL: Volume(conversations=10, audio_ms=3_600_000, unmeasured=2),
    }
    found = estimate(volumes, [asked], [hosted, hearing], tenant())
    [one] = found.tasks
    assert (found.conversations, found.audio_minutes, found.unmeasured) == (110, 60, 2)
    assert (one.conversations, one.engine) == (100, "hosted")
    assert one.input_tokens > 100_000  # what is said, and what is around it for every conversation
    assert one.output_tokens == 100 * 150
    assert one.cost_usd == pytest.approx(one.input_tokens * 2e-6 + one.output_tokens * 1e-5)
    assert found.transcription == "ear"
    assert found.transcription_usd == pytest.approx(0.6)
    assert found.cost_usd == pytest.approx(one.cost_usd + 0.6)
    half = estimate(volumes, [task({"engine": "hosted", "sample": 0.5})], [hosted, hearing], tenant())
    assert half.tasks[0].conversations == 55
    assert estimate({}, [asked], [], tenant()).cost_usd == 0


def test_how_far_an_import_is() -> None:
    new = Import(
        id="00000000-0000-4000-8000-000000000000", source="s", source_named=True, format=Format.CANONICAL,
        media_type=NDJSON, name=None, dry_run=False, state=ImportState.WAITING, content_key="k", size=1000,
        sha256="0" * 64, created_at=datetime.now(UTC),
    )  # fmt: skip
    assert (new.rows_per_second, new.seconds_left) == (None, None)
    changed = {"state": ImportState.RUNNING, "bytes_read": 250, "rows": Rows(read=50), "worked_ms": 500}
    running = new.model_copy(update=changed)
    assert (running.rows_per_second, running.seconds_left) == (100, 1.5)
    assert running.model_copy(update={"state": ImportState.COMPLETED}).seconds_left is None
