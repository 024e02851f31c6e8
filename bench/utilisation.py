"""`provider_utilisation`: how much of an enforced 500 requests and 90,000 tokens a minute a backlog really uses.

Two processes with more to ask than the provider takes share one engine's limits. The provider is a server of its own
that enforces them over any sixty seconds and counts (`bench/limited_provider.py`). The figure is the share of the
limit that binds, over sixty seconds after a start of fifteen; a single 429 that reaches whoever asked makes it 0.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from bench.ground import Ground
from bench.limited_provider import REQUESTS, TOKENS, WINDOW_SECONDS
from bench.measure import Measurement
from domain.engine import EngineConfig, EngineFamily, EngineLimits
from domain.errors import EngineRateLimited
from domain.ids import new_id
from storage.postgres.provisioning import OPERATOR

AIM = 0.9
ENGINE = "limited"


@dataclass(frozen=True)
class Sizes:
    """Seconds before anything is counted, and seconds that are."""

    warm: float = 15.0
    counted: float = WINDOW_SECONDS


async def measure(ground: Ground, sizes: Sizes | None = None) -> list[Measurement]:
    sizes = sizes or Sizes()
    async with ground.server("bench.limited_provider") as (_, url):
        async with ground.database() as database:
            await database.platform.put_engine_of(OPERATOR, engine(url))
        async with (
            ground.worker("bench.backlog", ENGINE) as one,
            ground.worker("bench.backlog", ENGINE) as two,
            httpx.AsyncClient(base_url=url, trust_env=False) as client,
        ):
            began = (await client.get("/stats")).json()["now"]
            await asyncio.sleep(sizes.warm + sizes.counted)
            stats = (await client.get("/stats")).json()
        unhandled = sum(process.log.read_text().count(EngineRateLimited.code) for process in (one, two))
    return [_figure(stats, began + sizes.warm, sizes.counted, unhandled)]


def engine(url: str) -> EngineConfig:
    return EngineConfig(
        id=new_id(),
        name=ENGINE,
        family=EngineFamily.LANGUAGE_MODEL,
        kind="openai_compatible",
        model="limited-1",
        endpoint=f"{url}/v1",
        limits=EngineLimits(requests_per_minute=REQUESTS, tokens_per_minute=TOKENS),
        external=True,
    )


def _figure(stats: dict[str, Any], first: float, seconds: float, unhandled: int) -> Measurement:
    """The share of the limit that binds, from what the provider let through."""
    minutes = seconds / 60
    requests = sum(1 for at, _ in stats["admitted"] if first <= at < first + seconds)
    tokens = sum(count for at, count in stats["spent"] if first <= at < first + seconds)
    shares = {"requests": requests / (REQUESTS * minutes), "tokens": tokens / (TOKENS * minutes)}
    binds = max(shares, key=lambda name: shares[name])
    return Measurement(
        "provider_utilisation",
        0.0 if unhandled else shares[binds],
        aim=AIM,
        note=f"{requests} requests, {tokens} tokens in {seconds:.0f} s; 429: {stats['refused']}, unhandled {unhandled}",
        detail={
            "shares": {name: round(share, 3) for name, share in shares.items()},
            "binds": binds,
            "refused": stats["refused"],
            "unhandled": unhandled,
        },
    )
