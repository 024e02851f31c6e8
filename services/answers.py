"""From a model's raw answer to values: parse, schema, types, quotes. Nothing passes that was not checked."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from domain.conversation import Role
from domain.errors import EngineAnswerEmpty, EngineAnswerError, EngineAnswerMalformed
from domain.evidence import ClaimedQuote, RejectedQuote, VerifiedQuote, verify
from domain.fields import CustomField, FieldScalar, answer_schema
from domain.turns import Turn
from domain.values import EvidenceState, Quote, ValueKind

MAX_ANSWER_CHARACTERS = 200_000

_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?```\s*$", re.DOTALL)


class SchemaMismatch(EngineAnswerError):
    """Readable JSON that does not fit the fields. `message` names path and reason, never conversation text."""

    code = "schema_mismatch"
    title = "The engine's answer does not fit the schema"


@dataclass(frozen=True)
class CheckedValue:
    """One field's checked answer; value is None exactly when kind is unknown."""

    field: CustomField
    kind: ValueKind
    value: FieldScalar | None
    explanation: str
    evidence: tuple[Quote, ...]
    evidence_state: EvidenceState


def parse(text: str) -> dict[str, Any]:
    """The JSON object in the text. Raises EngineAnswerEmpty, EngineAnswerMalformed."""
    if not text.strip():
        raise EngineAnswerEmpty("the answer is empty")
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise EngineAnswerMalformed(f"the answer is longer than {MAX_ANSWER_CHARACTERS} characters")
    fenced = _FENCE.match(text)
    try:
        answer = json.loads(fenced.group(1) if fenced else text)
    except (json.JSONDecodeError, RecursionError):
        raise EngineAnswerMalformed("the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise EngineAnswerMalformed("the answer is not a JSON object")
    return answer


def check(
    text: str, fields: tuple[CustomField, ...], turns: Sequence[Turn], evidence_role: Role | None
) -> tuple[CheckedValue, ...]:
    """All fields' values, in order. Raises EngineAnswerEmpty, EngineAnswerMalformed, SchemaMismatch."""
    answer = parse(text)
    validator = jsonschema.Draft202012Validator(answer_schema(fields))
    problem = next(iter(sorted(validator.iter_errors(answer), key=lambda e: list(map(str, e.absolute_path)))), None)
    if problem is not None:
        path = ".".join(str(part) for part in problem.absolute_path) or "the answer"
        raise SchemaMismatch(f"{path} breaks the schema's rule `{problem.validator}`")
    return tuple(_check_field(field, answer[field.key], turns, evidence_role) for field in fields)


def _check_field(
    field: CustomField, answer: dict[str, Any], turns: Sequence[Turn], evidence_role: Role | None
) -> CheckedValue:
    kind = ValueKind(answer["kind"])
    explanation = answer["explanation"].strip()
    if kind is ValueKind.UNKNOWN:
        return CheckedValue(field, kind, None, explanation, (), EvidenceState.NONE)
    if "value" not in answer:
        raise SchemaMismatch(f"{field.key}.value is missing although the kind is {kind.value}")
    try:
        value = field.check(answer["value"])
    except ValueError as error:
        raise SchemaMismatch(f"{field.key}.value {error}") from None
    quotes, state = _check_quotes(answer["evidence"], turns, evidence_role)
    return CheckedValue(field, kind, value, explanation, quotes, state)


def _check_quotes(
    claims: Sequence[dict[str, Any]], turns: Sequence[Turn], evidence_role: Role | None
) -> tuple[tuple[Quote, ...], EvidenceState]:
    """The quotes that hold, and whether all did. A known value without any quote is unsupported."""
    outcomes = [verify(turns, ClaimedQuote(turn=c["turn"], quote=c["quote"]), evidence_role) for c in claims]
    quotes: list[Quote] = []
    for outcome in outcomes:
        if isinstance(outcome, VerifiedQuote) and outcome.quote not in quotes:
            quotes.append(outcome.quote)
    complete = bool(quotes) and not any(isinstance(outcome, RejectedQuote) for outcome in outcomes)
    return tuple(quotes), EvidenceState.VERIFIED if complete else EvidenceState.UNSUPPORTED
