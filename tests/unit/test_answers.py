"""Nothing a model says passes unchecked."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import Role
from domain.errors import EngineAnswerEmpty, EngineAnswerError, EngineAnswerMalformed, EngineRefused
from domain.fields import CustomField, FieldType
from domain.ids import derived_id
from domain.values import EvidenceState, Searched, ValueKind
from services.answers import CheckedValue, Ground, SchemaMismatch, check, check_fields, runs_in_circles
from tests.support.samples import CSAT, MOOD, TALK

OFFERED = CustomField(id=derived_id("test", "offered"), key="offered", type=FieldType.BOOLEAN, label="Offered")
GOOD = {
    "kind": "stated",
    "value": 2,
    "explanation": "Says so.",
    "evidence": [{"turn": 4, "quote": "two out of five"}],
}


def answer(**changes: object) -> str:
    return json.dumps({"csat": GOOD | changes})


def test_a_checked_answer_has_value_and_verified_quote():
    (value,) = check(answer(), (CSAT,), TALK, Role.CUSTOMER)
    assert (value.kind, value.value, value.evidence_state) == (ValueKind.STATED, 2, EvidenceState.VERIFIED)
    assert value.evidence[0].turn == 4


def test_an_answer_in_a_code_fence_is_read():
    assert check(f"```json\n{answer()}\n```", (CSAT,), TALK, Role.CUSTOMER)[0].value == 2


def test_unknown_carries_neither_value_nor_quotes():
    (value,) = check(answer(kind="unknown"), (CSAT,), TALK, Role.CUSTOMER)
    assert (value.value, value.evidence, value.evidence_state) == (None, (), EvidenceState.NONE)


@pytest.mark.parametrize(
    ("evidence", "kept"),
    [
        ([], 0),
        ([{"turn": 4, "quote": "five out of five"}], 0),
        ([{"turn": 3, "quote": "send a technician on Friday"}], 0),
        ([{"turn": 4, "quote": "two out of five"}, {"turn": 2, "quote": "never said"}], 1),
    ],
)
def test_a_quote_that_does_not_hold_makes_the_value_unsupported(evidence, kept):
    (value,) = check(answer(evidence=evidence), (CSAT,), TALK, Role.CUSTOMER)
    assert value.evidence_state is EvidenceState.UNSUPPORTED
    assert len(value.evidence) == kept


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EngineAnswerEmpty),
        ("  \n", EngineAnswerEmpty),
        ("<html>502</html>", EngineAnswerMalformed),
        (answer()[:40], EngineAnswerMalformed),
        ("[1, 2]", EngineAnswerMalformed),
        ("[" * 100_000, EngineAnswerMalformed),
        ("{}", SchemaMismatch),
        (answer(value=9), SchemaMismatch),
        (answer(value="two"), SchemaMismatch),
        (answer(value=True), SchemaMismatch),
        (answer(value=2.5), SchemaMismatch),
        (answer(kind="certain"), SchemaMismatch),
        (json.dumps({"csat": {k: v for k, v in GOOD.items() if k != "value"}}), SchemaMismatch),
    ],
)
def test_bad_answers_are_named_and_never_stored(text, error):
    with pytest.raises(error) as raised:
        check(text, (CSAT,), TALK, Role.CUSTOMER)
    assert "technician" not in raised.value.message


def test_what_nobody_asked_for_is_not_looked_at():
    (value,) = check(json.dumps({"csat": GOOD, "nps": GOOD, "extra": 1}), (CSAT,), TALK, Role.CUSTOMER)
    assert (value.field.key, value.value) == ("csat", 2)


def test_an_unknown_option_is_refused():
    with pytest.raises(SchemaMismatch):
        check(json.dumps({"mood": GOOD | {"value": "great"}}), (MOOD,), TALK, None)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GOOD, "csat", "x"]), inner),
        max_leaves=12,
    )
)
def test_whatever_json_comes_it_is_a_value_or_a_typed_error(body):
    try:
        values = check(json.dumps(body), (CSAT,), TALK, None)
    except EngineAnswerError:
        return
    assert len(values) == 1


BARE = {"kind": "inferred", "explanation": "Nobody says so.", "evidence": []}
ABSENT = {"from": 1, "to": 4, "words": ["voucher", "compensation"]}


def offered(**changes: object) -> CheckedValue:
    (value,) = check(json.dumps({"offered": BARE | {"value": False} | changes}), (OFFERED,), TALK, None)
    return value


def test_a_value_may_rest_on_words_that_nobody_said():
    value = offered(absent=ABSENT)
    assert (value.value, value.evidence_state, value.evidence) == (False, EvidenceState.SEARCHED, ())
    assert value.searched == Searched(first=1, last=4, words=("voucher", "compensation"))


@pytest.mark.parametrize(
    "absent",
    [
        None,
        ABSENT | {"words": ["technician"]},
        ABSENT | {"words": ["ok"]},
        ABSENT | {"words": []},
        ABSENT | {"to": 3},
    ],
)
def test_without_a_quote_and_without_an_absence_that_holds_a_value_is_unsupported(absent):
    value = offered(**({} if absent is None else {"absent": absent}))
    assert (value.evidence_state, value.searched) == (EvidenceState.UNSUPPORTED, None)


def test_where_there_is_a_quote_it_decides():
    """Models like to fill what they may leave out."""
    quote = [{"turn": 4, "quote": "this is the third visit"}]
    value = offered(evidence=quote, absent=ABSENT | {"words": []})
    assert (value.evidence_state, value.searched) == (EvidenceState.VERIFIED, None)
    value = offered(evidence=[{"turn": 4, "quote": "never said"}], absent=ABSENT)
    assert (value.evidence_state, value.searched) == (EvidenceState.UNSUPPORTED, None)


def test_only_values_that_can_rest_on_an_absence_may_claim_one():
    with pytest.raises(SchemaMismatch):
        check(answer(absent=ABSENT), (CSAT,), TALK, Role.CUSTOMER)


def test_an_answer_of_before_absences_is_read_as_it_was():
    """What is recorded keeps its meaning: nothing that was asked for then is missing now."""
    assert (
        offered(evidence=[{"turn": 3, "quote": "send a technician on Friday"}]).evidence_state is EvidenceState.VERIFIED
    )


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this request",
        "As an AI, I do not",
        "I’m unable to.",
    ],
)
def test_a_model_that_declines_is_told_from_one_that_talks_nonsense(text):
    with pytest.raises(EngineRefused):
        check(text, (CSAT,), TALK, None)


def test_a_refusal_inside_an_answer_is_no_refusal():
    value = check(answer(explanation="I'm sorry, I can't say more."), (CSAT,), TALK, Role.CUSTOMER)[0]
    assert value.value == 2


@pytest.mark.parametrize(
    ("end", "circles"),
    [
        ("ha " * 100, True),
        ("\n" * 400, True),
        ("and the customer said that the customer said that " * 8, True),
        ('{"turn": 1, "quote": "again"}, ' * 10, True),
        (" ".join(str(n * n) for n in range(200)), False),
        ('"The customer was charged twice and wants the second payment back. The agent', False),
        ("ha " * 20, False),
        ("", False),
    ],
)
def test_an_answer_that_runs_in_circles_is_told_from_a_long_one(end, circles):
    assert runs_in_circles('{"summary": {"kind": "stated", "value": "' + end) is circles


@given(st.text(min_size=1, max_size=120), st.integers(0, 119))
def test_whatever_is_repeated_often_enough_is_a_circle(piece: str, cut: int):
    text = piece * (2 + 160 // len(piece) + 3)
    assert runs_in_circles(text[: len(text) - cut % len(piece)])


SUMMARY = CustomField(id=derived_id("test", "summary"), key="summary", type=FieldType.TEXT, label="Summary")
GERMAN = (
    "Der Kunde sagt, dass der Router jeden Abend die Verbindung verliert, und er ist sehr verärgert, weil dies schon "
    "der dritte Besuch ist."
)
RUSSIAN = "Клиент недоволен: его маршрутизатор каждый вечер теряет соединение, и это уже третий визит."
ENGLISH = "The customer says that the router drops the connection every evening, and that this is the third visit."


@pytest.mark.parametrize(
    ("text", "wanted", "language", "strange"),
    [
        (ENGLISH, None, "en", False),
        (ENGLISH, None, None, False),
        (GERMAN, None, "en", True),
        (GERMAN, None, None, True),
        (RUSSIAN, None, "en", True),
        (GERMAN, "de", "en", False),
        (ENGLISH, "de", "en", True),
        (RUSSIAN, "en-GB", "en", True),
        ("Router Speedport W 724V", None, "en", False),
        ("Ok.", None, "en", False),
    ],
)
def test_a_text_in_another_language_is_sent_back(text, wanted, language, strange):
    given_ = {"summary": GOOD | {"value": text}}
    ground = Ground(TALK, None, answer_language=wanted, language=language)
    if not strange:
        assert check_fields(given_, (SUMMARY,), ground)[0].value == text
        return
    with pytest.raises(SchemaMismatch) as raised:
        check_fields(given_, (SUMMARY,), ground)
    assert "summary.value is not written in" in raised.value.message
    assert text not in raised.value.message


def test_one_part_of_an_answer_is_judged_without_the_others():
    """A fused answer: what is wrong with one field is nobody else's trouble."""
    given_ = {"csat": GOOD, "mood": GOOD | {"value": "great"}}
    assert check_fields(given_, (CSAT,), Ground(TALK, Role.CUSTOMER))[0].value == 2
    with pytest.raises(SchemaMismatch, match=r"mood\.value"):
        check_fields(given_, (MOOD,), Ground(TALK))
    with pytest.raises(SchemaMismatch, match="offered is missing"):
        check_fields(given_, (OFFERED,), Ground(TALK))
