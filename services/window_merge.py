"""One value out of those that the windows of a long conversation gave, by the field's type.

| type | the merged value |
|---|---|
| number, date | the last one that was stated, else the last one that was inferred |
| yes or no | yes when any window says yes: what happened once happened |
| choice | stated before inferred; then the option most turns speak for, weighted by window; then the later one |
| multi-choice | every option that some window found |
| text | one more call over what the windows gave; with a single window that knows, its text |

Unknown windows say nothing; all unknown is unknown. The quotes are those of the windows whose value it is, under the
turns' own numbers. A merged value is stated when all of those windows state it, and verified when all of those are.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.evidence import ClaimedAbsence, verify_absence
from domain.fields import CustomField, FieldScalar, FieldType
from domain.turns import Turn
from domain.values import EvidenceState, Quote, Searched, ValueKind
from domain.windows import Window, turn_tokens
from services.answers import CheckedValue

MAX_QUOTES = 10
MAX_EXPLANATION = 1000
MAX_QUOTED_TURN = 400
"""Tokens of a quoted turn that are shown again whole; of a longer one only what was quoted."""


@dataclass(frozen=True)
class WindowValue:
    """What one window gave for a field."""

    window: Window
    value: CheckedValue

    @property
    def weight(self) -> int:
        """Turns read."""
        return len({turn.number for turn in self.window})

    @property
    def turns(self) -> str:
        return f"{self.window[0].number}-{self.window[-1].number}"


def needs_call(field: CustomField, given: Sequence[WindowValue]) -> bool:
    """Whether the merge takes one more call: several windows have something to say in words."""
    return field.type is FieldType.TEXT and len(_known(given)) > 1


def merge(field: CustomField, given: Sequence[WindowValue], turns: Sequence[Turn]) -> CheckedValue:
    """given: every window's value, in order. turns: the whole conversation. Not for fields that need a call."""
    known = _known(given)
    if not known:
        return CheckedValue(field, ValueKind.UNKNOWN, None, given[-1].value.explanation, (), EvidenceState.NONE)
    value, ground = _value(field, known)
    searched = _searched([one.value for one in ground], turns)
    return CheckedValue(
        field,
        ValueKind.STATED if all(one.value.kind is ValueKind.STATED for one in ground) else ValueKind.INFERRED,
        value,
        _explanation(ground),
        _quotes(ground),
        _state(ground, searched),
        searched,
    )


def _known(given: Sequence[WindowValue]) -> list[WindowValue]:
    return [one for one in given if one.value.kind is not ValueKind.UNKNOWN]


def _value(field: CustomField, known: Sequence[WindowValue]) -> tuple[FieldScalar, list[WindowValue]]:
    """The value, and the windows it rests on."""
    match field.type:
        case FieldType.BOOLEAN:
            value: FieldScalar = any(one.value.value is True for one in known)
            return value, [one for one in known if one.value.value is value]
        case FieldType.CHOICE:
            best = _most(_stated(known))
            return best, [one for one in known if one.value.value == best]
        case FieldType.MULTI_CHOICE:
            return tuple(sorted({option for one in known for option in _options(one)})), list(known)
        case FieldType.INTEGER | FieldType.DECIMAL | FieldType.DATE | FieldType.TEXT:
            last = _stated(known)[-1]
            assert last.value.value is not None
            return last.value.value, [last]


def _stated(known: Sequence[WindowValue]) -> Sequence[WindowValue]:
    """Those that state it, or all when none does."""
    return [one for one in known if one.value.kind is ValueKind.STATED] or known


def _most(voting: Sequence[WindowValue]) -> str:
    votes: dict[str, int] = {}
    latest: dict[str, int] = {}
    for position, one in enumerate(voting):
        option = str(one.value.value)
        votes[option] = votes.get(option, 0) + one.weight
        latest[option] = position
    return max(votes, key=lambda option: (votes[option], latest[option]))


def _options(one: WindowValue) -> tuple[str, ...]:
    assert isinstance(one.value.value, tuple)
    return one.value.value


def _quotes(ground: Sequence[WindowValue]) -> tuple[Quote, ...]:
    """Each window's in turn, so that none is crowded out; in the order of the conversation."""
    found: list[Quote] = []
    for rank in range(MAX_QUOTES):
        for one in ground:
            if rank < len(one.value.evidence) and one.value.evidence[rank] not in found:
                found.append(one.value.evidence[rank])
    return tuple(sorted(found[:MAX_QUOTES], key=lambda quote: (quote.turn, quote.start)))


def _searched(values: Sequence[CheckedValue], turns: Sequence[Turn]) -> Searched | None:
    """What every window searched in vain, looked for again in all turns."""
    claims = [value.searched for value in values]
    if not claims or any(claim is None for claim in claims):
        return None
    words = tuple(dict.fromkeys(word for claim in claims if claim for word in claim.words))
    first, last, role = turns[0].number, turns[-1].number, claims[0].role if claims[0] else None
    outcome = verify_absence(turns, ClaimedAbsence(first=first, last=last, words=words), role)
    return outcome if isinstance(outcome, Searched) else None


def _state(ground: Sequence[WindowValue], searched: Searched | None) -> EvidenceState:
    """As sound as the least sound of its windows."""
    states = {one.value.evidence_state for one in ground}
    if EvidenceState.UNSUPPORTED in states or (states == {EvidenceState.SEARCHED} and searched is None):
        return EvidenceState.UNSUPPORTED
    return EvidenceState.SEARCHED if states == {EvidenceState.SEARCHED} else EvidenceState.VERIFIED


def _explanation(ground: Sequence[WindowValue]) -> str:
    """Which turns it comes from, and what was said of each part."""
    parts = [f"Turns {one.turns}: {one.value.explanation}".strip() for one in ground]
    return " ".join(parts)[:MAX_EXPLANATION]


def findings(fields: Sequence[CustomField], given: Sequence[Sequence[WindowValue]]) -> tuple[str, ...]:
    """What the windows gave, a JSON object a line: what the call over them reads. given: for each field, by window."""
    return tuple(
        json.dumps(
            {"turns": one.turns, "field": field.key, "value": one.value.value, "explanation": one.value.explanation},
            ensure_ascii=False,
        )
        for field, values in zip(fields, given, strict=True)
        for one in _known(values)
    )


def quoted_turns(given: Sequence[Sequence[WindowValue]], turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns the windows' values rest on, under their own numbers."""
    quotes: dict[int, list[Quote]] = {}
    for values in given:
        for one in _known(values):
            for quote in one.value.evidence:
                quotes.setdefault(quote.turn, []).append(quote)
    return tuple(_shown(turn, quotes[turn.number]) for turn in turns if turn.number in quotes)


def _shown(turn: Turn, quotes: Sequence[Quote]) -> Turn:
    if turn_tokens(turn) <= MAX_QUOTED_TURN:
        return turn
    said = dict.fromkeys(quote.quote for quote in sorted(quotes, key=lambda quote: quote.start))
    return turn.model_copy(update={"text": " … ".join(said)})


def as_merged(value: CheckedValue, windows: int) -> CheckedValue:
    """The value of the call over the windows, which says what it was made from."""
    note = f"From {windows} parts of the conversation. {value.explanation}".strip()
    return replace(value, explanation=note[:MAX_EXPLANATION])
