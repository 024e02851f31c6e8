"""Messages and transcripts as a mapping finds them."""

from collections.abc import Iterator
from typing import Any

from domain.conversation import Role
from domain.errors import InvalidInput
from domain.intake import MAX_ATTACHMENTS, MAX_MESSAGE_CHARACTERS, MAX_MESSAGES, Automatic
from domain.mapping import AttachmentsMapping, Lookup, MessagesMapping, PeopleMapping, SegmentsMapping, SourceMapping
from engines.formats.expressions import is_true
from engines.formats.finding import Finder, Spot
from engines.formats.html import html_text
from engines.formats.notes import Notes
from engines.formats.people import People
from engines.formats.values import id_of, short_of, stamp_of, text_of, whole_of

_SEGMENT_CHARACTERS = 200_000
_MOST_SIZE = 2**62


class MessageShaper:
    """Finds messages and segments, and adds their authors to the people."""

    def __init__(self, finder: Finder, people: People, notes: Notes, mapping: SourceMapping) -> None:
        self._finder = finder
        self._people = people
        self._notes = notes
        self._mapping = mapping

    def person(self, place: PeopleMapping, spot: Spot) -> None:
        """Somebody who is named as taking part."""
        given = self._finder.optional("id", place.id, spot, id_of)
        if given is not None:
            self._people.add(given, self._role(place.role, spot), *self._called(place, spot))

    def messages(self, spot: Spot) -> list[dict[str, Any]]:
        """All messages, place by place. Raises InvalidInput when no place is there at all."""
        return [self._message(place, one) for place, one in self._placed("messages", self._mapping.messages, spot)]

    def segments(self, spot: Spot) -> list[dict[str, Any]]:
        return [self._segment(place, one) for place, one in self._placed("segments", self._mapping.segments, spot)]

    def _placed(self, field: str, places: tuple[Any, ...], spot: Spot) -> Iterator[tuple[Any, Spot]]:
        count, anywhere = 0, False
        for number, place in enumerate(places):
            name = field if len(places) == 1 else f"{field}[{number}]"
            spots = self._finder.spots(name, place.each, spot)
            anywhere = anywhere or spots is not None
            for one in spots or ():
                if place.only_if is not None and not is_true(self._finder.raw("only_if", place.only_if, one)):
                    continue
                count += 1
                if count > MAX_MESSAGES:
                    raise InvalidInput.of(field, f"there are more than {MAX_MESSAGES:,}")
                yield place, one
        if not anywhere:
            named = " and ".join(f"`{place.each}`" for place in places)
            raise InvalidInput.of(field, f"{named} found nothing{spot.within}" if places else "the mapping has none")

    def _message(self, place: MessagesMapping, spot: Spot) -> dict[str, Any]:
        find = self._finder.optional
        text = self._text(place, spot)
        message: dict[str, Any] = {
            "id": find("id", place.id, spot, lambda value: id_of(value, 400)),
            "author": self._author(place.author, "author", place, spot),
            "at": find("at", place.at, spot, lambda value: stamp_of(value, self._mapping.time_formats)),
            "text": text,
            "subject": find("subject", place.subject, spot, lambda value: short_of(value, 2000)),
            "attachments": self._attachments(place.attachments, spot) if place.attachments else (),
        }
        if place.automatic is not None:
            message["automatic"] = self._finder.word("automatic", place.automatic, spot, Automatic)
        return message

    def _text(self, place: MessagesMapping, spot: Spot) -> str:
        value = self._finder.raw("text", place.text, spot)
        if value is None:
            raise Finder.refused("text", place.text, spot, "found nothing")
        text = self._finder.optional("text", place.text, spot, text_of) or ""
        return self._no_longer(html_text(text) if place.html else text, MAX_MESSAGE_CHARACTERS)

    def _segment(self, place: SegmentsMapping, spot: Spot) -> dict[str, Any]:
        start = self._finder.required("start_ms", place.start_ms, spot, whole_of)
        if place.end_ms is not None:
            end = self._finder.required("end_ms", place.end_ms, spot, whole_of)
        else:
            end = start + self._finder.required("duration_ms", place.duration_ms or "@", spot, whole_of)
        text = self._finder.optional("text", place.text, spot, text_of) or ""
        speaker = self._author(place.speaker, "speaker", place, spot)
        text = self._no_longer(text, _SEGMENT_CHARACTERS)
        return {"speaker": speaker, "start_ms": start, "end_ms": end, "text": text}

    def _author(self, expression: str, field: str, place: MessagesMapping | SegmentsMapping, spot: Spot) -> str:
        given = self._finder.required(field, expression, spot, id_of)
        return self._people.add(given, self._role(place.role, spot), *self._called(place, spot), speaks=True)

    def _called(
        self, place: PeopleMapping | MessagesMapping | SegmentsMapping, spot: Spot
    ) -> tuple[str | None, str | None]:
        """Name and address."""
        name = self._finder.optional("name", place.name, spot, lambda value: short_of(value, 200))
        address = getattr(place, "address", None)
        return name, self._finder.optional("address", address, spot, lambda value: short_of(value, 320))

    def _role(self, role: Role | Lookup[Role] | None, spot: Spot) -> Role | None:
        return None if role is None else self._finder.word("role", role, spot, Role)

    def _attachments(self, place: AttachmentsMapping, spot: Spot) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for one in self._finder.spots("attachments", place.each, spot) or ():
            if len(found) == MAX_ATTACHMENTS:
                self._notes.add("attachments_left_out", f"Only the first {MAX_ATTACHMENTS} attachments are listed.")
                break
            find = self._finder.optional
            size = find("size", place.size, one, whole_of)
            attachment = {
                "name": find("name", place.name, one, lambda value: short_of(value, 400)) or "attachment",
                "media_type": find("media_type", place.media_type, one, lambda value: short_of(value, 200)),
                "size": size if size is not None and 0 <= size < _MOST_SIZE else None,
            }
            found.append({key: value for key, value in attachment.items() if value is not None})
        return found

    def _no_longer(self, text: str, characters: int) -> str:
        if len(text) > characters:
            self._notes.add("message_cut", f"A text is longer than {characters:,} characters; the rest is left out.")
        return text[:characters]
