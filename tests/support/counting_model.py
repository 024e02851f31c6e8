"""A provider's side of the wire that counts: which request came when, and which answer was given to it.

Every answer says its own number, so that what the service has recorded leads back to one request of the provider.
"""

import hashlib
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.gemini_server import Received, Reply, answer

_INTEGER = 3
"""The SDK sends the schema's types as numbers."""

_NUMBER = re.compile(r"answer number (\d+) of the provider")


@dataclass(frozen=True)
class Asked:
    """One request. what: hash of all that was sent; at: seconds since the epoch."""

    number: int
    what: str
    at: float


class CountingModel:
    """`GeminiServer.respond`. Answers take `seconds`; inside `holding` none is given from the `first` request on."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._first = 1
        self._asked: list[Asked] = []
        self.waiting = 0

    def __call__(self, received: Received) -> Reply:
        what = hashlib.sha256(json.dumps(received.body, sort_keys=True).encode()).hexdigest()
        with self._lock:
            number = len(self._asked) + 1
            self._asked.append(Asked(number, what, time.time()))
            self.waiting += 1
        if number >= self._first:
            self._open.wait(120)
        if self._seconds:
            time.sleep(self._seconds)
        with self._lock:
            self.waiting -= 1
        return answer(json.dumps(_answer(received, number)))

    @contextmanager
    def holding(self, first: int = 1) -> Iterator[None]:
        """Requests come in and wait: whoever asked them is in the middle of it."""
        self._first = first
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    @property
    def asked(self) -> list[Asked]:
        with self._lock:
            return list(self._asked)

    def by_request(self) -> dict[str, list[Asked]]:
        """Every request with all the times it was asked, in order."""
        found: dict[str, list[Asked]] = defaultdict(list)
        for one in self.asked:
            found[one.what].append(one)
        return dict(found)


def number_of(recorded: str) -> int:
    """Which of the provider's answers this recorded text is."""
    found = _NUMBER.search(recorded)
    assert found is not None, recorded[:200]
    return int(found[1])


def _answer(received: Received, number: int) -> dict[str, Any]:
    """A value for every field of the schema, resting on the customer's first words."""
    first = next(turn for turn in _turns(received) if turn["role"] == "customer")
    evidence = [{"turn": first["turn"], "quote": first["text"]}]
    schema = received.body["generationConfig"]["responseSchema"]
    return {
        name: {
            "kind": "inferred",
            "value": _value(field["properties"]["value"]),
            "explanation": f"This is answer number {number} of the provider.",
            "evidence": evidence,
        }
        for name, field in schema["properties"].items()
    }


def _turns(received: Received) -> list[dict[str, Any]]:
    lines = received.parts[0].splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def _value(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    return 3 if schema["type"] in ("INTEGER", _INTEGER) else "what the provider says"
