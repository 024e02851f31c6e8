"""The indexer's life in a worker: wait for the lead, keep the search index up to date, give the lead back.

Every worker may run it; one leads. Others wait behind its lease, and take over when it is gone.
"""

import asyncio
import logging
from contextlib import suppress

from domain.errors import Unavailable
from domain.ids import new_id
from services.index_documents import Indexer, IndexerSettings
from services.index_rebuild import LEADER, REBUILD, refill
from services.leadership import Leadership, is_free
from services.observation import Observer
from storage.protocols import Database
from storage.search.port import SearchIndex

_log = logging.getLogger(__name__)


async def run_indexer(
    database: Database,
    index: SearchIndex,
    stop: asyncio.Event,
    *,
    holder: str | None = None,
    settings: IndexerSettings | None = None,
    observer: Observer | None = None,
) -> None:
    """Runs until `stop` is set; holder: who this process is, told apart from every other.

    Never raises for a part that is away: it waits and tries again.
    """
    settings = settings or IndexerSettings()
    leadership = Leadership(database.platform, LEADER, holder or new_id(), settings.ttl_seconds)
    away = settings.away_seconds
    while not stop.is_set():
        try:
            leads = await is_free(database.platform, REBUILD, leadership.holder) and await leadership.renew()
            if not leads:
                await _pause(stop, settings.follower_seconds)
                continue
            async with leadership.kept():
                indexer = Indexer(database, index, settings, observer=observer)
                if await index.prepare():
                    _log.info("the search index has other settings than it should: it is built anew")
                    await refill(database, index, indexer, leadership)
                away = settings.away_seconds
                await _lead(database, indexer, leadership, stop, settings)
        except Unavailable as error:
            _log.warning("indexing waits: %s", error.message)
            await _pause(stop, away)
            away = min(settings.away_most_seconds, away * 2)
        except Exception:
            _log.exception("indexing failed and begins anew")
            await _pause(stop, settings.away_most_seconds)


async def _lead(
    database: Database, indexer: Indexer, leadership: Leadership, stop: asyncio.Event, settings: IndexerSettings
) -> None:
    """Drains until told to stop, the lease is lost or somebody asks for a rebuild."""
    rounds = 0
    while not stop.is_set() and leadership.sure:
        done = await indexer.round(leadership)
        rounds += 1
        if done.handled < settings.batch:
            await _pause(stop, settings.idle_seconds)
        if rounds % 8 == 0 and not await is_free(database.platform, REBUILD, leadership.holder):
            return


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
