"""Telephone speech nobody punctuated, and turns whose speaker nobody knows. No line is of a labelled case."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import Role
from domain.turns import Turn
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.speech import asks
from engines.language_models.offline.text import fold, spans, words
from tests.support.offline import conversation, value_of


def pieces(text: str) -> list[str]:
    return [text[a:b] for a, b in spans(text)]


@pytest.mark.parametrize(
    ("said", "cut"),
    [
        (
            "yeah i ordered a heater last week and it still hasn't come",
            ["yeah i ordered a heater last week", "and it still hasn't come"],
        ),
        (
            "that's great thank you i'll wait for the letter then goodbye",
            ["that's great", "thank you", "i'll wait for the letter then goodbye"],
        ),
        (
            "if you bring the old one to the shop we'll swap it for a new one",
            ["if you bring the old one to the shop we'll swap it for a new one"],
        ),
        ("they told me it's free for the first three months of it", None),
        ("the total is one hundred and thirty five euros and eighty cents please", None),
        ("what time would you like to come in on thursday then", None),
        ("The parcel came today and I would like to send it back, please.", None),
    ],
)
def test_where_a_clause_begins(said: str, cut: list[str] | None) -> None:
    assert pieces(said) == (cut or [said])


SPOKEN = ("i", "it's", "okay", "and", "if", "you", "the", "bill", "is", "was", "thanks", "but", "when", "can", "fine")


@given(st.lists(st.sampled_from(SPOKEN), max_size=60))
def test_no_word_of_speech_is_lost(said: list[str]) -> None:
    text = " ".join(said)
    cut = spans(text)
    assert all(a < b for a, b in cut)
    assert all(one[1] <= other[0] for one, other in pairwise(cut))
    assert [w for a, b in cut for w in words(fold(text[a:b]))] == said


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ("can you tell me when it opens", True),
        ("okay and how long does that take", True),
        ("so what is the fee", True),
        ("you can tell me when it opens", False),
        ("the one that is by the door", False),
        ("i don't know how it works", False),
    ],
)
def test_a_question_without_its_mark(said: str, question: bool) -> None:
    assert asks(said) is question


def unknown_speakers(*said: str) -> tuple[Turn, ...]:
    return tuple(
        Turn(number=n, role=Role.UNKNOWN, participant_id="mixed", text=text) for n, text in enumerate(said, start=1)
    )


def test_turns_tell_who_speaks_when_nobody_does() -> None:
    turns = unknown_speakers(
        "city library good morning",
        "hello i'd like to know if i can bring back books on a sunday",
        "yes there's a box beside the door it's open day and night",
        "lovely and what happens if they're late",
        "it's ten cents a day for each book",
        "okay thanks bye",
    )
    roles = {s.turn: s.role for s in Analysis(turns, "en").sentences}
    assert [roles[n] for n in range(1, 7)] == [Role.AGENT, Role.CUSTOMER] * 3
    assert {t.role for t in turns} == {Role.UNKNOWN}, "a guess is no fact"


def test_what_an_agent_says_among_unknown_speakers_is_not_the_customers() -> None:
    lines = ("U: garden centre how can i help", "U: hi i need a new hose", "U: i'll put one aside for you till friday")
    assert value_of("csat", *lines) is None


def test_feelings_of_one_run_stay_in_their_clauses() -> None:
    said = "C: no no i like the table it's the chairs that wobble and the other shop was terrible about it"
    strengths = [f.strength for f in Analysis(conversation(said), "en").feelings]
    assert max(strengths) > 0
