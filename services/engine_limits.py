"""An engine's limits as one process keeps them: it takes slices of what all processes share and paces its own requests.

A slice is about a second of the engine's minute, asked for by whoever waits here, so a busy process needs one round
trip a second, and nothing is set aside that nobody wants. Requests are spread evenly over the minute: a provider that
counts over any sixty seconds, fixed or sliding, never sees more than its limit.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from domain.engine import EngineConfig
from domain.errors import EngineRateLimited, Unavailable
from storage.protocols import EngineGate, Slice, SliceWanted

SHARE = 0.95
"""How much of a limit is given out. The rest is for what cannot be known: how long a request travels, and how many
tokens it turns out to take."""

BURST_SECONDS = 0.25
SLICE_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 300.0
"""A request that would wait longer gives its place up: the orchestration comes back with it later."""

PLACE_SECONDS = 15.0
"""How long the places of a process that died are missed."""

_CONFIRM_SECONDS = 4.0
_PLACES_SECONDS = 0.5
_IDLE_SECONDS = 5.0
_SHORTEST_PAUSE = 0.05
_AWAY_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Waiter:
    """released: its time is fixed, and a place is taken for it."""

    tokens: float
    go: "asyncio.Future[None]"
    released: bool = False


@dataclass
class Permit:
    """One request that may go. `settle` says how many tokens it took in the end, for the next slice."""

    tokens: float
    used: float | None = None

    def settle(self, tokens: float) -> None:
        self.used = tokens


@dataclass(eq=False)
class EngineLine:
    """Who waits in this process for one engine. Made in the running loop; ends by itself when nobody waits."""

    config: EngineConfig
    gate: EngineGate
    holder: str
    latest: Slice | None = None
    _waiting: deque[_Waiter] = field(default_factory=deque)
    _busy: int = 0
    _held: int = 0
    _correction: float = 0.0
    _asked_at: float = float("-inf")
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _pump: "asyncio.Task[None] | None" = None

    @asynccontextmanager
    async def permit(self, tokens: float) -> AsyncIterator[Permit]:
        """Waits for its turn; the block is the request. Raises EngineRateLimited after LONGEST_WAIT_SECONDS."""
        waiter = _Waiter(tokens, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._changed.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run(), name=f"line of engine {self.config.name}")
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                await waiter.go
        except TimeoutError:
            self._withdraw(waiter)
            raise EngineRateLimited(
                f"engine {self.config.name}: its limits gave no place within {LONGEST_WAIT_SECONDS:.0f} s",
                retry_after=SLICE_SECONDS,
            ) from None
        except BaseException:
            self._withdraw(waiter)
            raise
        permit = Permit(tokens)
        try:
            yield permit
        finally:
            self._busy -= 1
            self._correction += (permit.used if permit.used is not None else tokens) - tokens
            self._changed.set()

    async def look(self) -> Slice:
        """What all processes know of the engine, taking nothing. Raises Unavailable."""
        self.latest = await self.gate.slice(self._wanted([], wanted=self._held))
        return self.latest

    def _withdraw(self, waiter: _Waiter) -> None:
        """Whoever no longer waits gives back what was taken for it."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.released:
            self._busy -= 1
            self._correction -= waiter.tokens
        self._changed.set()

    @property
    def _places(self) -> int:
        return self.config.limits.concurrency or 0

    async def _run(self) -> None:
        """Serves the line until nobody has waited for a while, then gives the places back. An error of the database is
        waited out: the requests behind it wait as well."""
        while True:
            await self._serve_all()
            if self._held:
                self._held = 0
                with suppress(Unavailable):
                    await self.gate.slice(self._wanted([], wanted=0))
            if not self._waiting and not self._busy:
                return

    async def _serve_all(self) -> None:
        loop = asyncio.get_running_loop()
        needed_at = loop.time()
        while True:
            self._changed.clear()
            if self._waiting or self._busy:
                needed_at = loop.time()
            elif loop.time() - needed_at >= (_IDLE_SECONDS if self._held else 0):
                return
            try:
                pause = await self._serve()
            except Unavailable as error:
                _log.warning("the limits of engine %s cannot be read: %s", self.config.name, error.message)
                pause = _AWAY_SECONDS
            if self._waiting and self._room() > 0:
                await asyncio.sleep(pause)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    def _room(self) -> int:
        """How many more may be under way."""
        return self._held - self._busy if self._places else len(self._waiting)

    async def _serve(self) -> float:
        """Takes a slice for those at the head of the line and lets them go one by one; seconds until the next."""
        now = asyncio.get_running_loop().time()
        batch = self._batch()
        if not batch:
            # Nothing to ask for, but for places to be had or kept.
            due = self._asked_at + (_PLACES_SECONDS if self._waiting else _CONFIRM_SECONDS)
            if not self._places or now < due:
                return max(due - now, _SHORTEST_PAUSE) if self._places else _CONFIRM_SECONDS
        correction, self._correction = self._correction, 0.0
        try:
            slice_ = await self.gate.slice(self._wanted(batch, correction=correction))
        except BaseException:
            self._correction += correction
            raise
        self.latest, self._asked_at, self._held = slice_, now, slice_.held
        starts_in = slice_.starts_at - slice_.at
        if not batch:
            return 0.0 if self._room() > 0 else _PLACES_SECONDS
        if not slice_.granted:
            return min(max(starts_in - SLICE_SECONDS, _SHORTEST_PAUSE), _CONFIRM_SECONDS)
        return self._release(batch, starts_in)

    def _batch(self) -> list[_Waiter]:
        """Those at the head that fit into one slice and into the places there are; at least one of them."""
        batch: list[_Waiter] = []
        length = 0.0
        for waiter in list(self._waiting)[: max(0, self._room())]:
            length += max(self._request_seconds, waiter.tokens * self._token_seconds)
            if batch and length > SLICE_SECONDS:
                break
            batch.append(waiter)
        return batch

    def _release(self, batch: list[_Waiter], starts_in: float) -> float:
        """Lets each go at its time. Those that gave up meanwhile leave their part to the next slice."""
        loop = asyncio.get_running_loop()
        first, after = loop.time() + starts_in, 0.0
        for waiter in batch:
            if waiter not in self._waiting:
                self._correction -= waiter.tokens
                continue
            self._waiting.remove(waiter)
            waiter.released = True
            self._busy += 1
            loop.call_at(max(loop.time(), first + after), _let_go, waiter.go)
            after += max(self._request_seconds, waiter.tokens * self._token_seconds)
        return max(starts_in + after - SLICE_SECONDS / 2, 0.0)

    def _wanted(self, batch: list[_Waiter], *, correction: float = 0.0, wanted: int | None = None) -> SliceWanted:
        ask = self._busy + len(self._waiting) if wanted is None else wanted
        return SliceWanted(
            engine_id=self.config.id,
            holder=self.holder,
            requests=len(batch),
            tokens=sum(waiter.tokens for waiter in batch),
            correction=correction,
            request_seconds=self._request_seconds,
            token_seconds=self._token_seconds,
            burst=BURST_SECONDS,
            horizon=SLICE_SECONDS,
            wanted=min(ask, self._places),
            busy=self._busy,
            most=self._places,
            ttl=PLACE_SECONDS,
        )

    @property
    def _request_seconds(self) -> float:
        limit = self.config.limits.requests_per_minute
        return 60 / (limit * SHARE) if limit else 0.0

    @property
    def _token_seconds(self) -> float:
        limit = self.config.limits.tokens_per_minute
        return 60 / (limit * SHARE) if limit else 0.0


def _let_go(go: "asyncio.Future[None]") -> None:
    if not go.done():
        go.set_result(None)
