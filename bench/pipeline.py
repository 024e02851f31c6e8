"""`pipeline_vs_noop` and `events_per_conversation`: what the product adds to a bare run of the same shape.

Chats with six tasks are accepted beforehand (row, sealed content), so only their runs are measured; engines, redactor
and language identification answer at once. Batches of the product and of the empty workflow (`bench/noop.py`) take
turns in the same worker processes; a pair of neighbours gives a ratio, the median of the pairs is the figure.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from temporalio.client import Client

from bench.conversations import PLAIN
from bench.ground import BenchError, CpuMeter, Ground, Process
from bench.measure import Measurement
from bench.profile import dearest_functions
from bench.runs import Batch, Conversations, EmptyRuns, accept, event_counts, run_batch, together
from infra.temporal.client import Connection, connect

RATIO_AIM, EVENTS_AIM = 0.6, 31
ROLES = ("conversations", "language-models")


@dataclass(frozen=True)
class Sizes:
    """Pairs of batches, runs in a batch, runs of either side before anything is measured, runs under a profiler; no
    new pair begins after `seconds`."""

    pairs: int = 12
    batch: int = 20
    warm: int = 40
    profiled: int = 40
    seconds: float = 40.0


async def measure(ground: Ground, sizes: Sizes | None = None) -> list[Measurement]:
    """Both figures. Raises BenchError when a run does not complete, or the two histories differ in length."""
    sizes = sizes or Sizes()
    client = await connect(Connection.from_settings(ground.settings, identity="bench"))
    product = await _conversations(ground, client, sizes.warm + sizes.pairs * sizes.batch + sizes.profiled)
    empty = EmptyRuns(client)
    async with _workers(ground) as workers:
        meter = CpuMeter([ground.temporal, ground.postgres, *workers])
        for side in (product, empty):
            await run_batch(side, sizes.warm, meter)
        until, pairs = time.monotonic() + sizes.seconds, list[tuple[Batch, Batch]]()
        while len(pairs) < sizes.pairs and time.monotonic() < until:
            ours = await run_batch(product, sizes.batch, meter)
            pairs.append((ours, await run_batch(empty, sizes.batch, meter)))
    events, baseline = await event_counts(product.handles), await event_counts(empty.handles)
    if median(events) != median(baseline):
        raise BenchError(f"the baseline has {median(baseline):g} events, a chat has {median(events):g}")
    ratio = ratio_of(pairs)
    if not ratio.reached:
        ratio.detail["profile"] = await _profile(ground, product, sizes.profiled)
    return [ratio, _events(events)]


async def measure_events(ground: Ground, runs: int = 10) -> list[Measurement]:
    """The number of events alone."""
    client = await connect(Connection.from_settings(ground.settings, identity="bench"))
    product = await _conversations(ground, client, runs)
    async with _workers(ground) as workers:
        await run_batch(product, runs, CpuMeter(workers))
    return [_events(await event_counts(product.handles))]


async def _conversations(ground: Ground, client: Client, count: int) -> Conversations:
    tenant = await ground.tenant("pipeline")
    return Conversations(client, await accept(ground, tenant.id, [PLAIN] * count))


@asynccontextmanager
async def _workers(ground: Ground, profiles: Mapping[str, Path] | None = None) -> AsyncIterator[list[Process]]:
    """The two worker processes a chat needs; with a file by role, each under a profiler."""
    async with AsyncExitStack() as stack:
        workers = []
        for role in ROLES:
            profile = profiles[role] if profiles else None
            workers.append(await stack.enter_async_context(ground.worker("bench.worker", role, profile)))
        yield workers


def ratio_of(pairs: Sequence[tuple[Batch, Batch]]) -> Measurement:
    """The product's rate over the baseline's: pair by pair, then the median."""
    ratios = [ours.rate / empty.rate for ours, empty in pairs]
    ours, empty = together([pair[0] for pair in pairs]), together([pair[1] for pair in pairs])
    cpu = sum(empty["cpu_ms_per_run"].values()) / sum(ours["cpu_ms_per_run"].values())
    rates = f"{ours['per_second']} against {empty['per_second']} runs/s"
    return Measurement(
        "pipeline_vs_noop",
        median(ratios),
        aim=RATIO_AIM,
        note=f"{rates}; by CPU {cpu:.2f}: {_where_it_goes(ours, empty)}",
        detail={
            "ratios": [round(ratio, 3) for ratio in ratios],
            "ratio_by_cpu": round(cpu, 3),
            "product": ours,
            "empty": empty,
        },
    )


def _where_it_goes(ours: Mapping[str, Any], empty: Mapping[str, Any]) -> str:
    """The difference in CPU a run, process by process."""
    before = empty["cpu_ms_per_run"]
    more = sorted(((ms - before[name], name) for name, ms in ours["cpu_ms_per_run"].items()), reverse=True)
    return ", ".join(f"{name} {ms:+.0f} ms" for ms, name in more)


def _events(counts: Sequence[int]) -> Measurement:
    return Measurement(
        "events_per_conversation",
        median(counts),
        aim=EVENTS_AIM,
        direction="≤",
        note="a chat with six tasks, counted in its history",
        detail={"least": min(counts), "most": max(counts), "histories": len(counts)},
    )


async def _profile(ground: Ground, product: Conversations, runs: int) -> dict[str, list[str]]:
    """What the workers' event loops are busy with, by role."""
    files = {role: ground.state.path / f"{role}.prof" for role in ROLES}
    async with _workers(ground, files) as workers:
        await run_batch(product, runs, CpuMeter(workers))
    return {role: dearest_functions(file, runs) for role, file in files.items()}
