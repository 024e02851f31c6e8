"""A mapping applied to a payload: from the sender's own form to arrivals."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from domain.arrivals import Arrival
from domain.conversation import Channel, Direction
from domain.errors import InvalidInput
from domain.intake import MAX_METADATA_KEYS, ConversationIn, LanguageTag
from domain.mapping import SourceMapping
from domain.strict_json import validate
from engines.formats.expressions import Evaluator, is_true
from engines.formats.finding import Finder, Spot
from engines.formats.notes import Notes
from engines.formats.people import People
from engines.formats.shaping_audio import AudioShaper, CameAlong
from engines.formats.shaping_messages import MessageShaper
from engines.formats.values import Unfit, id_of, metadata_of, short_of, stamp_of, text_of, texts_of

MOST_CONVERSATIONS = 10_000
"""In one payload. Larger exports are lists, and each element of a list is a payload of its own."""

_LANGUAGE = TypeAdapter(LanguageTag)
_SHORT = 200


def arrivals_of(
    mapping: SourceMapping, payload: Any, *, size: int, files: Sequence[CameAlong] = (), root: Any = None
) -> list[Arrival]:
    """The conversations of a payload. size: its bytes. files: audio that came along. root: what `root()` gives, when
    that is more than the payload. Raises InvalidInput naming the place in the mapping and in the payload."""
    finder = Finder(Evaluator(payload if root is None else root, size))
    found = finder.raw("conversations", mapping.conversations, Spot(payload))
    several = found if isinstance(found, list) else [found]
    if found is None:
        raise Finder.refused("conversations", mapping.conversations, Spot(payload), "found nothing")
    if mapping.group_by is not None:
        several = _grouped(finder, mapping.group_by, several)
    if len(several) > MOST_CONVERSATIONS:
        raise InvalidInput.of("conversations", f"there are more than {MOST_CONVERSATIONS:,} in one payload")
    arrivals = []
    for number, value in enumerate(several, start=1):
        within = f" in conversation {number} of {len(several)}" if len(several) > 1 else ""
        arrival = _Shaper(mapping, finder, Spot(value, within=within), files).arrival()
        if arrival is not None:
            arrivals.append(arrival)
    return arrivals


def _grouped(finder: Finder, group_by: str, parts: Sequence[Any]) -> list[Any]:
    groups: dict[str, list[Any]] = {}
    for number, part in enumerate(parts, start=1):
        spot = Spot(part, within=f" in item {number}" if len(parts) > 1 else "")
        groups.setdefault(finder.required("group_by", group_by, spot, id_of), []).append(part)
    return [{"key": key, "items": items} for key, items in groups.items()]


class _Shaper:
    """Makes one arrival."""

    def __init__(self, mapping: SourceMapping, finder: Finder, spot: Spot, files: Sequence[CameAlong]) -> None:
        self._mapping = mapping
        self._finder = finder
        self._spot = spot
        self._files = files
        self._notes = Notes()
        self._people = People()
        finder.enter(spot.value)

    def arrival(self) -> Arrival | None:
        """None for a conversation the mapping passes over."""
        mapping, spot = self._mapping, self._spot
        if mapping.only_if is not None and not is_true(self._finder.raw("only_if", mapping.only_if, spot)):
            return None
        shape: dict[str, Any] = {
            "external_id": self._external_id(),
            "channel": self._channel(),
            "metadata": self._metadata(),
            **self._facts(),
        }
        self._named_people()
        shape |= self._body()
        shape["participants"] = [person.model_dump() for person in self._people.all(self._notes)]
        conversation = validate(ConversationIn, {key: value for key, value in shape.items() if value is not None})
        return Arrival(conversation=conversation, adds=mapping.adds, notes=self._notes.all())

    def _external_id(self) -> str:
        if self._mapping.external_id is None:
            raise InvalidInput.of("external_id", "the mapping does not say where it is")
        return self._finder.required(
            "external_id", self._mapping.external_id, self._spot, lambda value: id_of(value, 400)
        )

    def _channel(self) -> Channel:
        if self._mapping.channel is None:
            raise InvalidInput.of("channel", "the mapping does not say which it is")
        found = self._finder.word("channel", self._mapping.channel, self._spot, Channel)
        if found is None:
            raise InvalidInput.of("channel", f"the value is not in the table of the mapping{self._spot.within}")
        return found

    def _facts(self) -> dict[str, Any]:
        mapping, spot, find = self._mapping, self._spot, self._finder.optional
        facts: dict[str, Any] = {
            name: find(name, getattr(mapping, name), spot, lambda value: short_of(value, _SHORT))
            for name in ("interaction_id", "queue", "team", "campaign")
        }
        for name in ("started_at", "ended_at"):
            facts[name] = find(name, getattr(mapping, name), spot, lambda value: stamp_of(value, mapping.time_formats))
        for name in ("tags", "dispositions"):
            facts[name] = self._texts(name, getattr(mapping, name))
        if mapping.direction is not None:
            facts["direction"] = self._finder.word("direction", mapping.direction, spot, Direction)
        if mapping.closed is not None:
            facts["closed"] = is_true(self._finder.raw("closed", mapping.closed, spot))
        facts["language"] = self._language(find("language", mapping.language, spot, text_of))
        return facts

    def _texts(self, name: str, expression: str | None) -> tuple[str, ...] | None:
        found = self._finder.optional(name, expression, self._spot, lambda value: texts_of(value, 100, _SHORT))
        if found is None:
            return None
        texts, left_out = found
        if left_out:
            self._notes.add(f"{name}_left_out", f"{left_out} {name} more than there is room for are left out.")
        return texts

    def _language(self, given: str | None) -> str | None:
        if given is None:
            return None
        tag = given.strip().replace("_", "-")
        try:
            return _LANGUAGE.validate_python(tag)
        except ValidationError:
            self._notes.add("language_left_out", "What is given as language is not a language tag such as en or pt-BR.")
            return None

    def _metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, expression in self._mapping.metadata.items():
            value = self._finder.raw(f"metadata.{key}", expression, self._spot)
            try:
                simple = metadata_of(value)
            except Unfit as error:
                self._notes.add("metadata_left_out", f"metadata.{key}: `{expression}` {error}; left out.")
                continue
            if simple is not None and len(found) < MAX_METADATA_KEYS:
                found[key] = simple
        return found

    def _named_people(self) -> None:
        for place in self._mapping.participants:
            for spot in self._finder.spots("participants", place.each, self._spot) or ():
                MessageShaper(self._finder, self._people, self._notes, self._mapping).person(place, spot)

    def _body(self) -> dict[str, Any]:
        mapping = self._mapping
        if mapping.audio is not None:
            shaper = AudioShaper(self._finder, self._notes, mapping)
            return {"audio": shaper.audio(mapping.audio, self._spot, self._files)}
        messages = MessageShaper(self._finder, self._people, self._notes, mapping)
        if mapping.segments:
            return {"transcript": {"segments": messages.segments(self._spot)}}
        return {"messages": messages.messages(self._spot)}
