"""A long conversation in windows: nothing is lost, nothing is too large, numbers stay."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import Role
from domain.turns import Turn
from domain.windows import MIN_WINDOW, REPEATED_TURNS, tokens_of, windows

texts = st.text(max_size=40)
talks = st.lists(
    st.tuples(st.sampled_from([Role.AGENT, Role.CUSTOMER]), texts, st.integers(1, 60)), min_size=1, max_size=30
)
budgets = st.integers(MIN_WINDOW, 600)


def talk(*said: tuple[Role, str, int]) -> tuple[Turn, ...]:
    """Turns that say a text so many times; each time is numbered, so that no two pieces are the same by chance."""
    return tuple(
        Turn(number=n, role=role, participant_id=role.value, text=" ".join(f"{n}.{m}{text}" for m in range(times)))
        for n, (role, text, times) in enumerate(said, start=1)
    )


@given(talks, budgets)
def test_no_window_is_larger_than_its_budget(said_: list[tuple[Role, str, int]], budget: int) -> None:
    for window in windows(talk(*said_), budget):
        assert window
        assert tokens_of(window) <= budget


@given(talks, budgets)
def test_every_turn_is_read_in_order_under_its_number(said_: list[tuple[Role, str, int]], budget: int) -> None:
    turns = talk(*said_)
    cut = windows(turns, budget)
    assert {turn.number for window in cut for turn in window} == {turn.number for turn in turns}
    for window in cut:
        numbers = [turn.number for turn in window]
        assert numbers == sorted(set(numbers)), "a turn is in a window once"
    lasts = [window[-1].number for window in cut]
    assert lasts == sorted(lasts)
    roles = {turn.number: turn.role for turn in turns}
    assert all(turn.role is roles[turn.number] for window in cut for turn in window)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), budgets)
def test_no_word_is_lost(lengths: list[int], budget: int) -> None:
    """Every word is its own, so that a lost or doubled one shows."""
    count = iter(range(100_000))
    turns = talk(*((Role.CUSTOMER, " ".join(f"w{next(count)}" for _ in range(n)), 1) for n in lengths))
    for turn in turns:
        pieces = [piece.text for window in windows(turns, budget) for piece in window if piece.number == turn.number]
        words = [word for piece in dict.fromkeys(pieces) for word in piece.split()]
        assert words == turn.text.split()


@given(talks, budgets)
def test_what_fits_is_one_window(said_: list[tuple[Role, str, int]], budget: int) -> None:
    turns = talk(*said_)
    assert (len(windows(turns, budget)) == 1) == (tokens_of(turns) <= budget)


@given(talks, budgets)
def test_only_the_last_small_turns_are_repeated(said_: list[tuple[Role, str, int]], budget: int) -> None:
    cut = windows(talk(*said_), budget)
    for before, after in pairwise(cut):
        repeated = [turn for turn in after if turn in before]
        assert len(repeated) <= REPEATED_TURNS
        assert repeated == list(after[: len(repeated)])
        assert tokens_of(repeated) <= budget // 8
        assert after[len(repeated) :], "a window brings something new"


def test_an_answer_is_not_parted_from_its_question() -> None:
    filler = (Role.CUSTOMER, "and another thing that went wrong", 10)
    turns = talk(*[filler] * 4, (Role.AGENT, "How would you rate us from 1 to 5?", 1), (Role.CUSTOMER, "four", 80))
    first, second = windows(turns, tokens_of(turns[:5]) + 20)
    assert [turn.number for turn in first] == [1, 2, 3, 4, 5]
    assert [turn.number for turn in second] == [5, 6]


def test_a_message_of_a_megabyte_is_cut_at_white_space() -> None:
    turns = talk((Role.CUSTOMER, "my washing machine is broken", 36_000))
    cut = windows(turns, 8_000)
    assert len(cut) > 30
    assert all(window[0].number == 1 for window in cut)
    assert "".join(window[0].text for window in cut) == turns[0].text
    assert not any(window[0].text.startswith("achine") for window in cut)


def test_a_window_too_small_for_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        windows(talk((Role.CUSTOMER, "hello", 1)), MIN_WINDOW - 1)
