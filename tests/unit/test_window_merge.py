"""Values of windows become one, by rules that can be counted on."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import Role
from domain.fields import CustomField, FieldType, Option
from domain.ids import derived_id
from domain.turns import Turn
from domain.values import EvidenceState, Quote, Searched, ValueKind
from services.answers import CheckedValue
from services.window_merge import MAX_QUOTES, WindowValue, findings, merge, needs_call, quoted_turns

LETTERS = ("a", "b", "c")


def field(kind: FieldType) -> CustomField:
    chooses = kind in (FieldType.CHOICE, FieldType.MULTI_CHOICE)
    options = tuple(Option(id=letter, label=letter) for letter in LETTERS) if chooses else ()
    return CustomField(id=derived_id("test", kind.value), key="of_it", type=kind, label="Of it", options=options)


VALUES: dict[FieldType, st.SearchStrategy[object]] = {
    FieldType.INTEGER: st.integers(-9, 9),
    FieldType.DECIMAL: st.floats(-9, 9),
    FieldType.DATE: st.dates().map(str),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.CHOICE: st.sampled_from(LETTERS),
    FieldType.MULTI_CHOICE: st.sets(st.sampled_from(LETTERS)).map(lambda s: tuple(sorted(s))),
    FieldType.TEXT: st.text("xyz", min_size=1, max_size=5),
}
TURNS_A_WINDOW = 10
TURNS = tuple(
    Turn(number=n, role=Role.CUSTOMER, participant_id="c", text=f"these are the words of turn {n}")
    for n in range(1, 61)
)


def window_value(
    of: CustomField,
    number: int,
    value: object,
    kind: ValueKind = ValueKind.INFERRED,
    *,
    turns: int = TURNS_A_WINDOW,
    state: EvidenceState = EvidenceState.VERIFIED,
    words: tuple[str, ...] = (),
) -> WindowValue:
    """What window `number` (0, 1, …) gave; it quotes its first turns."""
    first = number * TURNS_A_WINDOW
    window = TURNS[first : first + turns]
    quotes = tuple(Quote(turn=t.number, quote=t.text, start=0, end=len(t.text), role=t.role) for t in window[:3])
    known = kind is not ValueKind.UNKNOWN
    checked = CheckedValue(
        of,
        kind,
        value if known else None,  # type: ignore[arg-type]  # a valid value of the field
        f"said in window {number}",
        quotes if known and state is EvidenceState.VERIFIED else (),
        state if known else EvidenceState.NONE,
        Searched(first=first + 1, last=first + turns, words=words) if words else None,
    )
    return WindowValue(window, checked)


@st.composite
def answers(draw: st.DrawFn, *kinds: FieldType) -> list[WindowValue]:
    """What up to six windows gave for a field of one of the types."""
    of = field(draw(st.sampled_from(kinds or tuple(VALUES))))
    return [
        window_value(
            of,
            number,
            draw(VALUES[of.type]),
            draw(st.sampled_from(ValueKind)),
            turns=draw(st.integers(1, TURNS_A_WINDOW)),
        )
        for number in range(draw(st.integers(1, 6)))
    ]


def known(given_: Sequence[WindowValue]) -> list[WindowValue]:
    return [one for one in given_ if one.value.kind is not ValueKind.UNKNOWN]


def merged(given_: Sequence[WindowValue]) -> CheckedValue:
    return merge(given_[0].value.field, given_, TURNS)


@given(answers())
def test_it_is_unknown_exactly_when_no_window_knows(given_: list[WindowValue]) -> None:
    value = merged(given_)
    assert (value.kind is ValueKind.UNKNOWN) == (not known(given_))
    assert (value.value is None) == (not known(given_))


@given(answers())
def test_a_valid_value_comes_out_of_valid_values(given_: list[WindowValue]) -> None:
    value = merged(given_)
    if value.kind is not ValueKind.UNKNOWN:
        shown = list(value.value) if isinstance(value.value, tuple) else value.value
        assert value.field.check(shown) == value.value


@given(answers())
def test_windows_that_know_nothing_change_nothing(given_: list[WindowValue]) -> None:
    if known(given_):
        assert merged(known(given_)) == merged(given_)


@given(answers(), st.integers(1, 5))
def test_what_every_window_says_is_the_value(given_: list[WindowValue], times: int) -> None:
    one = given_[0].value
    same = [window_value(one.field, n, one.value, one.kind) for n in range(times)]
    assert merged(same).value == one.value
    assert merged(same).kind is one.kind


@given(answers())
def test_quotes_keep_their_turns_and_belong_to_windows_of_the_value(given_: list[WindowValue]) -> None:
    value = merged(given_)
    every = {quote for one in known(given_) for quote in one.value.evidence}
    assert set(value.evidence) <= every
    assert len(value.evidence) <= MAX_QUOTES
    assert [q.turn for q in value.evidence] == sorted(q.turn for q in value.evidence)
    assert all(TURNS[q.turn - 1].text == q.quote for q in value.evidence)
    if value.field.type is not FieldType.MULTI_CHOICE and value.kind is not ValueKind.UNKNOWN:
        saying = {q for one in known(given_) if one.value.value == value.value for q in one.value.evidence}
        assert set(value.evidence) <= saying


@given(answers(FieldType.INTEGER, FieldType.DECIMAL, FieldType.DATE))
def test_a_number_is_the_last_one_stated_else_the_last_one_inferred(given_: list[WindowValue]) -> None:
    if known(given_):
        stated = [one for one in known(given_) if one.value.kind is ValueKind.STATED]
        assert merged(given_).value == (stated or known(given_))[-1].value.value


@given(answers(FieldType.BOOLEAN))
def test_what_happened_once_happened(given_: list[WindowValue]) -> None:
    if known(given_):
        assert merged(given_).value is any(one.value.value for one in known(given_))


@given(answers(FieldType.CHOICE))
def test_a_choice_is_what_most_turns_speak_for_among_the_stated(given_: list[WindowValue]) -> None:
    voting = [one for one in known(given_) if one.value.kind is ValueKind.STATED] or known(given_)
    if voting:
        votes = {option: sum(one.weight for one in voting if one.value.value == option) for option in LETTERS}
        best = merged(given_).value
        assert votes[str(best)] == max(votes.values())
        tied = [one for one in voting if votes[str(one.value.value)] == max(votes.values())]
        assert best == tied[-1].value.value, "the later of equals"


@given(answers(FieldType.MULTI_CHOICE))
def test_several_choices_are_all_that_were_found(given_: list[WindowValue]) -> None:
    if known(given_):
        every = {option for one in known(given_) for option in one.value.value}  # type: ignore[union-attr]
        assert merged(given_).value == tuple(sorted(every))


@given(answers(FieldType.TEXT))
def test_a_text_takes_one_more_call_when_several_windows_have_something_to_say(given_: list[WindowValue]) -> None:
    of = given_[0].value.field
    assert needs_call(of, given_) == (len(known(given_)) > 1)
    lines = findings([of], [given_])
    assert [json.loads(line)["value"] for line in lines] == [one.value.value for one in known(given_)]
    assert all("\n" not in line for line in lines)
    quoted = {quote.turn for one in known(given_) for quote in one.value.evidence}
    assert {turn.number for turn in quoted_turns([given_], TURNS)} == quoted


def test_a_long_quoted_turn_shows_only_what_was_quoted() -> None:
    of = field(FieldType.TEXT)
    long = Turn(number=1, role=Role.CUSTOMER, participant_id="c", text="word " * 900 + "it broke" + " word" * 900)
    start = long.text.index("it broke")
    quote = Quote(turn=1, quote="it broke", start=start, end=start + 8, role=Role.CUSTOMER)
    value = CheckedValue(of, ValueKind.STATED, "It broke.", "", (quote,), EvidenceState.VERIFIED)
    (shown,) = quoted_turns([[WindowValue((long,), value)]], (long,))
    assert (shown.number, shown.text) == (1, "it broke")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((EvidenceState.VERIFIED, EvidenceState.VERIFIED), EvidenceState.VERIFIED),
        ((EvidenceState.VERIFIED, EvidenceState.UNSUPPORTED), EvidenceState.UNSUPPORTED),
        ((EvidenceState.UNSUPPORTED, EvidenceState.UNSUPPORTED), EvidenceState.UNSUPPORTED),
        ((EvidenceState.SEARCHED, EvidenceState.UNSUPPORTED), EvidenceState.UNSUPPORTED),
        ((EvidenceState.SEARCHED, EvidenceState.VERIFIED), EvidenceState.VERIFIED),
        ((EvidenceState.SEARCHED, EvidenceState.SEARCHED), EvidenceState.SEARCHED),
    ],
)
def test_a_merged_value_is_as_sound_as_its_least_sound_window(
    states: tuple[EvidenceState, ...], expected: EvidenceState
) -> None:
    of = field(FieldType.BOOLEAN)
    given_ = [
        window_value(of, n, False, state=state, words=("voucher",) if state is EvidenceState.SEARCHED else ())
        for n, state in enumerate(states)
    ]
    assert merged(given_).evidence_state is expected


def test_an_absence_is_searched_for_again_in_all_turns() -> None:
    of = field(FieldType.BOOLEAN)
    searched = EvidenceState.SEARCHED
    held = merged([window_value(of, n, False, state=searched, words=(w,)) for n, w in enumerate(("refund", "voucher"))])
    assert held.searched == Searched(first=1, last=60, words=("refund", "voucher"))
    # the second window looked for what the first one holds
    broken = merged(
        [window_value(of, n, False, state=searched, words=(w,)) for n, w in enumerate(("refund", "turn 3"))]
    )
    assert (broken.searched, broken.evidence_state) == (None, EvidenceState.UNSUPPORTED)
