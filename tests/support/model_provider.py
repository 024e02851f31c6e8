"""A language model behind Gemini's wire format that answers what it is asked, in full and rightly, and fails on demand.

What it saw is kept as it came over the wire: which fields were asked, in what order and when, and what a prefix cache
would have found. That is the provider's side: nothing the service says about its calls is believed here.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.gemini_server import Received, Reply, answer

_ASKED = re.compile(r"Answer exactly these fields: (.*)\.")
_KEY = re.compile(r"`([a-z0-9_]+)`")
_REPAIR = re.compile(r"Your last answer was refused: (.*)\. Answer again, following the schema exactly\.")
_QUOTED_ROLE = re.compile(r"Quote only what the (\w+) says")
_TASK = re.compile(r"^## Task (.*)$", re.MULTILINE)
_TYPES = {1: "STRING", 2: "NUMBER", 3: "INTEGER", 4: "BOOLEAN", 5: "ARRAY"}
"""The SDK sends the schema's types as numbers."""


@dataclass
class Seen:
    """One request. number: 1, 2, 3 … in the order they came; began/ended: monotonic seconds."""

    number: int
    received: Received
    began: float
    ended: float | None = None

    @property
    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = self.received.body["generationConfig"]["responseSchema"]
        return found

    @property
    def fields(self) -> tuple[str, ...]:
        """Keys that are asked."""
        said = _ASKED.search(self.received.parts[1])
        assert said is not None, self.received.parts[1][-300:]
        return tuple(_KEY.findall(said[1]))

    @property
    def repair(self) -> str | None:
        said = _REPAIR.search(self.received.parts[1])
        return said[1] if said else None

    @property
    def turns(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.received.parts[0].splitlines() if line.startswith("{")]

    @property
    def prefix(self) -> str:
        """What comes before the tasks' own words, in the order of a provider that puts the schema first."""
        return json.dumps(self.schema) + self.received.system + self.received.parts[0]

    @property
    def text(self) -> str:
        """All that was sent, in that order."""
        return self.prefix + self.received.parts[1]

    def role_of(self, key: str) -> str | None:
        """Whose words the task of a field may quote."""
        for part in re.split(r"(?=^## Task )", self.received.parts[1], flags=re.MULTILINE):
            if f"- `{key}` (" in part:
                said = _QUOTED_ROLE.search(part)
                return said[1] if said else None
        return None


Fault = Callable[[Seen], Reply | None]


def no_fault(seen: Seen) -> Reply | None:
    return None


@dataclass
class ModelProvider:
    """`GeminiServer.respond`. fault: gives another reply, or None; values: what a field's value is instead."""

    fault: Fault = no_fault
    values: Mapping[str, object] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.open.set()

    def __call__(self, received: Received) -> Reply:
        with self._lock:
            one = Seen(len(self.seen) + 1, received, time.monotonic())
            self.seen.append(one)
        self.open.wait(60)
        reply = self.fault(one) or answer(json.dumps(self.right(one)))
        one.ended = time.monotonic()
        return reply

    def right(self, seen: Seen) -> dict[str, Any]:
        """A good answer to what is asked."""
        return {key: self.value(seen, key) for key in seen.fields}

    def value(self, seen: Seen, key: str) -> dict[str, Any]:
        said = [t for t in seen.turns if seen.role_of(key) in (None, t["role"])] or seen.turns
        quoted = max(said, key=lambda turn: len(turn["text"]))
        value = self.values[key] if key in self.values else _some_value(seen.schema["properties"][key])
        return {
            "kind": "inferred",
            "value": value,
            "explanation": "The customer says so.",
            "evidence": [{"turn": quoted["turn"], "quote": quoted["text"][:80].rsplit(" ", 1)[0]}],
        }

    def asked(self) -> list[tuple[str, ...]]:
        """The fields of every request, in the order they came."""
        return [one.fields for one in self.seen]


def _some_value(schema: Mapping[str, Any]) -> object:
    given = schema["properties"]["value"]
    kind = _TYPES.get(given["type"], given["type"])
    if "enum" in given:
        return given["enum"][0]
    if kind == "ARRAY":
        return [given["items"]["enum"][0]]
    return {"INTEGER": 3, "NUMBER": 3.5, "BOOLEAN": True}.get(kind, "The customer wants the parcel, or the money back.")


def common_prefix(one: str, other: str) -> int:
    """How many characters two requests begin with alike."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    low, high = 0, length
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def once(seen: Sequence[Seen]) -> bool:
    """No request was made twice."""
    bodies = [json.dumps(one.received.body, sort_keys=True) for one in seen]
    return len(set(bodies)) == len(bodies)
