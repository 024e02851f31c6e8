"""Finding a mapping's values in a payload; what cannot be found is said with its place in both."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from domain.errors import InvalidInput
from domain.mapping import Lookup
from engines.formats.expressions import BadExpression, Evaluator
from engines.formats.values import Unfit, text_of

T = TypeVar("T")
W = TypeVar("W", bound=StrEnum)


@dataclass(frozen=True)
class Spot:
    """Where expressions look from: `value` in the payload. path: what stands before a field's name in the mapping
    (`messages[].`); within: where that is in the payload, for people (` in item 4 of `comments[*]``)."""

    value: Any
    path: str = ""
    within: str = ""


class Finder:
    """Evaluates a mapping's expressions over one payload. Every method raises InvalidInput naming the field."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def enter(self, conversation: Any) -> None:
        self._evaluator.enter(conversation)

    def raw(self, field: str, expression: str, spot: Spot) -> Any:
        try:
            return self._evaluator.find(expression, spot.value)
        except BadExpression as error:
            raise self.refused(field, expression, spot, str(error)) from None

    def optional(self, field: str, expression: str | None, spot: Spot, convert: Callable[[Any], T | None]) -> T | None:
        """The converted value; None when the mapping has no expression for it, or that finds nothing."""
        if expression is None:
            return None
        try:
            return convert(self.raw(field, expression, spot))
        except Unfit as error:
            raise self.refused(field, expression, spot, str(error)) from None

    def required(self, field: str, expression: str, spot: Spot, convert: Callable[[Any], T | None]) -> T:
        found = self.optional(field, expression, spot, convert)
        if found is None:
            raise self.refused(field, expression, spot, "found nothing")
        return found

    def word(self, field: str, word: W | Lookup[W], spot: Spot, words: type[W]) -> W | None:
        """One of our words: as it stands in the mapping, or for the sender's; None when there is none for it."""
        if not isinstance(word, Lookup):
            return word
        given = self.optional(f"{field}.value", word.value, spot, text_of)
        return self._looked_up(word, given, words)

    def words(self, field: str, lookup: Lookup[W], spot: Spot, words: type[W]) -> list[W | None]:
        """As `word`, for each value of a list."""
        values = self.raw(f"{field}.value", lookup.value, spot)
        texts = [value if isinstance(value, str) else None for value in (values if isinstance(values, list) else [])]
        return [self._looked_up(lookup, text, words) for text in texts]

    def spots(self, field: str, each: str, spot: Spot) -> list[Spot] | None:
        """Where each object of a list is, or of one object; None when there is neither."""
        found = self.raw(f"{field}.each" if field.endswith("]") else f"{field}[].each", each, spot)
        if found is None:
            return None
        several = found if isinstance(found, list) else [found]
        path = f"{spot.path}{field}." if field.endswith("]") else f"{spot.path}{field}[]."
        return [
            Spot(one, path, f"{spot.within} in item {number} of `{each}`" if len(several) > 1 else f" in `{each}`")
            for number, one in enumerate(several, start=1)
        ]

    @staticmethod
    def refused(field: str, expression: str, spot: Spot, reason: str) -> InvalidInput:
        return InvalidInput.of(f"{spot.path}{field}", f"`{expression}` {reason}{spot.within}")

    @staticmethod
    def _looked_up(lookup: Lookup[W], given: str | None, words: type[W]) -> W | None:
        if given is None:
            return lookup.otherwise
        name = given.strip().lower()
        for theirs, ours in lookup.table.items():
            if theirs.strip().lower() == name:
                return ours
        try:
            return words(name)
        except ValueError:
            return lookup.otherwise
