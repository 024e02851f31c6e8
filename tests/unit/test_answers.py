"""Nothing a model says passes unchecked."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import Role
from domain.errors import EngineAnswerEmpty, EngineAnswerError, EngineAnswerMalformed
from domain.values import EvidenceState, ValueKind
from services.answers import SchemaMismatch, check
from tests.support.samples import CSAT, MOOD, TALK

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
