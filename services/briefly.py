"""Answers kept for a few seconds, so that a busy caller does not ask the database the same thing with every request."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Briefly(Generic[K, V]):
    """Remembers up to `size` answers for `seconds`. Callers who ask for the same at once share one look-up.

    Failures are never kept. Not for use across threads.
    """

    def __init__(self, seconds: float, *, size: int = 4096, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._monotonic = monotonic
        self._kept: dict[K, tuple[float, V]] = {}
        self._running: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        """The answer kept for `key`, else what `look_up` answers. Raises what `look_up` raises."""
        kept = self._kept.get(key)
        if kept is not None and kept[0] > self._monotonic():
            return kept[1]
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(self._ask(key, look_up))
            self._running[key] = running
            running.add_done_callback(lambda task: self._done(key, task))
        # Shielded: when one caller goes away, the others still get their answer.
        return await asyncio.shield(running)

    def forget(self, key: K) -> None:
        """The next caller asks anew."""
        self._kept.pop(key, None)

    def _done(self, key: K, task: asyncio.Task[V]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, also when every caller has gone away

    async def _ask(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        value = await look_up()
        self._kept.pop(key, None)  # re-inserted at the end, so that the first one is always the oldest
        while len(self._kept) >= self._size:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (self._monotonic() + self._seconds, value)
        return value
