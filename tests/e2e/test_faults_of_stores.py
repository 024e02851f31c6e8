"""Postgres or the content store away for 20 s: what was accepted completes, is stored once and paid for once."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from tests.support.faulty_world import PATIENCE, World, chats

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

AWAY_SECONDS = 20.0


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
