"""Which names a filter may use for one tenant and one caller, and what each takes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from domain.conversation import Channel, Direction, Status
from domain.fields import CustomField, FieldType
from domain.filters.tree import Name
from domain.names import BUILT_INS, NameType

META_PREFIX = "meta."
_META_KEY = re.compile(r"meta\.[A-Za-z][A-Za-z0-9_]{0,62}")

_FIELD_TYPES: Mapping[FieldType, NameType] = {
    FieldType.INTEGER: NameType.NUMBER,
    FieldType.DECIMAL: NameType.NUMBER,
    FieldType.CHOICE: NameType.OPTION,
    FieldType.MULTI_CHOICE: NameType.OPTION,
    FieldType.BOOLEAN: NameType.FLAG,
    FieldType.DATE: NameType.DAY,
    FieldType.TEXT: NameType.TEXT,
}

_BUILT_IN_OPTIONS: Mapping[str, type[StrEnum]] = {"channel": Channel, "status": Status, "direction": Direction}


@dataclass(frozen=True, slots=True)
class FilterName:
    """One name: its type, for an OPTION what may be written (folded id or label → id), and where it comes from."""

    name: Name
    options: Mapping[str, str]
    is_field: bool = False

    @property
    def option_ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.options.values()))


@dataclass(frozen=True, slots=True)
class FilterSchema:
    """The names a caller may use. A field the caller may not see is not here, and reads as unknown."""

    names: Mapping[str, FilterName]

    @classmethod
    def of(cls, fields: Iterable[CustomField], *, may_see_sensitive: bool = False) -> "FilterSchema":
        """Built-in names and the given fields; sensitive ones only for a caller who may see their values."""
        names = {key: _built_in(key, kind) for key, kind in BUILT_INS.items()}
        for field in fields:
            if may_see_sensitive or not field.sensitive:
                names[field.key] = _field(field)
        return cls(names)

    def find(self, key: str) -> FilterName | None:
        """The name, or None. Metadata keys are free: any well-formed `meta.x` is a name."""
        if _META_KEY.fullmatch(key):
            return FilterName(Name(key, NameType.META), {})
        return self.names.get(key)

    def unknown(self, key: str) -> str:
        """Why `find` has nothing, with what may have been meant."""
        if key.startswith(META_PREFIX):
            return f"`{key[:80]}`: a metadata key is a letter, then up to 62 letters, digits and _"
        lowered = key.lower()
        close = [lowered] if lowered in self.names else get_close_matches(lowered, self.names, n=1, cutoff=0.6)
        hint = f", did you mean `{close[0]}`?" if close else f"; metadata is written `{META_PREFIX}{key[:60]}`"
        return f"unknown name `{key[:64]}`{hint}"


def _built_in(key: str, kind: NameType) -> FilterName:
    options = _BUILT_IN_OPTIONS.get(key)
    return FilterName(Name(key, kind), {member.value: member.value for member in options or ()})


def _field(field: CustomField) -> FilterName:
    """Retired options stay: stored values still have them. An id wins over another option's label."""
    options = {option.label.strip().casefold(): option.id for option in field.options}
    options.update({option.id: option.id for option in field.options})
    return FilterName(Name(field.key, _FIELD_TYPES[field.type]), options, is_field=True)
