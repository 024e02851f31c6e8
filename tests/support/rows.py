"""Readers for tests of imports: what is tested is what becomes of rows, not how a form is read."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from domain.arrivals import Arrival, RawItem
from domain.errors import FieldProblem, InvalidInput
from domain.intake import ConversationIn
from domain.mapping import Format, SourceMapping
from services.import_reading import Reading
from storage.protocols import Source

LONGEST = 1024 * 1024


class NdjsonReader:
    """A conversation a line. A line with `"_adds": true` joins what is there; `"_links": [...]` as well. A recording's
    side-car tells its id and nothing else.

    before: called with the number of each line before it is read.
    """

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self._before = before

    def items(self, body: BinaryIO, *, media_type: str, received_at: datetime, name: str | None) -> Iterator[RawItem]:
        position = 0
        while line := body.readline(LONGEST):
            position += 1
            if len(line) == LONGEST:
                raise InvalidInput.of(f"line {position}", "is too long")
            if line.strip():
                yield RawItem(line, media_type, received_at, position, name)

    def read(self, item: RawItem, mapping: SourceMapping | None) -> Sequence[Arrival]:
        self._before(item.position)
        try:
            body = json.loads(item.body)
        except ValueError:
            raise InvalidInput.of("row", "is not JSON") from None
        if body.get("_breaks"):
            raise KeyError(body["_breaks"])
        if "side_car" in body:
            body = _recording(body)
        adds, links = body.pop("_adds", False), tuple(body.pop("_links", ()))
        try:
            conversation = ConversationIn.model_validate(body)
        except ValidationError as error:
            problems = tuple(FieldProblem(".".join(map(str, e["loc"])) or "row", e["msg"]) for e in error.errors())
            raise InvalidInput("not valid", problems) from None
        return [Arrival(conversation=conversation, adds=adds, links=links)]


def _recording(row: dict[str, Any]) -> dict[str, Any]:
    """One speaker a file, by the word in its name."""
    audio = [
        {"id": file["id"], **({"role": "agent" if ".agent." in file["name"] else "customer"} if one else {})}
        for file in row["audio"]
        for one in (file.get("channels", 1) == 1,)
    ]
    return {"external_id": row["side_car"].get("id", row["audio"][0]["name"]), "channel": "call", "audio": audio}


def readings(reader: NdjsonReader | None = None) -> Callable[[Source, Format], Reading]:
    """Everything is read as NDJSON."""
    reading = Reading(reader or NdjsonReader())
    return lambda source, form: reading


class Gate:
    """Holds a reader at a line until it is opened."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, line: int) -> None:
        if line == self.line and not self._open.is_set():
            self.reached.set()
            assert self._open.wait(60)

    def open(self) -> None:
        self._open.set()


def held_by_file(folder: Path, line: int) -> Callable[[int], None]:
    """Between processes: waits at the line while FOLDER/hold exists, and says so in FOLDER/held."""

    def before(number: int) -> None:
        if number == line:
            while (folder / "hold").exists():
                (folder / "held").touch()
                threading.Event().wait(0.05)

    return before


def chat_row(external_id: str, **more: Any) -> dict[str, Any]:
    """A line's conversation."""
    return {
        "external_id": external_id,
        "channel": "chat",
        "participants": [{"id": "c", "role": "customer"}, {"id": "a", "role": "agent"}],
        "messages": [
            {"author": "c", "at": "2026-11-02T09:30:00Z", "text": f"My parcel {external_id} has not arrived."},
            {"author": "a", "at": "2026-11-02T09:31:00Z", "text": "I will look into it."},
        ],
        **more,
    }


def ndjson(rows: Sequence[dict[str, Any] | bytes]) -> bytes:
    """Rows as a file; bytes are taken as they are."""
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)
