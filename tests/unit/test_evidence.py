"""Quotes: found exactly, from the right person, and saying something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import Role
from domain.evidence import ClaimedQuote, QuoteProblem, RejectedQuote, VerifiedQuote, is_distinctive, verify
from domain.turns import Turn


def turns(*said: tuple[Role, str]) -> tuple[Turn, ...]:
    return tuple(
        Turn(number=n, role=role, participant_id=role.value, text=text) for n, (role, text) in enumerate(said, start=1)
    )


TALK = turns(
    (Role.AGENT, "How would you rate us from 1 to 5?"),
    (Role.CUSTOMER, "2"),
    (Role.CUSTOMER, "The router — you know, the  new one — kept   dropping.\nI’m fed up"),
    (Role.AGENT, "I understand you are fed up."),
    (Role.CUSTOMER, "ok"),
)


def test_offsets_lead_to_the_words_as_they_stand():
    outcome = verify(TALK, ClaimedQuote(turn=3, quote='"KEPT dropping. i\'m fed UP"'), Role.CUSTOMER)
    assert isinstance(outcome, VerifiedQuote)
    quote = outcome.quote
    assert quote.quote == "kept   dropping.\nI’m fed up"
    assert TALK[2].text[quote.start : quote.end] == quote.quote


def test_a_wrong_turn_number_is_mended():
    outcome = verify(TALK, ClaimedQuote(turn=1, quote="kept dropping"), Role.CUSTOMER)
    assert isinstance(outcome, VerifiedQuote)
    assert outcome.quote.turn == 3


@pytest.mark.parametrize(
    ("quote", "role", "problem"),
    [
        ("the modem kept dropping", Role.CUSTOMER, QuoteProblem.NOT_FOUND),
        ("", None, QuoteProblem.NOT_FOUND),
        ("router - you know, the new on", None, QuoteProblem.NOT_FOUND),
        ("I understand you are fed up", Role.CUSTOMER, QuoteProblem.WRONG_ROLE),
        ("ok", Role.CUSTOMER, QuoteProblem.NOT_DISTINCTIVE),
    ],
)
def test_what_does_not_hold_is_named(quote, role, problem):
    outcome = verify(TALK, ClaimedQuote(turn=3, quote=quote), role)
    assert isinstance(outcome, RejectedQuote)
    assert outcome.problem is problem


def test_a_number_counts_where_a_rating_was_asked_for():
    assert isinstance(verify(TALK, ClaimedQuote(turn=2, quote="2"), Role.CUSTOMER), VerifiedQuote)
    plain = turns((Role.AGENT, "Which one?"), (Role.CUSTOMER, "2"))
    assert isinstance(verify(plain, ClaimedQuote(turn=2, quote="2"), Role.CUSTOMER), RejectedQuote)


def test_a_habit_of_speech_supports_nothing():
    habit = turns(*[(Role.CUSTOMER, "you know what I mean, terrible")] * 4)
    outcome = verify(habit, ClaimedQuote(turn=1, quote="terrible"), Role.CUSTOMER)
    assert isinstance(outcome, RejectedQuote)
    assert outcome.problem is QuoteProblem.NOT_DISTINCTIVE


@pytest.mark.parametrize("quote", ["Thank you, bye", "ok thanks!", "[name] [card]", "gracias, muy buenos días"[:8]])
def test_politeness_and_masks_are_not_distinctive(quote):
    assert not is_distinctive(quote)


@given(st.text(min_size=1, max_size=200), st.data())
def test_any_slice_on_word_borders_is_found_or_empty(text: str, data):
    words = text.split()
    if not words:
        return
    start = data.draw(st.integers(0, len(words) - 1))
    stop = data.draw(st.integers(start + 1, len(words)))
    quote = " ".join(words[start:stop])
    outcome = verify(turns((Role.CUSTOMER, text)), ClaimedQuote(turn=1, quote=quote), Role.CUSTOMER)
    if isinstance(outcome, VerifiedQuote):
        assert 0 <= outcome.quote.start < outcome.quote.end <= len(text)
    else:
        assert outcome.problem is not QuoteProblem.WRONG_ROLE
