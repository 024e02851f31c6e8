"""Talk, silence and interruptions: arithmetic that holds for any spans."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audio import SpeechSpan
from domain.audio_facts import length_ms, talk_facts, union
from domain.conversation import Role

DURATION = 20_000


def span(start: int, end: int) -> SpeechSpan:
    return SpeechSpan(start_ms=start, end_ms=end)


@st.composite
def spans(draw: st.DrawFn, latest: int = DURATION) -> list[SpeechSpan]:
    """Any spans: out of order, overlapping, touching, empty."""
    pairs = draw(st.lists(st.tuples(st.integers(0, latest), st.integers(0, latest)), max_size=12))
    return [span(min(pair), max(pair)) for pair in pairs]


def milliseconds(of: list[SpeechSpan]) -> set[int]:
    return {ms for one in of for ms in range(one.start_ms, one.end_ms)}


@given(spans(400))
def test_a_union_covers_the_same_time_in_order_and_apart(some: list[SpeechSpan]) -> None:
    joined = union(some)
    assert milliseconds(list(joined)) == milliseconds(some)
    assert length_ms(some) == len(milliseconds(some))
    assert all(left.end_ms < right.start_ms for left, right in pairwise(joined))


@given(spans(), spans())
def test_ratios_are_shares_of_the_duration(agent: list[SpeechSpan], customer: list[SpeechSpan]) -> None:
    facts = talk_facts({Role.AGENT: agent, Role.CUSTOMER: customer}, DURATION)
    ratios = [*facts.talk_ratio.values(), facts.silence_ratio]
    assert all(0 <= ratio <= 1 for ratio in ratios)
    # whoever speaks most speaks no longer than anybody does; all of them together at least as long
    assert max(facts.talk_ratio.values()) <= 1 - facts.silence_ratio + 1e-9
    assert sum(ratios) >= 1 - 1e-9
    assert 0 <= facts.longest_silence_ms <= round(facts.silence_ratio * DURATION)


@given(spans(), spans())
def test_swapping_the_speakers_swaps_the_facts(one: list[SpeechSpan], other: list[SpeechSpan]) -> None:
    facts = talk_facts({Role.AGENT: one, Role.CUSTOMER: other}, DURATION)
    swapped = talk_facts({Role.AGENT: other, Role.CUSTOMER: one}, DURATION)
    assert facts.talk_ratio[Role.AGENT] == swapped.talk_ratio[Role.CUSTOMER]
    assert facts.interruptions[Role.AGENT] == swapped.interruptions[Role.CUSTOMER]
    assert facts.interruptions[Role.CUSTOMER] == swapped.interruptions[Role.AGENT]
    assert (facts.silence_ratio, facts.longest_silence_ms) == (swapped.silence_ratio, swapped.longest_silence_ms)


@given(spans(), spans(), st.integers(0, 50_000))
def test_a_later_start_adds_silence_and_changes_nothing_else(
    agent: list[SpeechSpan], customer: list[SpeechSpan], shift: int
) -> None:
    def later(some: list[SpeechSpan]) -> list[SpeechSpan]:
        return [span(s.start_ms + shift, s.end_ms + shift) for s in some]

    facts = talk_facts({Role.AGENT: agent, Role.CUSTOMER: customer}, DURATION)
    shifted = talk_facts({Role.AGENT: later(agent), Role.CUSTOMER: later(customer)}, DURATION + shift)
    assert shifted.interruptions == facts.interruptions
    for role, ratio in facts.talk_ratio.items():
        assert shifted.talk_ratio[role] * (DURATION + shift) == pytest.approx(ratio * DURATION)
    silence = shifted.silence_ratio * (DURATION + shift)
    assert silence == pytest.approx(facts.silence_ratio * DURATION + shift)


@given(spans(), spans(), spans())
def test_interruptions_by_walking_are_those_by_comparing_every_pair(
    agent: list[SpeechSpan], customer: list[SpeechSpan], bot: list[SpeechSpan]
) -> None:
    speech = {Role.AGENT: union(agent), Role.CUSTOMER: union(customer), Role.BOT: union(bot)}
    facts = talk_facts(speech, DURATION)
    for role, mine in speech.items():
        expected = sum(
            any(
                m.start_ms - o.start_ms >= 500 and min(m.end_ms, o.end_ms) - m.start_ms >= 300
                for name, other in speech.items()
                if name is not role
                for o in other
            )
            for m in mine
        )
        assert facts.interruptions[role] == expected


@pytest.mark.parametrize(
    ("started", "ended", "counted"),
    [(1_500, 1_800, 1), (1_499, 1_900, 0), (1_500, 1_799, 0), (2_800, 3_500, 0), (2_700, 3_500, 1), (500, 4_000, 0)],
)
def test_what_is_an_interruption(started: int, ended: int, counted: int) -> None:
    """The agent speaks from 1.0 s to 3.0 s: an interruption needs 500 ms of it before and 300 ms of it after."""
    facts = talk_facts({Role.AGENT: [span(1_000, 3_000)], Role.CUSTOMER: [span(started, ended)]}, 10_000)
    assert facts.interruptions[Role.CUSTOMER] == counted


def test_silence_counts_from_the_first_to_the_last_moment_of_the_call() -> None:
    facts = talk_facts({Role.AGENT: [span(1_000, 2_000)], Role.CUSTOMER: [span(3_000, 4_000)]}, 10_000)
    assert facts.longest_silence_ms == 6_000
    assert facts.silence_ratio == pytest.approx(0.8)
    assert talk_facts({Role.AGENT: [], Role.CUSTOMER: []}, 10_000).longest_silence_ms == 10_000


def test_speech_beyond_the_end_of_the_call_is_cut() -> None:
    facts = talk_facts({Role.AGENT: [span(9_000, 30_000)], Role.CUSTOMER: [span(40_000, 41_000)]}, 10_000)
    assert facts.talk_ratio == {Role.AGENT: 0.1, Role.CUSTOMER: 0.0}


def test_a_call_without_duration_has_no_facts() -> None:
    with pytest.raises(ValueError, match="duration"):
        talk_facts({}, 0)
