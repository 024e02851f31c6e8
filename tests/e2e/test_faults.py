"""Whatever is killed or away for a while: what was accepted completes, is stored once and paid for once.

One stack as `parley up` runs it. Answers come from a server of Gemini's wire format through the real adapter and SDK,
so that what is paid for is counted at the provider's side.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from services.starter_library import HOSTED_ENGINES
from storage.postgres.provisioning import Provisioning
from tests.support.connector import Connector
from tests.support.counting_model import CountingModel
from tests.support.gemini_server import gemini_server
from tests.support.running_stack import RunningStack, provision, running_stack, until
from tests.support.stored_once import Repeated, Stored, check_asked_once

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

AWAY_SECONDS = 20.0
PATIENCE = 300.0
TASKS = ("csat", "sentiment", "summary")
FIELDS = ("csat", "sentiment", "summary")
MODELS, CONVERSATIONS = "worker-language-models", "worker-conversations"

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


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with gemini_server() as server, running_stack("faults", GEMINI_API_KEY="key-of-the-test") as stack:
        gemini = next(engine for engine in HOSTED_ENGINES if engine.name == "gemini")

        async def point_to_it(provisioning: Provisioning) -> None:
            async with provisioning.configuration() as configuration:
                await configuration.put_engine(gemini.model_copy(update={"endpoint": server.url}))

        provision(stack, point_to_it)

        def use(model: CountingModel) -> None:
            server.respond = model

        yield World(stack, CountingModel(), use)


def test_kill_9_in_the_middle_of_two_hundred_conversations(world: World) -> None:
    stack, batch = world.stack, world.tenant("kills")
    stored, model = batch.stored, world.model
    bodies = chats("kills")
    lost: set[int] = set()

    def kill_models_in_the_middle() -> None:
        with model.holding():
            until(lambda: model.waiting >= 4, PATIENCE, stored.told)
            stack.kill(MODELS)
            lost.update(batch.under_way())

    with batch.connector.sending(bodies[:140]) as sending:
        until(lambda: sending.accepted >= 40, PATIENCE, stored.told)
        stack.kill("api")
        stored.until_completed(10, PATIENCE)
        kill_models_in_the_middle()
        assert len(lost) >= 4
        stored.until_completed(30, PATIENCE)
        stack.kill(CONVERSATIONS)
        stored.until_completed(60, PATIENCE)
        stack.kill("temporal")
    with batch.connector.sending(bodies[140:]) as sending:
        until(lambda: sending.accepted >= 10, PATIENCE, stored.told)
        for name in ("temporal", CONVERSATIONS, "api"):
            stack.kill(name)
        kill_models_in_the_middle()

    assert batch.check(bodies, lost).repeated >= 8
    for name, kills in ((MODELS, 2), (CONVERSATIONS, 2), ("api", 2), ("temporal", 2)):
        stack.until_restarted(name, kills)


def away(world: World, slug: str, fault: Callable[[], AbstractContextManager[None]]) -> None:
    """Conversations in the middle of their way when the fault begins, and others that are handed in during it."""
    batch = world.tenant(slug)
    bodies = chats(slug)[:60]
    with batch.connector.sending(bodies[:45]):
        batch.stored.until_completed(3, PATIENCE)
    with ExitStack() as until_accepted, fault():
        sending = until_accepted.enter_context(batch.connector.sending(bodies[45:]))
        time.sleep(AWAY_SECONDS)  # this is the fault: nothing is waited for
        assert sending.accepted == 0
    assert batch.check(bodies).repeated == 0


def test_postgres_hangs_for_20_seconds(world: World) -> None:
    away(world, "hung-postgres", lambda: world.stack.hung("postgres"))


def test_postgres_refuses_for_20_seconds(world: World) -> None:
    away(world, "no-postgres", lambda: world.stack.kept_down("postgres"))


def test_the_content_store_is_away_for_20_seconds(world: World) -> None:
    @contextmanager
    def unmounted() -> Iterator[None]:
        folder = world.stack.state.content
        elsewhere = folder.with_name("elsewhere")
        folder.rename(elsewhere)
        try:
            yield
        finally:
            elsewhere.rename(folder)

    away(world, "no-content", unmounted)


def test_temporal_away_at_post(world: World) -> None:
    batch = world.tenant("no-temporal")
    body = chats("no-temporal")[0]
    with world.stack.hung("temporal"):
        accepted = batch.connector.hand_in(body)
        assert (accepted.status, accepted.answer["started"], accepted.answer["status"]) == (202, False, "received")
        with world.stack.client(batch.stored.tenant_id) as client:
            assert client.explain(accepted.id).status == "received"
    assert batch.check([body]).repeated == 0


def test_temporal_comes_back_without_its_memory(world: World) -> None:
    """Its database is gone, with every run under way: what Postgres knows is enough."""
    batch = world.tenant("no-memory")
    bodies = chats("no-memory")[:40]
    with batch.connector.sending(bodies[:-1]):
        batch.stored.until_completed(3, PATIENCE)
    with world.stack.kept_down("temporal"):
        for file in world.stack.state.path.glob("temporal.db*"):
            file.unlink()
        accepted = batch.connector.hand_in(bodies[-1])
        assert (accepted.status, accepted.answer["started"]) == (202, False)
        assert batch.stored.statuses()["completed"] < len(bodies) - 1
    assert batch.check(bodies).repeated == 0
