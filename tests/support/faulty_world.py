"""A running stack with a provider that counts, and chats handed in to it: for tests of what is killed or away.

Answers come from a server of Gemini's wire format through the real adapter and SDK, so that what is paid for is counted
at the provider's side.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

from services.starter_library import HOSTED_ENGINES
from storage.postgres.provisioning import Provisioning
from tests.support.connector import Connector
from tests.support.counting_model import CountingModel
from tests.support.gemini_server import gemini_server
from tests.support.running_stack import RunningStack, provision, running_stack
from tests.support.stored_once import Repeated, Stored, check_asked_once

PATIENCE = 300.0
TASKS = ("csat", "sentiment", "summary")
FIELDS = ("csat", "sentiment", "summary")

THINGS = ("kettle", "router", "jacket", "bicycle", "camera", "printer", "blanket", "toaster", "lantern", "suitcase")
COLOURS = ("green", "orange", "purple", "silver", "yellow")
FAULTS = ("rattles all night", "smells of smoke", "arrived in pieces", "lost its handle")


def chats(source: str) -> list[dict[str, Any]]:
    """Two hundred chats, no two alike."""
    return [_chat(source, number, *words) for number, words in enumerate(product(THINGS, COLOURS, FAULTS))]


def _chat(source: str, number: int, thing: str, colour: str, fault: str) -> dict[str, Any]:
    said = (
        ("c", f"My {colour} {thing} {fault} and I would like to send it back."),
        ("a", "That should not happen. I have arranged the return."),
        ("c", "Thank you, that was quick and friendly help."),
    )
    return {
        "source": source,
        "external_id": f"{source}-{number}",
        "channel": "chat",
        "language": "en",
        "participants": [{"id": "c", "role": "customer"}, {"id": "a", "role": "agent"}],
        "messages": [
            {"author": author, "at": f"2026-11-02T09:{30 + minute}:00Z", "text": text}
            for minute, (author, text) in enumerate(said)
        ],
    }


def long_chat(source: str) -> dict[str, Any]:
    """Too long to be asked in one call: its tasks share a prefix, which one call warms."""
    chat = _chat(source, 0, "kettle", "green", "rattles all night")
    said = [
        {
            "author": "c",
            "at": f"2026-11-02T{10 + n // 60}:{n % 60:02}:00Z",
            "text": f"Night {n}: it rattled {n * 3} times, and nobody of your company has called me back about it.",
        }
        for n in range(200)
    ]
    return {**chat, "messages": [*chat["messages"], *said]}


@dataclass
class World:
    """A stack with a provider of its own."""

    stack: RunningStack
    model: CountingModel
    use: Callable[[CountingModel], None]

    def tenant(self, slug: str) -> "Batch":
        """A tenant of its own whose answers are counted from one."""
        self.model = CountingModel(seconds=0.1)
        self.use(self.model)
        tenant_id = self.stack.new_tenant(slug, {task: {} for task in TASKS}, language_model="gemini")
        return Batch(self, Stored(self.stack, tenant_id), Connector(self.stack.api, self.stack.key(), tenant_id))


@dataclass
class Batch:
    """What one tenant hands in, and what is known of it."""

    world: World
    stored: Stored
    connector: Connector

    def under_way(self) -> set[int]:
        """Requests that were asked and are not recorded: what a kill at this moment loses."""
        asked = {one.number for one in self.world.model.asked}
        return asked - self.stored.recorded()

    def check(self, bodies: Sequence[dict[str, Any]], lost: set[int] | None = None) -> Repeated:
        """Everything completed, is stored once, and was paid for once but for what was lost at kills."""
        self.stored.until_completed(len(bodies), PATIENCE)
        self.stored.until_indexed(PATIENCE)
        self.stored.check([body["external_id"] for body in bodies], FIELDS, len(TASKS))
        counted = check_asked_once(self.stored, self.world.model, lost or ())
        sys.stdout.write(f"{counted}, sent again after {dict(self.connector.refused)}\n")
        return counted


@contextmanager
def faulty_world() -> Iterator[World]:
    """`parley up`, whose engine `gemini` leads to a server of our own."""
    with gemini_server() as server, running_stack("faults", GEMINI_API_KEY="key-of-the-test") as stack:
        gemini = next(engine for engine in HOSTED_ENGINES if engine.name == "gemini")

        async def point_to_it(provisioning: Provisioning) -> None:
            async with provisioning.configuration() as configuration:
                await configuration.put_engine(gemini.model_copy(update={"endpoint": server.url, "parameters": {}}))

        provision(stack, point_to_it)

        def use(model: CountingModel) -> None:
            server.respond = model

        yield World(stack, CountingModel(), use)
