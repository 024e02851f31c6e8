"""How a task reads a conversation that is long for it."""

from typing import Any

import pytest

from domain.conversation import Role
from domain.ledger import Reason, RunState
from domain.tasks import LongInput
from domain.turns import Turn
from domain.windows import tokens_of
from services.call_plan import CallShape
from services.plan_tasks import plan_tasks
from services.prompting import asked
from services.reading import Reading, TooLong, read
from tests.support.samples import conversation, engine, rendition, task
from tests.unit.test_plan_tasks import given_

LONG = tuple(
    Turn(
        number=n, role=Role.CUSTOMER, participant_id="c", text=f"Sentence number {n} of a very long story about a sofa."
    )
    for n in range(1, 401)
)
TOKENS = tokens_of(LONG)


def reading(spec: dict[str, Any], **shape: Any) -> Reading | TooLong:
    one = task(spec)
    return read(LONG, one.spec, asked(one, conversation(), LONG), CallShape(**shape))


@pytest.mark.parametrize("long_input", LongInput)
def test_what_fits_is_read_whole(long_input: LongInput) -> None:
    found = reading({"long_input": long_input})
    assert isinstance(found, Reading)
    assert found.whole
    assert found.windows == (LONG,)


@pytest.mark.parametrize(
    ("spec", "shape", "windows"),
    [
        ({"long_input": "whole", "long_from_tokens": 1_000}, {}, 1),
        ({"long_input": "windowed", "long_from_tokens": 1_000}, {}, range(8, 15)),
        ({"long_input": "windowed"}, {"context_tokens": 6_000}, range(3, 6)),
        ({"long_input": "windowed", "long_from_tokens": 1_000}, {"context_tokens": 6_000}, range(8, 15)),
    ],
)
def test_windows_are_as_large_as_task_and_engine_let_them(
    spec: dict[str, Any], shape: dict[str, int], windows: int | range
) -> None:
    found = reading(spec, **shape)
    assert isinstance(found, Reading)
    assert len(found.windows) in ([windows] if isinstance(windows, int) else windows)
    if not found.whole:
        most = min(spec.get("long_from_tokens", TOKENS), shape.get("context_tokens", 10**6) // 2)
        assert all(tokens_of(window) <= most for window in found.windows)


@pytest.mark.parametrize(
    ("spec", "shape", "detail"),
    [
        ({"long_input": "skip", "long_from_tokens": 1_000}, {}, "the task reads 1,000"),
        ({"long_input": "skip"}, {"context_tokens": 6_000}, "the engine has room for"),
        ({"long_input": "whole"}, {"context_tokens": 6_000}, "the engine has room for"),
        ({"long_input": "windowed", "long_from_tokens": 1_000}, {"max_windows": 3}, "3 are read at most"),
        ({"long_input": "windowed"}, {"context_tokens": 1_500}, "too little for a window"),
    ],
)
def test_what_is_too_long_says_by_how_much(spec: dict[str, Any], shape: dict[str, int], detail: str) -> None:
    found = reading(spec, **shape)
    assert isinstance(found, TooLong)
    assert detail in found.detail
    assert f"{TOKENS:,}" in found.detail


def test_the_plan_skips_with_the_reason_and_a_remedy() -> None:
    one = task({"min_words": 3, "long_input": "skip", "long_from_tokens": 1_000})
    (row,) = plan_tasks(given_(one, rendition=rendition(turns=LONG)))
    assert (row.state, row.reason) == (RunState.SKIPPED, Reason.TOO_LONG)
    assert row.detail is not None
    assert "the task reads 1,000" in row.detail


def test_windows_change_the_input_hash_where_they_are_cut_and_only_there() -> None:
    def planned(spec: dict[str, Any], turns: tuple[Turn, ...] = LONG) -> str:
        (row,) = plan_tasks(given_(task({"min_words": 3} | spec), rendition=rendition(turns=turns)))
        assert row.state is RunState.PLANNED
        return row.input_hash

    windowed = {"long_input": "windowed", "long_from_tokens": 2_000}
    assert planned(windowed) != planned({"long_input": "whole"})
    assert planned(windowed) != planned(windowed | {"long_from_tokens": 3_000})
    assert planned(windowed, LONG[:20]) == planned({"long_input": "whole"}, LONG[:20])


def test_an_engines_context_is_its_parameter() -> None:
    one = task({"min_words": 3, "long_input": "skip"})
    small = {"offline": engine(parameters={"context_tokens": 6_000})}
    (row,) = plan_tasks(given_(one, rendition=rendition(turns=LONG), engines=small))
    assert row.reason is Reason.TOO_LONG
