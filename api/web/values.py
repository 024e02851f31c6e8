"""A field value as people read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from api.web import words
from domain.fields import Aggregate, CustomField, FieldType
from domain.values import EvidenceState, FieldValue


@dataclass(frozen=True)
class Shown:
    """text: the value in words. colour and bucket: of the threshold a number is in."""

    field: str
    label: str
    type: FieldType | None
    aggregate: Aggregate | None
    text: str
    colour: str | None = None
    bucket: str | None = None
    unsupported: bool = False


def shown_value(value: FieldValue, fields: Mapping[str, CustomField]) -> Shown:
    """The value with its field's label and options' labels; what is unknown reads `Unknown`."""
    field = fields.get(value.field_id)
    bucket = None
    if field is not None and isinstance(value.value, (int, float)) and not isinstance(value.value, bool):
        number = float(value.value)
        bucket = next(
            (t for t in field.thresholds if (t.low is None or number >= t.low) and (t.high is None or number < t.high)),
            None,
        )
    return Shown(
        field=value.field_key,
        label=field.label if field else value.field_key,
        type=field.type if field else None,
        aggregate=field.aggregate if field else None,
        text=_text(value, field),
        colour=bucket.colour if bucket else None,
        bucket=bucket.label if bucket else None,
        unsupported=value.evidence_state is EvidenceState.UNSUPPORTED,
    )


def _text(value: FieldValue, field: CustomField | None) -> str:
    content = value.value
    if content is None:
        return "Unknown"
    if isinstance(content, bool):
        return "Yes" if content else "No"
    if isinstance(content, (int, float)):
        top = f" of {words.number(field.maximum)}" if field and field.maximum is not None else ""
        return f"{words.number(content)}{top}"
    labels = {option.id: option.label for option in field.options} if field else {}
    if isinstance(content, tuple):
        return ", ".join(labels.get(option, option) for option in content) or "None"
    if field and field.type is FieldType.DATE:
        return words.day(date.fromisoformat(content))
    return labels.get(content, content)
