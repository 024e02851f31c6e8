"""`accept_vs_start`: what an accepted POST costs beside the bare start of a workflow over HTTP.

Ours is the API as it is: authentication, limits, checks, sealed content, the row, the start, the answer. The baseline
is FastAPI with one route that starts the empty workflow (`bench/bare.py`), under the same uvicorn settings. Both get
the same bodies from the same client, eight requests at a time, in turns; no worker runs, so nothing but the starting
is measured. A pair of neighbouring batches gives a ratio, the median is the figure.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

from bench import conversations
from bench.conversations import PLAIN
from bench.ground import AT_ONCE, CpuMeter, Ground, http_client, post
from bench.measure import Measurement
from bench.profile import dearest_functions
from bench.runs import Batch, together
from domain.ids import new_id

AIM = 0.6


@dataclass(frozen=True)
class Sizes:
    """Pairs of batches, requests in a batch, requests to either side before anything is measured, requests under a
    profiler; no new pair begins after `seconds`."""

    pairs: int = 10
    batch: int = 100
    warm: int = 60
    profiled: int = 300
    seconds: float = 25.0


@dataclass(frozen=True)
class Target:
    """Where to POST, and what."""

    client: httpx.AsyncClient
    path: str
    body: Callable[[], dict[str, Any]]


async def measure(ground: Ground, sizes: Sizes | None = None) -> list[Measurement]:
    """The figure. Raises BenchError when a request is refused."""
    sizes = sizes or Sizes()
    tenant = await ground.tenant("accept")
    key = await ground.api_key(tenant.id, "ingest")
    async with ground.server("api") as (api, url), ground.server("bench.bare") as (bare, bare_url):
        meter = CpuMeter([ground.temporal, ground.postgres, api, bare])
        async with http_client(url, key) as ours, http_client(bare_url, key) as theirs:
            targets = [
                _posts(ours),
                Target(theirs, "/start", lambda: conversations.body(PLAIN, new_id())),
            ]
            for target in targets:
                await post_batch(target, sizes.warm, meter)
            until, pairs = time.monotonic() + sizes.seconds, list[tuple[Batch, Batch]]()
            while len(pairs) < sizes.pairs and time.monotonic() < until:
                posted, started = [await post_batch(target, sizes.batch, meter) for target in targets]
                pairs.append((posted, started))
    ratios = [posted.rate / started.rate for posted, started in pairs]
    api_side, bare_side = together([pair[0] for pair in pairs]), together([pair[1] for pair in pairs])
    cpu = sum(bare_side["cpu_ms_per_run"].values()) / sum(api_side["cpu_ms_per_run"].values())
    ratio = Measurement(
        "accept_vs_start",
        median(ratios),
        aim=AIM,
        note=f"{api_side['per_second']} POSTs against {bare_side['per_second']} starts/s; by CPU {cpu:.2f}",
        detail={
            "ratios": [round(ratio, 3) for ratio in ratios],
            "ratio_by_cpu": round(cpu, 3),
            "api": api_side,
            "bare": bare_side,
        },
    )
    if not ratio.reached:
        ratio.detail["profile"] = {"api": await _profile(ground, key, sizes.profiled)}
    return [ratio]


async def _profile(ground: Ground, key: str, requests: int) -> list[str]:
    """What the API's event loop is busy with."""
    file = ground.state.path / "api.prof"
    async with ground.server("api", file) as (api, url), http_client(url, key) as client:
        await post_batch(_posts(client), requests, CpuMeter([api]))
    return dearest_functions(file, requests)


def _posts(client: httpx.AsyncClient) -> Target:
    return Target(client, "/v1/conversations", lambda: conversations.body(PLAIN, new_id()))


async def post_batch(target: Target, requests: int, meter: CpuMeter) -> Batch:
    """As many POSTs, eight at a time. The bodies are made beforehand."""
    bodies = [target.body() for _ in range(requests)]

    async def some() -> None:
        while bodies:
            await post(target.client, target.path, bodies.pop())

    meter.lap()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())
    return Batch(requests, time.perf_counter() - began, meter.lap())
