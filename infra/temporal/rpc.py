"""Bounded calls to Temporal: an answer within seconds, or Unavailable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.service import RPCError

from domain.errors import Unavailable

RPC_TIMEOUT = timedelta(seconds=3)


@asynccontextmanager
async def bounded(what: str, seconds: float | None = RPC_TIMEOUT.total_seconds()) -> AsyncIterator[None]:
    """Whatever Temporal does not answer in time, or refuses, inside the block becomes Unavailable.

    Statuses that are answers (not found) are caught inside the block by whoever expects them.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Unavailable(f"Temporal did not answer in time: {what}") from error
    except RPCError as error:
        raise Unavailable(f"Temporal refused: {what}: {error.status.name.lower()}") from error
    except RuntimeError as error:  # what a lazy client raises when it cannot connect
        raise Unavailable(f"Temporal cannot be reached: {what}") from error
