"""The bench's accounting of prefixes, and that the aims hold at the provider's side."""

import pytest

from bench.flat_cost import AIMED_AT, AIMS, CACHED_FROM, Bill, ListPrice, _Request, bill, four_minutes, sent, transcript
from bench.insights import TASKS, five, tasks
from domain.tokens import BYTES_PER_TOKEN, estimate
from services.call_plan import CACHE_WRITE, CACHED_READ


def request(text: str, began: float, ended: float, output: int = 0) -> _Request:
    return _Request(text, text, began, ended, output)


def words(tokens: int, letter: str = "a") -> str:
    return letter * (tokens * BYTES_PER_TOKEN)


def test_a_beginning_that_was_answered_before_is_read_and_was_written() -> None:
    shared = words(2_048)
    found = bill([request(shared + words(100, "b"), 0, 1), request(shared + words(100, "c"), 2, 3)])
    assert (found.input, found.read, found.written) == (2 * 2_148, 2_048, 2_048)
    assert found.equivalents == 2 * 100 + 2_048 * (CACHE_WRITE + CACHED_READ)


def test_nothing_is_read_of_what_is_still_being_answered() -> None:
    shared = words(2_048)
    found = bill([request(shared + "b", 0, 5), request(shared + "c", 1, 6)])
    assert (found.read, found.written) == (0, 0)


@pytest.mark.parametrize(
    ("common", "read"),
    [(CACHED_FROM - 1, 0), (CACHED_FROM, CACHED_FROM), (CACHED_FROM + 127, CACHED_FROM), (1_160, 1_152)],
)
def test_only_long_beginnings_are_cached_and_in_steps(common: int, read: int) -> None:
    found = bill([request(words(common) + "bbbb", 0, 1), request(words(common) + "cccc", 2, 3)])
    assert found.read == read


def test_one_byte_that_differs_at_the_start_spoils_it() -> None:
    found = bill([request("x" + words(2_048), 0, 1), request("y" + words(2_048), 2, 3)])
    assert (found.read, found.written) == (0, 0)


def test_what_is_read_by_many_is_written_once() -> None:
    shared = words(2_048)
    requests = [request(shared + words(10, letter), at, at + 0.5) for at, letter in enumerate("bcdef")]
    found = bill(requests)
    assert (found.read, found.written) == (4 * 2_048, 2_048)


def test_a_bill_in_money() -> None:
    found = Bill(calls=2, input=3_000_000, read=1_000_000, written=1_000_000, output=1_000_000)
    assert found.cost_usd(ListPrice("m", 1.0, 5.0, 0.1, 1.25, "")) == pytest.approx(1.0 + 0.1 + 1.25 + 5.0)
    assert found.cost_usd(ListPrice("m", 1.0, 5.0, 0.1, None, "")) == pytest.approx(1.0 + 0.1 + 1.0 + 5.0)


def test_the_transcripts_are_as_long_as_they_say() -> None:
    for tokens in (300, 1_500, 6_000):
        size = sum(estimate(turn.text) for turn in transcript(tokens))
        assert tokens <= size <= tokens * 1.25
    assert 600 <= sum(len(turn.text.split()) for turn in four_minutes()) <= 660
    assert len({task.task.slug for task in TASKS}) == 20
    assert len(five()) == 5


@pytest.mark.parametrize(("count", "aim"), AIMS.items())
async def test_the_aims_hold(count: int, aim: float) -> None:
    """Counted, not timed: the same on every machine."""
    turns = transcript(AIMED_AT)
    ours = bill(await sent(tasks(count), turns, plan=True))
    theirs = bill(await sent(tasks(count), turns, plan=False))
    assert theirs.calls == count
    assert theirs.read == 0
    assert ours.equivalents / theirs.equivalents <= aim
