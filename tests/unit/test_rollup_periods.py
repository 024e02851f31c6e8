"""How days are cut: any zone, any day, those with 23 or 25 hours too."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rollups import Period, Step, day_of, start_of

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
zones = st.sampled_from(ZONES)
quarters = st.integers(0, 25 * 365 * 96).map(lambda n: datetime(2012, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * n))
days = st.dates(date(2012, 1, 2), date(2037, 1, 1))


@given(zones, quarters)
def test_an_instant_is_in_the_day_the_clock_on_the_wall_shows(name: str, at: datetime) -> None:
    assert day_of(at, ZoneInfo(name)) == at.astimezone(ZoneInfo(name)).date()


@given(zones, days)
def test_days_follow_each_other_without_gap(name: str, day: date) -> None:
    zone = ZoneInfo(name)
    begins, ends = start_of(day, zone), start_of(day + timedelta(days=1), zone)
    assert begins <= ends <= begins + timedelta(hours=26)
    assert begins.minute % 15 == 0
    if begins < ends:  # Apia had no 30 December 2011, and others will lose days too
        assert day_of(begins, zone) == day
        assert day_of(ends - timedelta(minutes=15), zone) == day


@given(days, st.integers(0, 800), st.sampled_from(Step), zones)
def test_steps_cover_the_period_once(first: date, more: int, step: Step, zone: str) -> None:
    period = Period(first, first + timedelta(days=more), zone, step)
    starts = period.starts
    assert starts[0] == first
    assert starts[-1] == period.last + timedelta(days=1)
    assert list(starts) == sorted(set(starts))
    assert list(period.instants) == sorted(period.instants)
    inner = starts[1:-1]
    assert all(step is not Step.WEEK or day.weekday() == 0 for day in inner)
    assert all(step is not Step.MONTH or day.day == 1 for day in inner)
    assert [period.step_of(day) for day in starts[:-1]] == list(range(len(starts) - 1))


@pytest.mark.parametrize(("day", "hours"), [(date(2025, 3, 30), 23), (date(2025, 10, 26), 25), (date(2025, 7, 1), 24)])
def test_days_of_summer_time(day: date, hours: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert start_of(day + timedelta(days=1), berlin) - start_of(day, berlin) == timedelta(hours=hours)


def test_a_trend_has_some_thirty_points_at_most() -> None:
    for length in (1, 7, 35, 36, 90, 200, 201, 365, 1100):
        last = date(2025, 1, 6) + timedelta(days=length - 1)
        assert len(Period(date(2025, 1, 6), last, "UTC", Step.of(length)).starts) - 1 <= 38
