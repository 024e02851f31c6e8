"""How much a customer said, in words, whatever the script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.text import word_count


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" \n\t ", 0),
        ("My parcel has not come.", 5),
        ("Où est-il ?", 3),
        ("我的包裹到现在还没有到", 6),
        ("荷物がまだ届きません。", 6),
        ("ขอบคุณ", 3),
        ("order 123 还没到", 4),
    ],
)
def test_words_are_counted_in_every_script(text: str, words: int) -> None:
    assert word_count(text) == words


@given(st.text(), st.text())
def test_two_texts_have_the_words_of_both(one: str, other: str) -> None:
    assert abs(word_count(f"{one}\n{other}") - word_count(one) - word_count(other)) <= 1
