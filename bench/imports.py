"""`import_rows_per_s`, `import_rows_vs_posts`: rows of an import a second, beside accepted POSTs of the same chats.

A row counts when its import says that it is accepted: the file is sent over HTTP, sealed, read back, and every
conversation has its sealed content, its rows and its line in the report; the workflow around it is part of the time. A
POST is what `accept` measures. Both sides take turns in one API; its neighbour is the product's import worker with the
reader of the tests. No run is worked on by anybody, so nothing but accepting is measured.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

from bench import conversations
from bench.accept import Target, post_batch
from bench.conversations import PLAIN
from bench.ground import BenchError, CpuMeter, Ground, http_client
from bench.measure import Measurement
from bench.runs import Batch, together
from domain.ids import new_id
from domain.import_formats import NDJSON

AIM = 3.0
BOUND_SECONDS = 120.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Sizes:
    """Pairs of batches, POSTs and rows in one, POSTs before anything is measured; no new pair begins after
    `seconds`."""

    pairs: int = 8
    posts: int = 100
    rows: int = 500
    warm: int = 60
    seconds: float = 25.0


async def measure(ground: Ground, sizes: Sizes | None = None) -> list[Measurement]:
    """The figure. Raises BenchError when a request or a row is refused."""
    sizes = sizes or Sizes()
    tenant = await ground.tenant("imports")
    key = await ground.api_key(tenant.id, "ingest")
    async with ground.server("api") as (api, url), ground.worker("bench.worker", "imports") as worker:
        meter = CpuMeter([ground.temporal, ground.postgres, api, worker])
        async with http_client(url, key) as client:
            posts = Target(client, "/v1/conversations", lambda: conversations.body(PLAIN, new_id()))
            await post_batch(posts, sizes.warm, meter)
            await import_batch(client, sizes.rows, meter)
            until, pairs = time.monotonic() + sizes.seconds, list[tuple[Batch, Batch]]()
            while len(pairs) < sizes.pairs and time.monotonic() < until:
                imported = await import_batch(client, sizes.rows, meter)
                pairs.append((imported, await post_batch(posts, sizes.posts, meter)))
    figure = ratio_of(pairs)
    return [Measurement("import_rows_per_s", figure.detail["import_rows_per_s"], note="chats, as in accept"), figure]


def ratio_of(pairs: list[tuple[Batch, Batch]]) -> Measurement:
    """Rows a second over POSTs a second: pair by pair, then the median."""
    ratios = [imported.rate / posted.rate for imported, posted in pairs]
    rows, posts = together([pair[0] for pair in pairs]), together([pair[1] for pair in pairs])
    cpu = sum(posts["cpu_ms_per_run"].values()) / sum(rows["cpu_ms_per_run"].values())
    return Measurement(
        "import_rows_vs_posts",
        median(ratios),
        aim=AIM,
        note=f"{rows['per_second']} rows/s imported against {posts['per_second']} POSTs/s; by CPU {cpu:.1f}",
        detail={
            "ratios": [round(ratio, 3) for ratio in ratios],
            "ratio_by_cpu": round(cpu, 3),
            "import_rows_per_s": rows["per_second"],
            "import": rows,
            "posts": posts,
        },
    )


async def import_batch(client: httpx.AsyncClient, rows: int, meter: CpuMeter) -> Batch:
    """One import of as many rows, from sending the file until it is completed. The file is made beforehand."""
    body = b"".join(json.dumps(conversations.body(PLAIN, new_id())).encode() + b"\n" for _ in range(rows))
    meter.lap()
    began = time.perf_counter()
    answer = await client.post("/v1/imports", content=body, headers={"Content-Type": NDJSON})
    if answer.status_code != 202:
        raise BenchError(f"POST /v1/imports was answered {answer.status_code}: {answer.text[:200]}")
    found = await _completed(client, answer.json()["id"])
    batch = Batch(rows, time.perf_counter() - began, meter.lap())
    if found["rows"]["created"] != rows:
        raise BenchError(f"of {rows} rows {found['rows']} came")
    return batch


async def _completed(client: httpx.AsyncClient, import_id: str) -> dict[str, Any]:
    """Asked for in the list, which counts no conversations."""
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            while True:
                answer = await client.get("/v1/imports", params={"limit": 1})
                found: dict[str, Any] = answer.raise_for_status().json()["items"][0]
                if found["id"] == import_id and found["state"] in ("completed", "failed"):
                    return found
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise BenchError(f"an import did not end in {BOUND_SECONDS:.0f} s") from None
