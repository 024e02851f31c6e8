"""What a solver answers for one field."""

from dataclasses import dataclass

from domain.conversation import Role
from domain.fields import FieldScalar
from domain.values import ValueKind
from engines.language_models.offline.evidence import Evidence


@dataclass(frozen=True)
class Found:
    """A value with its ground; without a quote there is no value."""

    kind: ValueKind
    value: FieldScalar | None
    explanation: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Question:
    """What the task asks for besides the field: whose words may be quoted."""

    evidence_role: Role | None = None


def unknown(explanation: str) -> Found:
    return Found(ValueKind.UNKNOWN, None, explanation)


def known(value: FieldScalar, explanation: str, evidence: tuple[Evidence, ...], *, stated: bool = False) -> Found:
    """A value, or unknown when no words were found that carry it."""
    if not evidence:
        return unknown("The text points somewhere, but no words of it carry enough weight to be quoted.")
    kind = ValueKind.STATED if stated else ValueKind.INFERRED
    return Found(kind, value, explanation, evidence)
