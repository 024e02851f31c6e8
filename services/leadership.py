"""Being the one leader of a job: a lease in Postgres, renewed while the work goes on."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from domain.errors import ParleyError, Unavailable
from storage.protocols import Platform

_log = logging.getLogger(__name__)


@dataclass
class Leadership:
    """A held lease. Work that must be one leader's alone is checked with `sure` when it is done."""

    platform: Platform
    name: str
    holder: str
    ttl_seconds: float
    _sure_until: float = field(default=0.0, init=False)

    @property
    def sure(self) -> bool:
        """Whether nobody else can have led since the lease was taken."""
        return time.monotonic() < self._sure_until

    async def renew(self) -> bool:
        """Take or keep the lease. Raises Unavailable."""
        asked = time.monotonic()
        won = await self.platform.lead(self.name, self.holder, self.ttl_seconds)
        if won and (self._sure_until == 0.0 or self.sure):
            self._sure_until = asked + self.ttl_seconds
        return won

    async def release(self) -> None:
        """Let somebody else lead at once. A database that is away lets the lease run out."""
        self._sure_until = 0.0
        with suppress(Unavailable):
            await self.platform.lead(self.name, self.holder, 0.0)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renews three times a lease's length while the block runs, and releases it afterwards."""
        renewing = asyncio.create_task(self._keep_renewing())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            await self.release()

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(self.ttl_seconds / 3)
            try:
                if not await self.renew():
                    _log.warning("the lease of %s went to somebody else", self.name)
                    return
            except ParleyError as error:
                _log.warning("the lease of %s could not be renewed: %s", self.name, error.code)


async def is_free(platform: Platform, name: str, asker: str) -> bool:
    """Whether nobody holds a lease: taking it for no time at all leaves it as free as it was. Raises Unavailable."""
    return await platform.lead(name, asker, 0.0)
