"""What a value rests on, and what is wrong with it, is said wherever it is shown."""

from io import StringIO
from typing import Any

from rich.console import Console

from api.schemas.values import ValueOut
from cli import output
from domain.conversation import Role
from domain.values import EvidenceState, FieldValue, Searched, ValueKind
from services.explain_fields import FieldState, explain_field
from tests.support import samples
from tests.support.samples import CSAT, NOON, conversation


def shown(**changes: Any) -> FieldValue:
    base = {
        "id": CSAT.id,
        "tenant_id": samples.TENANT,
        "conversation_id": samples.CONVERSATION,
        "revision": 1,
        "subject_id": samples.CONVERSATION,
        "field_id": CSAT.id,
        "field_key": "csat",
        "kind": ValueKind.INFERRED,
        "value": 2,
        "created_at": NOON,
    }
    return FieldValue(**base | changes)


SEARCHED = shown(
    evidence_state=EvidenceState.SEARCHED, searched=Searched(first=1, last=9, words=("voucher",), role=Role.AGENT)
)
SUSPECT = shown(evidence_state=EvidenceState.UNSUPPORTED, suspect_turns=(3, 5), call_group="one-call")


def told(value: FieldValue) -> str:
    console = Console(width=200, file=StringIO(), record=True)
    console.print(output.values([ValueOut.of(value, {CSAT.id: CSAT}, {})]))
    return console.export_text()


def test_the_api_tells_what_was_searched_what_is_suspect_and_who_shared_the_call() -> None:
    searched, suspect = (ValueOut.of(value, {CSAT.id: CSAT}, {}) for value in (SEARCHED, SUSPECT))
    assert searched.searched is not None
    assert (searched.searched.first, searched.searched.last, searched.searched.words) == (1, 9, ["voucher"])
    assert (searched.suspect_turns, searched.provenance.call_group) == ([], None)
    assert suspect.searched is None
    assert (suspect.suspect_turns, suspect.provenance.call_group) == ([3, 5], "one-call")


def test_the_command_line_tells_it_too() -> None:
    assert "nobody said “voucher” in turns 1 to 9" in told(SEARCHED)
    assert "gives orders to a model in turn 3, 5" in told(SUSPECT)
    assert "evidence does not hold" in told(SUSPECT)


def test_so_does_explain() -> None:
    def explained(value: FieldValue) -> tuple[FieldState, str]:
        found = explain_field(CSAT, conversation(), None, None, value)
        return found.state, found.words

    state, words = explained(SEARCHED)
    assert state is FieldState.VALUE
    assert "nobody said" in words
    state, words = explained(SUSPECT)
    assert state is FieldState.UNSUPPORTED
    assert "turn 3, 5" in words
    state, words = explained(SUSPECT.model_copy(update={"evidence_state": EvidenceState.VERIFIED}))
    assert state is FieldState.VALUE
    assert "turn 3, 5" in words
