"""Readers for tests: the canonical form, one JSON object of a chat, and mail-like lines. Small, strict, and pure."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

from pydantic import ValidationError

from domain.arrivals import Arrival, RawItem
from domain.conversation import Channel, Participant, Role
from domain.errors import FieldProblem, InvalidInput
from domain.intake import ConversationIn, MessageIn
from domain.mapping import Format, SourceMapping

Made = Callable[[dict[str, Any]], Arrival]


def whole(payload: dict[str, Any]) -> Arrival:
    """The canonical body."""
    return Arrival(conversation=ConversationIn.model_validate(payload))


def letter(payload: dict[str, Any]) -> Arrival:
    """A mail: `{"id", "answers": [root, …], "from", "role", "at", "text", "closed", "meta"}`."""
    links = (*payload.get("answers", ()), payload["id"])
    return Arrival(
        conversation=ConversationIn(
            external_id=links[0],
            channel=Channel(payload.get("channel", "email")),
            participants=(Participant(id=payload["from"], role=Role(payload.get("role", "customer"))),),
            messages=(MessageIn(id=payload["id"], author=payload["from"], at=payload.get("at"), text=payload["text"]),),
            closed=payload.get("closed"),
            metadata=payload.get("meta", {}),
        ),
        adds=True,
        links=links,
    )


@dataclass
class JsonReader:
    """One JSON value a body; a list holds several items."""

    made: Made

    def items(self, body: BinaryIO, *, media_type: str, received_at: datetime, name: str | None) -> Iterator[RawItem]:
        try:
            value = json.loads(body.read())
        except ValueError:
            raise InvalidInput.of("body", "is not JSON") from None
        for position, item in enumerate(value if isinstance(value, list) else [value], start=1):
            yield RawItem(json.dumps(item).encode(), media_type, received_at, position, name)

    def read(self, item: RawItem, mapping: SourceMapping | None) -> Sequence[Arrival]:
        payload = json.loads(item.body)
        if not isinstance(payload, dict):
            raise InvalidInput.of("body", "is not an object")
        if payload.get("skip"):
            return ()
        try:
            return (self.made(payload),)
        except KeyError as missing:
            raise InvalidInput.of(str(missing.args[0]), "is missing") from None
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(map(str, first["loc"])) or "body"
            raise InvalidInput(f"{path}: {first['msg']}", (FieldProblem(path, first["msg"]),)) from None


@dataclass
class TestReaders:
    """Fulfils `services.readers.Readers`; what a JSON source's mapping does is set here, to be mended by a test."""

    __test__ = False

    made: dict[Format, Made] = field(default_factory=lambda: {Format.CANONICAL: whole, Format.EMAIL: letter})

    def reader(self, form: Format) -> JsonReader:
        return JsonReader(self.made.get(form, _unmapped))

    def preset(self, name: str) -> tuple[Format, SourceMapping]:
        if name != "known":
            raise InvalidInput.of("preset", "there is none of this name")
        return Format.JSON, SourceMapping()

    def check(self, mapping: SourceMapping, form: Format) -> None:
        return


def _unmapped(payload: dict[str, Any]) -> Arrival:
    raise KeyError("external_id")
