"""Where marks stand and how things are said."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web import charts, words

counts = st.lists(st.integers(0, 10**9), max_size=12)


@given(counts)
def test_a_bar_is_as_wide_as_it_should_be_and_shows_everything_that_counts(found: list[int]) -> None:
    marks = charts.shares(found)
    assert [mark.part for mark in marks] == [part for part, n in enumerate(found) if n]
    if marks:
        assert sum(mark.width for mark in marks) == pytest.approx(100, abs=0.2)
        assert all(mark.width > 0.5 for mark in marks)
        assert marks[0].x == 0
        for mark, following in pairwise(marks):
            assert following.x == pytest.approx(mark.x + mark.width, abs=0.05)


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), max_size=40))
def test_columns_stand_on_the_ground_and_never_leave_the_picture(stacks: list[list[int]]) -> None:
    drawn = charts.columns(stacks)
    assert drawn.most == max(map(sum, stacks), default=0)
    assert len(drawn.slots) == len(stacks)
    for mark in drawn.marks:
        assert 0 <= mark.x <= mark.x + mark.width <= charts.WIDTH + 0.01
        assert -0.01 <= mark.y <= mark.y + mark.height <= charts.HEIGHT + 0.02
    for step, stack in enumerate(stacks):
        heights = sum(mark.height for mark in drawn.marks if mark.step == step)
        assert heights == pytest.approx(charts.HEIGHT * sum(stack) / drawn.most if drawn.most else 0, abs=0.05)


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=40))
def test_a_line_has_gaps_where_nothing_is_known(values: list[float | None]) -> None:
    drawn = charts.line(values, None, None)
    assert [dot.step for dot in drawn.dots] == [step for step, value in enumerate(values) if value is not None]
    assert all(0 <= dot.y <= charts.HEIGHT for dot in drawn.dots)
    assert drawn.low < drawn.high
    in_runs = sum(len(run.split()) for run in drawn.runs)
    assert in_runs <= len(drawn.dots)


def test_what_is_off_the_scale_stays_in_the_picture() -> None:
    drawn = charts.line([0.0, 9.0], 1.0, 5.0)
    assert [dot.y for dot in drawn.dots] == [charts.HEIGHT - 4, 4]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.position(62_000), "1:02"),
        (words.position(3_602_000), "1:00:02"),
        (words.lasting(9.96), "10.0 s"),
        (words.lasting(125), "2 min 5 s"),
        (words.lasting(7_260), "2 h 1 min"),
        (words.lasting(5 * 86_400), "5 days"),
        (words.number(3.0), "3"),
        (words.number(0.5), "0.5"),
        (words.number(1234.5), "1,234"),
        (words.number(None), "–"),
        (words.average(3.04), "3.0"),
        (words.percent(0.0001), "<1%"),
        (words.percent(0.0), "0%"),
        (words.percent(1.0), "100%"),
        (words.counted(1, "try", "tries"), "1 try"),
        (words.counted(1200, "value"), "1,200 values"),
        (words.sentence("tenant_admin"), "Tenant admin"),
        (words.dimension_value("", "queue"), "No queue"),
        (words.moment(datetime(2026, 10, 20, 8, 5, tzinfo=UTC), "Europe/Berlin"), "20 Oct 2026, 10:05"),
    ],
)
def test_things_are_said_so(said: str, expected: str) -> None:
    assert said == expected
