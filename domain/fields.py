"""Custom Fields: typed places for insight values, and the schema a model must answer in."""

import math
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
    """One choice. The id is stored and sent to models; label and meaning may be renamed without a trace in hashes."""

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


def answer_schema(fields: tuple[CustomField, ...]) -> dict[str, Any]:
    """JSON Schema of a model's whole answer: one property per field, in the given order.

    Each is {"kind": stated | inferred | unknown, "value": … or absent when unknown, "explanation": text,
    "evidence": [{"turn": number, "quote": exact words of that turn}]}. Byte-identical for the same fields.
    """
    return {
        "type": "object",
        "properties": {field.key: _field_answer(field) for field in fields},
        "required": [field.key for field in fields],
        "additionalProperties": False,
    }


def _field_answer(field: CustomField) -> dict[str, Any]:
    evidence = {
        "type": "object",
        "properties": {
            "turn": {"type": "integer", "minimum": 1},
            "quote": {"type": "string", "maxLength": 500},
        },
        "required": ["turn", "quote"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": list(ANSWER_KINDS)},
            "value": field.value_schema(),
            "explanation": {"type": "string", "maxLength": 1000},
            "evidence": {"type": "array", "items": evidence, "maxItems": 10},
        },
        "required": ["kind", "explanation", "evidence"],
        "additionalProperties": False,
    }
