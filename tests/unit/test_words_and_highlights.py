"""How text is cut into words, how a query is read, and what of a conversation is shown for it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import Role
from domain.errors import InvalidInput
from domain.highlights import FRAGMENT_CHARACTERS, Fragment, fragments, is_close
from domain.search import MAX_INDEXED_WORDS, SearchDocument, Term, TurnWords, read_words
from domain.turns import Turn
from domain.words import MAX_WORD_CHARACTERS, words
from storage.search import vectors
from storage.search.meilisearch_documents import POSITIONS_PER_ATTRIBUTE, query_text, spread
from tests.support.search_cases import conversation, turn


def cut(text: str) -> list[str]:
    return [word.text for word in words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't REFUND Müller's Straße!", ["don", "t", "refund", "muller", "s", "strasse"]),
        ("naïve café, Łódź; Ørsted", ["naive", "cafe", "lodz", "orsted"]),
        ("退款 OK", ["退", "款", "ok"]),
        ("مُحَمَّد أحمد", ["محمد", "احمد"]),
        ("שָׁלוֹם", ["שלום"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("👍🏽 great 👨‍👩‍👧", ["u1f44d", "great", "u1f468", "u1f469", "u1f467"]),
        ("ﬁne Ⅷ ٣٤", ["fine", "viii", "34"]),
        ("x_y a.b@c.de 12,5 co\u00adop", ["x", "y", "a", "b", "c", "de", "12", "5", "coop"]),
        ("", []),
        ("... -- \u200d\u0301", []),
    ],
)
def test_cut_and_folded(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@given(st.text())
def test_words_stand_where_they_say_and_fold_to_themselves(text: str) -> None:
    found = list(words(text))
    for before, after in pairwise(found):
        assert before.end <= after.start
    for word in found:
        assert 0 <= word.start < word.end <= len(text)
        assert 0 < len(word.text) <= MAX_WORD_CHARACTERS
        assert cut(text[word.start : word.end]) == [word.text]


@given(st.text())
def test_case_and_repetition_change_nothing(text: str) -> None:
    assert cut(text + " " + text) == cut(text) * 2


def test_a_query_is_read() -> None:
    read = read_words('refund "late  Delivery" -broken -"not ours" a.b@c.de refund', prefix=True)
    assert read.terms == (
        Term(("refund",), prefix=True),
        Term(("late", "delivery")),
        Term(("a", "b", "c", "de")),
    )
    assert read.without == (Term(("broken",)), Term(("not", "ours")))
    assert read.quoted == {Term(("late", "delivery")), Term(("not", "ours"))}


@pytest.mark.parametrize(
    ("text", "terms", "without"),
    [
        ("", 0, 0),
        ('"', 0, 0),
        ('"open phrase', 1, 0),
        ("-", 0, 0),
        ("--x", 0, 1),
        ("a-b", 1, 0),
        ("- x", 1, 0),
        ('x"y z"', 2, 0),
        ("!!! ???", 0, 0),
        ("a a A", 1, 0),
        (" ".join(f"w{n}" for n in range(14)), 10, 0),
    ],
)
def test_odd_queries(text: str, terms: int, without: int) -> None:
    read = read_words(text)
    assert (len(read.terms), len(read.without)) == (terms, without)


def test_an_unfinished_word_is_the_last_one_unless_it_is_finished() -> None:
    assert [t.prefix for t in read_words("late refu", prefix=True).terms] == [False, True]
    for finished in ("late refu ", 'late "refu"', "late -refu", "late a.refu"):
        assert not any(t.prefix for t in read_words(finished, prefix=True).terms), finished


def test_a_query_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput):
        read_words("x" * 1001)


def test_the_engines_query_text() -> None:
    assert (
        query_text(read_words('refu late "the end" -broken b2b -"a b"')) == '-broken -"a b" refu late "the end" "b2b" '
    )
    assert query_text(read_words("late refu", prefix=True)) == "late refu"


# -- documents ----------------------------------------------------------------------------------------------


def document(*texts: str) -> SearchDocument:
    tenant, identity = "0" * 32, "00000000-0000-4000-8000-000000000001"
    return SearchDocument.of(conversation(tenant, identity), [turn(n, text) for n, text in enumerate(texts, 1)])


def test_only_the_first_sixty_thousand_words_are_kept_and_it_is_said() -> None:
    made = document(*["one two three"] * 20_001)
    assert made.total_words == 60_003
    assert made.partial
    assert sum(len(t.words) for t in made.turns) == MAX_INDEXED_WORDS
    assert not document("just this").partial


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=400), min_size=1, max_size=40))
def test_every_word_and_phrase_is_in_some_part(turns: list[list[str]]) -> None:
    kept = [TurnWords(number=n, words=tuple(w)) for n, w in enumerate(turns, 1)]
    parts, whole = vectors.vectors(kept)
    assert whole
    places: list[dict[int, str]] = []
    for part in parts:
        at: dict[int, str] = {}
        for lexeme in part.split(" "):
            word, _, positions = lexeme.rpartition(":")
            numbers = [int(p) for p in positions.split(",")]
            assert len(numbers) <= 255
            assert max(numbers) <= 16_383
            at.update(dict.fromkeys(numbers, word.strip("'")))
        places.append(at)
    pairs = {(at[p], at[p + 1]) for at in places for p in at if p + 1 in at}
    assert pairs == {pair for words in turns for pair in pairwise(words)}


def test_too_many_different_words_are_said_not_to_be_whole() -> None:
    words = tuple(f"{n:060}" for n in range(20_000))
    parts, whole = vectors.vectors([TurnWords(number=1, words=words)])
    assert not whole
    assert parts


def test_turns_are_spread_within_an_attributes_room() -> None:
    turns = [TurnWords(number=n, words=("a", "b")) for n in range(1, 12_001)]
    turns.append(TurnWords(number=12_001, words=tuple(f"w{n}" for n in range(50_000))))
    texts, numbers, whole = spread(turns)
    assert whole
    assert [len(t) for t in texts] == [len(n) for n in numbers]
    assert all(sum(len(e.split()) + 8 for e in t) <= POSITIONS_PER_ATTRIBUTE for t in texts)
    assert {n for of in numbers for n in of} == set(range(1, 12_002))
    everything = [TurnWords(number=n, words=("a",) * 39_000) for n in range(1, 12)]
    texts, _, whole = spread(everything)
    assert not whole
    assert len(texts) == 8


# -- highlights ---------------------------------------------------------------------------------------------


def marked(fragment: Fragment) -> list[str]:
    return [fragment.text[span.start : span.end] for span in fragment.spans]


TURNS = [
    turn(1, "Hello, I am calling about my refund."),
    turn(2, "Let me look."),
    turn(3, "The REFUND was promised, and the delivery is late. Late delivery again!"),
    turn(4, "We sent the refund yesterday"),
    turn(5, "Müller & Söhne 👍 退款"),
]


def test_fragments_show_the_terms_in_the_order_of_the_turns() -> None:
    found = fragments(TURNS, read_words('refund "late delivery"'))
    assert [f.turn for f in found] == [1, 3, 4]
    assert marked(found[1]) == ["REFUND", "Late delivery"]
    assert found[1].role is Role.CUSTOMER
    assert all(TURNS[f.turn - 1].text[f.offset :].startswith(f.text) for f in found)


def test_the_best_turns_are_chosen() -> None:
    many = [turn(n, "refund") for n in range(1, 9)] + [turn(9, "the late refund"), turn(10, "late")]
    found = fragments(many, read_words("late refund"))
    assert [f.turn for f in found] == [1, 2, 9]


@pytest.mark.parametrize(
    ("query", "expected"),
    [("muller", ["Müller"]), ("söhne", ["Söhne"]), ("👍", ["👍"]), ("退款", ["退款"]), ("款", ["款"]), ("absent", [])],
)
def test_folded_words_are_marked_as_written(query: str, expected: list[str]) -> None:
    assert [m for f in fragments(TURNS, read_words(query)) for m in marked(f)] == expected


def test_an_unfinished_word_marks_what_it_begins() -> None:
    (found,) = fragments([turn(1, "refunded at last")], read_words("refu", prefix=True))
    assert marked(found) == ["refunded"]


def test_slips_are_marked_only_where_the_index_says() -> None:
    turns = [turn(1, "a refnud please"), turn(2, "refunds are slow")]
    assert fragments(turns, read_words("refund")) == ()
    (one,) = fragments(turns, read_words("refund"), matched_turns=[1])
    assert marked(one) == ["refnud"]
    assert fragments(turns, read_words('"refund"'), matched_turns=[1, 2]) == ()


@pytest.mark.parametrize(
    ("wanted", "word", "close"),
    [
        ("refund", "refnud", True),
        ("refund", "refunds", True),
        ("refund", "refun", True),
        ("refund", "refine", False),
        ("late", "lake", False),
        ("chargeback", "chragebakc", True),
        ("chargeback", "discharge", False),
    ],
)
def test_closeness(wanted: str, word: str, close: bool) -> None:
    assert is_close(wanted, word) is close


def test_a_long_turn_is_shown_around_the_match() -> None:
    text = "blah " * 200 + "the refund was late " + "blah " * 200
    (found,) = fragments([turn(1, text)], read_words("refund late"))
    assert len(found.text) <= FRAGMENT_CHARACTERS
    assert marked(found) == ["refund", "late"]
    assert text[found.offset : found.offset + len(found.text)] == found.text
    assert found.text.startswith("blah")


def test_a_very_long_word_is_shown_whole() -> None:
    (found,) = fragments([turn(1, "x " + "a" * 500)], read_words("a" * 500))
    assert marked(found) == ["a" * 500]


@given(st.lists(st.text(max_size=300), max_size=6), st.text(max_size=20))
def test_fragments_are_cut_right_whatever_the_text(texts: list[str], query: str) -> None:
    turns = [Turn(number=n, role=Role.CUSTOMER, participant_id="c", text=t) for n, t in enumerate(texts, 1)]
    read = read_words(query)
    for found in fragments(turns, read):
        text = turns[found.turn - 1].text
        assert text[found.offset : found.offset + len(found.text)] == found.text
        assert found.spans
        for span in found.spans:
            assert 0 <= span.start < span.end <= len(found.text)
    said = {word for text in texts for word in cut(text)}
    if any(not term.is_phrase and term.words[0] in said for term in read.terms):
        assert fragments(turns, read)
