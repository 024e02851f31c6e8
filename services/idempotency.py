"""Requests that may be sent twice: with an Idempotency-Key the effect happens once and the answer is repeated."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from domain.errors import Conflict, InvalidInput, ParleyError
from storage.protocols import Database

HEADER = "Idempotency-Key"
WAIT_SECONDS = 10.0
"""How long a request waits for another one with its key that is still being answered."""

RENEW_SECONDS = 5.0
"""How often a claim is renewed while its request is being answered."""

ABANDONED_SECONDS = 20.0
"""A claim that has not been renewed for so long belongs to a process that died."""

_KEY = re.compile(r"[!-~]{1,255}")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25


class StillAnswering(Conflict):
    """Another request with this key has not been answered yet."""

    code = "idempotency_in_progress"
    title = "A request with this Idempotency-Key is still being answered"
    retryable = True


@dataclass(frozen=True)
class Reply:
    """An answer as it goes out: HTTP status and JSON body. replayed: it was given before."""

    status: int
    body: bytes
    replayed: bool = False


class Idempotency:
    """Needs the database. Only answers below 300 are kept: a refusal or failure had no effect to protect."""

    def __init__(self, database: Database, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._database = database
        self._wait_seconds = wait_seconds

    async def once(
        self, tenant_id: str, key: str | None, request: bytes, answer: Callable[[], Awaitable[Reply]]
    ) -> Reply:
        """What `answer` gives, or gave to an earlier request with this key.

        `request` is everything that makes it the same request: method, path and content. Without a key every request
        is its own. Raises InvalidInput (malformed key), IdempotencyMismatch, StillAnswering, and what `answer` raises.
        """
        if key is None:
            return await answer()
        if _KEY.fullmatch(key) is None:
            raise InvalidInput.of(HEADER, "is 1 to 255 visible ASCII characters")
        request_hash = hashlib.sha256(request).hexdigest()
        kept = await self._claim(tenant_id, key, request_hash)
        if kept is not None:
            return kept
        try:
            async with self._renewed(tenant_id, key, request_hash):
                reply = await answer()
        except BaseException:
            await self._release(tenant_id, key)
            raise
        if reply.status >= 300:
            await self._release(tenant_id, key)
            return reply
        async with self._database.tenant_tx(tenant_id) as tx:
            await tx.idempotency.keep(key, request_hash, reply.status, reply.body)
        return reply

    async def _claim(self, tenant_id: str, key: str, request_hash: str) -> Reply | None:
        """None: it is ours to answer."""
        pause = _FIRST_PAUSE
        until = asyncio.get_running_loop().time() + self._wait_seconds
        while True:
            async with self._database.tenant_tx(tenant_id) as tx:
                claim = await tx.idempotency.claim(key, request_hash, abandoned_after_seconds=ABANDONED_SECONDS)
            if claim.ours:
                return None
            if claim.status is not None:
                return Reply(claim.status, claim.body, replayed=True)
            if asyncio.get_running_loop().time() + pause > until:
                raise StillAnswering("another request with this key is still being answered: try again")
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    @asynccontextmanager
    async def _renewed(self, tenant_id: str, key: str, request_hash: str) -> AsyncIterator[None]:
        """The claim stays young inside the block, however long the answer takes."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(RENEW_SECONDS)
                with suppress(ParleyError):  # an answer must not fail for this
                    async with self._database.tenant_tx(tenant_id) as tx:
                        await tx.idempotency.renew(key, request_hash)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})  # it must not make the claim anew once the answer is kept

    async def _release(self, tenant_id: str, key: str) -> None:
        async with self._database.tenant_tx(tenant_id) as tx:
            await tx.idempotency.release(key)
