"""Whatever is killed: what was accepted completes, is stored once and paid for once. Temporal may even be away, or lose
its memory."""

import pytest

from tests.support.faulty_world import PATIENCE, World, chats, long_chat
from tests.support.running_stack import until
from tests.support.stored_once import check_asked_once

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MODELS, CONVERSATIONS = "worker-language-models", "worker-conversations"


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


def test_kill_9_between_the_call_that_warms_the_cache_and_the_rest(world: World) -> None:
    batch = world.tenant("warmed")
    with world.model.holding(first=2):
        batch.connector.hand_in(long_chat("warmed"))
        until(lambda: world.model.waiting == 2, PATIENCE, batch.stored.told)
        world.stack.kill(MODELS)
        lost = batch.under_way()
    assert len(lost) == 2
    batch.stored.until_completed(1, PATIENCE)
    counted = check_asked_once(batch.stored, world.model, lost)
    assert (counted.asked, counted.repeated) == (5, 2), "the first of three is recorded, and not asked again"


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
