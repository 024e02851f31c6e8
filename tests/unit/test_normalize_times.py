"""Stamps: what is taken for the moment, and what is said about it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.times import StampContext, canonical_stamp, read_stamp

RECEIVED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CONTEXT = StampContext(received_at=RECEIVED, source_zone="Europe/Berlin", tenant_zone="America/New_York")


def codes(notes: object) -> list[str]:
    return [note.code for note in notes]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("stamp", "utc", "offset"),
    [
        ("2026-11-09T18:22:10-05:00", "2026-11-09T23:22:10+00:00", -300),
        ("2026-11-09T18:22:10+0530", "2026-11-09T12:52:10+00:00", 330),
        ("2026-11-09t18:22:10z", "2026-11-09T18:22:10+00:00", 0),
        ("2026-11-09 18:22Z", "2026-11-09T18:22:00+00:00", 0),
        ("20261109T182210Z", "2026-11-09T18:22:10+00:00", 0),
        ("2026-11-09T18:22:10.123456789Z", "2026-11-09T18:22:10.123456+00:00", 0),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00", 0),
        ("2026-W46-1T10:00+01", "2026-11-09T09:00:00+00:00", 60),
    ],
)
def test_a_stamp_with_offset_needs_no_note(stamp: str, utc: str, offset: int) -> None:
    read = read_stamp(stamp, CONTEXT)
    assert (read.at.isoformat(), read.offset_minutes, read.notes, read.reliable) == (utc, offset, (), True)


def test_without_offset_the_sources_zone_is_assumed_and_said() -> None:
    read = read_stamp("2026-11-09T18:22:10", CONTEXT)
    assert read.at == datetime(2026, 11, 9, 17, 22, 10, tzinfo=UTC)
    assert read.offset_minutes == 60
    assert codes(read.notes) == ["time_zone_assumed"]
    assert "the source's time zone Europe/Berlin" in read.notes[0].detail


def test_without_a_sources_zone_the_tenants_is_assumed() -> None:
    read = read_stamp("2026-11-09T18:22:10", StampContext(RECEIVED, None, "America/New_York"))
    assert read.at == datetime(2026, 11, 9, 23, 22, 10, tzinfo=UTC)
    assert "the tenant's time zone America/New_York" in read.notes[0].detail


def test_a_zone_that_does_not_exist_is_said_and_passed_over() -> None:
    read = read_stamp("2026-11-09T18:22:10", StampContext(RECEIVED, "Mars/Olympus", "../../etc/passwd"))
    assert read.at == datetime(2026, 11, 9, 18, 22, 10, tzinfo=UTC)
    assert codes(read.notes) == ["time_zone_unknown", "time_zone_unknown", "time_zone_assumed"]


def test_an_hour_that_clocks_skip() -> None:
    read = read_stamp("2026-03-29T02:30:00", CONTEXT)
    assert read.at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert codes(read.notes) == ["time_zone_assumed", "time_does_not_exist"]
    assert "read as 03:30" in read.notes[1].detail


def test_an_hour_that_clocks_repeat() -> None:
    read = read_stamp("2026-10-25T02:30:00", CONTEXT)
    assert read.at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert codes(read.notes) == ["time_zone_assumed", "time_ambiguous"]


def test_without_a_stamp_the_time_of_receipt_is_used() -> None:
    read = read_stamp(None, CONTEXT)
    assert (read.at, codes(read.notes), read.reliable) == (RECEIVED, ["time_missing"], False)


def test_a_date_alone_is_midnight_there() -> None:
    read = read_stamp("2026-11-09", CONTEXT)
    assert read.at == datetime(2026, 11, 8, 23, 0, tzinfo=UTC)
    assert codes(read.notes) == ["time_of_day_missing", "time_zone_assumed"]


@pytest.mark.parametrize("stamp", ["2026-11-21T12:00:01Z", "2099-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_clock_that_is_ahead(stamp: str) -> None:
    read = read_stamp(stamp, CONTEXT)
    assert (read.at, codes(read.notes), read.reliable) == (RECEIVED, ["time_in_future"], False)
    assert stamp in read.notes[0].detail


def test_a_clock_that_is_a_little_ahead_is_believed() -> None:
    assert read_stamp("2026-11-21T11:59:59Z", CONTEXT).reliable


@pytest.mark.parametrize("stamp", ["1970-01-01T00:00:00Z", "0001-01-02T00:00:00Z", "1969-12-31T19:00:00-05:00"])
def test_a_clock_that_was_never_set(stamp: str) -> None:
    read = read_stamp(stamp, CONTEXT)
    assert (read.at, codes(read.notes), read.reliable) == (RECEIVED, ["time_far_past"], False)


def test_an_old_archive_is_believed_and_said() -> None:
    read = read_stamp("1998-05-01T09:00:00Z", CONTEXT)
    assert read.at.year == 1998
    assert (codes(read.notes), read.reliable) == (["time_far_past"], True)


@pytest.mark.parametrize(
    "stamp",
    ["yesterday", "1699999999", "2026-13-01T00:00Z", "2026-02-30T00:00Z", "2026-11-09T25:00Z", "09/11/2026 10:00",
     "2026-11-09T10:00+99:00", "0001-01-01T00:00+14:00", "9999-12-31T23:00-12:00", "2026-11-09T10:00Z; drop"],
)  # fmt: skip
def test_what_is_no_stamp_is_refused_by_name(stamp: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_stamp(stamp, CONTEXT, field="messages[3].at")
    assert caught.value.problems[0].field == "messages[3].at"
    assert stamp not in caught.value.message


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2026, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_the_moment_is_kept_whatever_the_offset(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    read = read_stamp(moment.isoformat(), CONTEXT)
    assert read.at == moment
    assert read.at.utcoffset() == timedelta(0)
    assert read.offset_minutes == minutes
    assert canonical_stamp(moment.isoformat()) == canonical_stamp(moment.astimezone(UTC).isoformat(sep=" "))
