"""Custom Fields: typed places for insight values, and the schema a model must answer in."""

import math
from collections.abc import Collection
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from domain.conversation import Frozen, ShortText
from domain.ids import IdStr
from domain.names import RESERVED_KEYS

FieldKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
FieldScalar = int | float | bool | str | tuple[str, ...]


class FieldType(StrEnum):
    INTEGER = "integer"
    DECIMAL = "decimal"
    CHOICE = "choice"
    MULTI_CHOICE = "multi_choice"
    BOOLEAN = "boolean"
    DATE = "date"
    TEXT = "text"


class Owner(StrEnum):
    """At which level a thing is owned; configuration is inherited downwards."""

    OPERATOR = "operator"
    PARTNER = "partner"
    TENANT = "tenant"


class Option(Frozen):
    """One choice. The id is stored and is what a model answers with; label and meaning stand beside it in the prompt
    and may be renamed without a trace in any hash. What shall stand for something else is another option."""

    id: FieldKey
    label: ShortText
    meaning: Annotated[str, StringConstraints(max_length=1000)] = ""
    retired: bool = False


class Threshold(Frozen):
    """A range [low, high) of a number and the label and colour it is shown with; None means open."""

    low: float | None = None
    high: float | None = None
    label: ShortText
    colour: Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")]


class Aggregate(StrEnum):
    AVERAGE = "average"
    DISTRIBUTION = "distribution"
    COUNT = "count"


class CustomField(Frozen):
    """The definition. Key and type never change; a change of type is a successor field."""

    id: IdStr
    key: FieldKey
    type: FieldType
    label: ShortText
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    owner: Owner = Owner.TENANT
    options: Annotated[tuple[Option, ...], Field(max_length=500)] = ()
    minimum: float | None = None
    maximum: float | None = None
    max_length: int = Field(default=2000, ge=1, le=20_000)
    thresholds: tuple[Threshold, ...] = ()
    display_group: ShortText | None = None
    editable: bool = True
    sensitive: bool = False
    aggregate: Aggregate | None = None
    successor_id: IdStr | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.key in RESERVED_KEYS:
            raise ValueError(f"{self.key} is a built-in name")
        chooses = self.type in (FieldType.CHOICE, FieldType.MULTI_CHOICE)
        if chooses != bool(self.options):
            raise ValueError("options belong to choice fields, and those need some")
        if len({o.id for o in self.options}) != len(self.options):
            raise ValueError("two options have the same id")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("minimum is above maximum")
        return self

    @property
    def live_options(self) -> tuple[Option, ...]:
        return tuple(o for o in self.options if not o.retired)

    @property
    def may_rest_on_absence(self) -> bool:
        """Whether something that nobody said can be the ground of a value: "no", an option, a count of zero."""
        match self.type:
            case FieldType.BOOLEAN | FieldType.CHOICE | FieldType.MULTI_CHOICE:
                return True
            case FieldType.INTEGER | FieldType.DECIMAL:
                return (self.minimum is None or self.minimum <= 0) and (self.maximum is None or self.maximum >= 0)
            case FieldType.DATE | FieldType.TEXT:
                return False

    def check(self, value: object) -> FieldScalar:
        """The value in the field's type, or ValueError with the reason. Never coerces across types."""
        match self.type:
            case FieldType.INTEGER | FieldType.DECIMAL:
                return self._number(value)
            case FieldType.BOOLEAN:
                if not isinstance(value, bool):
                    raise ValueError("is not true or false")
                return value
            case FieldType.CHOICE:
                return self._option(value)
            case FieldType.MULTI_CHOICE:
                if not isinstance(value, (list, tuple)):
                    raise ValueError("is not a list of options")
                return tuple(sorted({self._option(v) for v in value}))
            case FieldType.DATE:
                return date.fromisoformat(self._string(value)).isoformat()
            case FieldType.TEXT:
                text = self._string(value).strip()
                if not text:
                    raise ValueError("is empty")
                if len(text) > self.max_length:
                    raise ValueError(f"is longer than {self.max_length} characters")
                return text

    def _number(self, value: object) -> int | float:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise ValueError("is not a number")
        number = float(value)
        if not math.isfinite(number):
            raise ValueError("is not a finite number")
        if self.minimum is not None and number < self.minimum:
            raise ValueError(f"is below {self.minimum:g}")
        if self.maximum is not None and number > self.maximum:
            raise ValueError(f"is above {self.maximum:g}")
        if self.type is FieldType.INTEGER:
            if not number.is_integer():
                raise ValueError("is not a whole number")
            return int(number)
        return number

    def _option(self, value: object) -> str:
        if not isinstance(value, str) or value not in {o.id for o in self.live_options}:
            raise ValueError("is not one of the options")
        return value

    @staticmethod
    def _string(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("is not a text")
        return value

    def value_schema(self) -> dict[str, Any]:
        """JSON Schema of a known value of this field (draft 2020-12)."""
        match self.type:
            case FieldType.INTEGER | FieldType.DECIMAL:
                schema: dict[str, Any] = {"type": "integer" if self.type is FieldType.INTEGER else "number"}
                if self.minimum is not None:
                    schema["minimum"] = self.minimum
                if self.maximum is not None:
                    schema["maximum"] = self.maximum
                return schema
            case FieldType.BOOLEAN:
                return {"type": "boolean"}
            case FieldType.CHOICE:
                return {"type": "string", "enum": [o.id for o in self.live_options]}
            case FieldType.MULTI_CHOICE:
                return {
                    "type": "array",
                    "items": {"type": "string", "enum": [o.id for o in self.live_options]},
                }
            case FieldType.DATE:
                return {"type": "string", "format": "date"}
            case FieldType.TEXT:
                return {"type": "string", "minLength": 1, "maxLength": self.max_length}


ANSWER_KINDS = ("stated", "inferred", "unknown")

MAX_ABSENT_WORDS = 10


def answer_schema(fields: tuple[CustomField, ...], required: Collection[str] | None = None) -> dict[str, Any]:
    """JSON Schema of a model's whole answer: one property per field, in the given order.

    Each is {"kind": stated | inferred | unknown, "value": … or absent when unknown, "explanation": text,
    "evidence": [{"turn": number, "quote": exact words of that turn}]}. Where the value may rest on something nobody
    said, also "absent": {"from": turn, "to": turn, "words": those looked for}. Byte-identical for the same fields.

    required: keys that must be there; None: all. Calls that share a schema are each asked for some of its fields.
    """
    return {
        "type": "object",
        "properties": {field.key: _field_answer(field) for field in fields},
        "required": [field.key for field in fields if required is None or field.key in required],
        "additionalProperties": False,
    }


def _field_answer(field: CustomField) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "kind": {"type": "string", "enum": list(ANSWER_KINDS)},
        "value": field.value_schema(),
        "explanation": {"type": "string", "maxLength": 1000},
        "evidence": {"type": "array", "items": _object(_QUOTE), "maxItems": 10},
    }
    if field.may_rest_on_absence:
        properties["absent"] = _object(_ABSENT)
    return _object(properties, ("kind", "explanation", "evidence"))


_TURN: dict[str, Any] = {"type": "integer", "minimum": 1}
_QUOTE: dict[str, Any] = {"turn": _TURN, "quote": {"type": "string", "maxLength": 500}}
_ABSENT: dict[str, Any] = {
    "from": _TURN,
    "to": _TURN,
    "words": {"type": "array", "items": {"type": "string", "maxLength": 80}, "maxItems": MAX_ABSENT_WORDS},
}


def _object(properties: dict[str, Any], required: tuple[str, ...] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else list(required),
        "additionalProperties": False,
    }
