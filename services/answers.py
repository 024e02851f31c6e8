"""From a model's raw answer to values: parse, schema, types, quotes. Nothing passes that was not checked."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from domain.conversation import Role
from domain.errors import EngineAnswerEmpty, EngineAnswerError, EngineAnswerMalformed, EngineRefused
from domain.evidence import (
    ClaimedAbsence,
    ClaimedQuote,
    RejectedQuote,
    VerifiedQuote,
    verify,
    verify_absence,
)
from domain.fields import CustomField, FieldScalar, FieldType, answer_schema
from domain.suspicion import Suspicion
from domain.turns import Turn
from domain.values import EvidenceState, Quote, Searched, ValueKind
from domain.writing import strange_language

MAX_ANSWER_CHARACTERS = 200_000

CIRCLE_CHARACTERS = 160
LONGEST_CIRCLE = 400
CIRCLES = 3
"""An answer runs in circles when at least so many of its last characters repeat, at least so often, a piece that is no
longer than LONGEST_CIRCLE."""

_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?```\s*$", re.DOTALL)
_DECLINING = re.compile(
    r"\s*(?:i'?m sorry|i am sorry|sorry,|i apologi[sz]e|i (?:can(?:'|no)?t|won'?t)"
    r"|i(?:'m| am) (?:unable|not able)|as an ai\b|unfortunately,? i)",
    re.IGNORECASE,
)


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
    searched: Searched | None = None


@dataclass(frozen=True)
class Ground:
    """What an answer is held against. turns: the whole conversation, where quotes are looked up; read: those the model
    was shown, None for all; barred: orders to a model; answer_language: as the task asks, None for the conversation's;
    language: the conversation's, None when it is not known.
    """

    turns: Sequence[Turn]
    evidence_role: Role | None = None
    read: Sequence[Turn] | None = None
    barred: Sequence[Suspicion] = ()
    answer_language: str | None = None
    language: str | None = None


def parse(text: str) -> dict[str, Any]:
    """The JSON object in the text. Raises EngineAnswerEmpty, EngineAnswerMalformed, EngineRefused."""
    if not text.strip():
        raise EngineAnswerEmpty("the answer is empty")
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise EngineAnswerMalformed(f"the answer is longer than {MAX_ANSWER_CHARACTERS} characters")
    fenced = _FENCE.match(text)
    try:
        answer = json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError):  # ValueError: also a number of thousands of digits
        if "{" not in text and _DECLINING.match(text.replace("’", "'")):
            raise EngineRefused("the model declines to answer") from None
        raise EngineAnswerMalformed("the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise EngineAnswerMalformed("the answer is not a JSON object")
    return answer


def runs_in_circles(text: str) -> bool:
    """Whether the end of a cut answer is one piece again and again: `a, a, a, a` or blanks."""
    for length in range(1, LONGEST_CIRCLE + 1):
        span = max(CIRCLE_CHARACTERS, CIRCLES * length)
        if len(text) < span:
            return False
        if text[-span:-length] == text[length - span :]:
            return True
    return False


def check(
    text: str, fields: tuple[CustomField, ...], turns: Sequence[Turn], evidence_role: Role | None
) -> tuple[CheckedValue, ...]:
    """All fields' values, in order. Raises EngineAnswerEmpty, EngineAnswerMalformed, EngineRefused, SchemaMismatch."""
    return check_fields(parse(text), fields, Ground(turns, evidence_role))


def check_fields(
    answer: Mapping[str, Any], fields: tuple[CustomField, ...], ground: Ground
) -> tuple[CheckedValue, ...]:
    """These fields' values out of an answer that may hold others too; what nobody asked for is not looked at.
    Raises SchemaMismatch."""
    asked = {field.key: answer[field.key] for field in fields if field.key in answer}
    validator = jsonschema.Draft202012Validator(answer_schema(fields))
    problem = next(iter(sorted(validator.iter_errors(asked), key=lambda e: list(map(str, e.absolute_path)))), None)
    if problem is not None:
        raise SchemaMismatch(_in_words(problem, fields, asked))
    return tuple(_check_field(field, answer[field.key], ground) for field in fields)


def _in_words(problem: jsonschema.ValidationError, fields: Sequence[CustomField], asked: Mapping[str, Any]) -> str:
    """Path and rule: names of our own and numbers, nothing of the model's words."""
    missing = [field.key for field in fields if field.key not in asked]
    if not problem.absolute_path and missing:
        return f"{missing[0]} is missing"
    path = ".".join(str(part) for part in problem.absolute_path) or "the answer"
    return f"{path} breaks the schema's rule `{problem.validator}`"


def _check_field(field: CustomField, answer: dict[str, Any], ground: Ground) -> CheckedValue:
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
    if field.type is FieldType.TEXT and _strange(str(value), ground):
        wanted = ground.answer_language or "the language of the conversation"
        raise SchemaMismatch(f"{field.key}.value is not written in {wanted}")
    if answer["evidence"]:
        quotes, state = _check_quotes(answer["evidence"], ground)
        return CheckedValue(field, kind, value, explanation, quotes, state)
    searched = _check_absence(answer.get("absent"), ground)
    state = EvidenceState.UNSUPPORTED if searched is None else EvidenceState.SEARCHED
    return CheckedValue(field, kind, value, explanation, (), state, searched)


def _strange(text: str, ground: Ground) -> bool:
    said = " ".join(turn.text for turn in ground.turns)
    return strange_language(text, said, ground.answer_language, ground.language)


def _check_quotes(claims: Sequence[dict[str, Any]], ground: Ground) -> tuple[tuple[Quote, ...], EvidenceState]:
    """The quotes that hold, and whether all did."""
    outcomes = [
        verify(ground.turns, ClaimedQuote(turn=c["turn"], quote=c["quote"]), ground.evidence_role, ground.barred)
        for c in claims
    ]
    quotes: list[Quote] = []
    for outcome in outcomes:
        if isinstance(outcome, VerifiedQuote) and outcome.quote not in quotes:
            quotes.append(outcome.quote)
    complete = not any(isinstance(outcome, RejectedQuote) for outcome in outcomes)
    return tuple(quotes), EvidenceState.VERIFIED if complete else EvidenceState.UNSUPPORTED


def _check_absence(claim: dict[str, Any] | None, ground: Ground) -> Searched | None:
    """What was searched in vain; None without a claim, or when it does not hold. Models like to fill what they may
    leave out, so it is only looked at where there is no quote."""
    if claim is None:
        return None
    read = ground.turns if ground.read is None else ground.read
    claimed = ClaimedAbsence(first=claim["from"], last=claim["to"], words=tuple(claim["words"]))
    outcome = verify_absence(read, claimed, ground.evidence_role)
    return outcome if isinstance(outcome, Searched) else None
