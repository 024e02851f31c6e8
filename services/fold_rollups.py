"""The folder's life in a worker: wait for the lead, fold what counting has left, give the lead back.

Every worker may run it; one leads. What is not folded yet is read all the same, so folding is in no hurry: the longer
it waits, the more deltas become one sum.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from domain.errors import Unavailable, where
from domain.ids import new_id
from services.leadership import Leadership
from storage.protocols import Database

LEADER = "rollup-folder"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderSettings:
    """batch: deltas folded in one transaction. tenants: how many are looked after in one round."""

    batch: int = 5_000
    tenants: int = 500
    idle_seconds: float = 5.0
    follower_seconds: float = 10.0
    away_seconds: float = 10.0
    ttl_seconds: float = 30.0


async def run_folder(
    database: Database, stop: asyncio.Event, *, holder: str | None = None, settings: FolderSettings | None = None
) -> None:
    """Runs until `stop` is set; holder: who this process is, told apart from every other.

    Never raises for a database that is away: it waits and tries again.
    """
    settings = settings or FolderSettings()
    leadership = Leadership(database.platform, LEADER, holder or new_id(), settings.ttl_seconds)
    while not stop.is_set():
        try:
            if not await leadership.renew():
                await _pause(stop, settings.follower_seconds)
                continue
            async with leadership.kept():
                while not stop.is_set() and leadership.sure:
                    await fold_round(database, settings)
                    await _pause(stop, settings.idle_seconds)
        except Unavailable as error:
            _log.warning("folding waits: %s", error.message)
            await _pause(stop, settings.away_seconds)


async def fold_round(database: Database, settings: FolderSettings | None = None) -> int:
    """Folds what every tenant has waiting; how many deltas that were. A tenant that cannot be folded is told in the log
    and stands in no other's way. Raises Unavailable."""
    settings = settings or FolderSettings()
    folded = 0
    for tenant_id in await database.platform.rollups_waiting(settings.tenants):
        try:
            folded += await _fold_tenant(database, tenant_id, settings.batch)
        except Unavailable:
            raise
        except Exception as error:
            _log.error("the rollups of tenant %s are left unfolded: %s", tenant_id, where(error))
    return folded


async def _fold_tenant(database: Database, tenant_id: str, batch: int) -> int:
    folded = 0
    while True:
        async with database.tenant_tx(tenant_id) as tx:
            done = await tx.rollups.fold(batch)
        folded += done
        if done < batch:
            return folded


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
