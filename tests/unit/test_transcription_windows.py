"""Packing speech into windows, and the way back to the call's time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import Role
from domain.transcript import Word
from engines.transcription.segments import LONGEST_PAUSE_MS, Speaker, in_order, segments_of
from engines.transcription.whisper import likeliest
from engines.transcription.windows import Stretch, Window, pack

RATE = 1_000  # a sample a millisecond


@st.composite
def stretches(draw: st.DrawFn) -> list[Stretch]:
    """In order and apart, as a detector gives them."""
    at, found = 0, []
    for gap, length in draw(st.lists(st.tuples(st.integers(1, 5_000), st.integers(1, 9_000)), max_size=15)):
        found.append(Stretch(at + gap, at + gap + length))
        at = found[-1].end
    return found


@given(stretches(), st.integers(1, 12_000))
def test_windows_hold_all_stretches_in_order_and_no_more_than_fits(some: list[Stretch], limit: int) -> None:
    windows = list(pack(some, limit))
    assert [stretch for window in windows for stretch in window.stretches] == some
    for window in windows:
        assert sum(s.length for s in window.stretches) <= limit or len(window.stretches) == 1
    for window, following in pairwise(windows):
        # a window ends only because the next stretch does not fit
        assert sum(s.length for s in window.stretches) + following.stretches[0].length > limit


@given(stretches().filter(bool), st.data())
def test_the_way_back_is_where_the_sample_was(some: list[Stretch], data: st.DataObject) -> None:
    window = Window(tuple(some))
    samples = np.arange(some[-1].end, dtype=np.int32).astype(np.int16)
    heard = window.audio(samples) * 32_768
    position = data.draw(st.integers(0, len(heard) - 1))
    start, end = window.original(position / RATE, (position + 1) / RATE, RATE)
    assert start <= end
    original = next(
        s.start + position - before
        for s, before in zip(some, np.cumsum([0, *(s.length for s in some)]), strict=False)
        if before <= position < before + s.length
    )
    assert abs(end - original) <= 1
    assert np.int16(heard[position]) == samples[original]


@given(stretches().filter(bool), st.floats(0, 200), st.floats(0, 30))
def test_no_word_leaves_its_stretch_wherever_the_recognizer_puts_it(
    some: list[Stretch], start: float, length: float
) -> None:
    first, last = Window(tuple(some)).original(start, start + length, RATE)
    assert any(s.start <= first <= last <= s.end for s in some)


def word(text: str, start_ms: int, end_ms: int, confidence: float | None = 0.5) -> Word:
    return Word(text=text, start_ms=start_ms, end_ms=end_ms, confidence=confidence)


AGENT = Speaker(channel=0, role=Role.AGENT)


def test_a_pause_ends_a_segment_and_words_carry_their_own_spaces() -> None:
    words = [word(" Good", 0, 200), word(" morning", 250, 600), word(".", 600, 600), word(" Yes", 1_601, 1_900)]
    first, second = segments_of(words, AGENT, "en")
    assert (first.text, first.start_ms, first.end_ms) == ("Good morning.", 0, 600)
    assert [w.text for w in first.words] == ["Good", "morning", "."]
    assert (second.text, second.confidence, second.language) == ("Yes", 0.5, "en")


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 500)), min_size=1, max_size=30))
def test_segments_hold_every_word_once(gaps: list[tuple[int, int]]) -> None:
    at = 0
    words: list[Word] = []
    for gap, length in gaps:
        words.append(word(f" w{len(words)}", at + gap, at + gap + length))
        at = words[-1].end_ms
    segments = list(segments_of(words, AGENT, None))
    assert [w.text for s in segments for w in s.words] == [w.text.strip() for w in words]
    assert all(b.start_ms - a.end_ms > LONGEST_PAUSE_MS for a, b in pairwise(segments))


def test_a_transcript_is_in_order_of_time_whoever_speaks() -> None:
    agent = segments_of([word(" one", 0, 100), word(" three", 5_000, 5_100)], AGENT, "en")
    customer = segments_of([word(" two", 2_000, 2_100)], Speaker(1, Role.CUSTOMER), "en")
    assert [s.text for s in in_order([*agent, *customer])] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [([], ("de", 0.5)), (["en-GB", "es"], ("es", 0.75)), (["es"], ("es", 1.0)), (["fi"], ("fi", 0.0))],
)
def test_the_likeliest_language_is_one_of_the_candidates(candidates: list[str], expected: tuple[str, float]) -> None:
    probabilities = {"de": 0.5, "es": 0.375, "en": 0.125}
    assert likeliest(probabilities, candidates) == pytest.approx(expected)
