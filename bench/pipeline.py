"""`pipeline_vs_noop` and `events_per_conversation`: what the product adds to a bare run of the same shape.

Chats with six tasks are accepted beforehand (row, sealed content), so only their runs are measured; engines, redactor
and language identification answer at once. Batches of the product and of the empty workflow (`bench/noop.py`) take
turns in the same worker processes; a pair of neighbours gives a ratio, the median of the pairs is the figure.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.conversations import PLAIN
from bench.ground import BenchError, CpuMeter, Ground
from bench.measure import Measurement
from bench.profile import dearest_functions
from bench.runs import Batch, Conversations, EmptyRuns, accept, event_counts, run_batch, together
from bench.worker import PROFILE_VARIABLE
from infra.temporal.client import Connection, connect

RATIO_AIM, EVENTS_AIM = 0.6, 31
ROLES = ("conversations", "language-models")


@dataclass(frozen=True)
class Sizes:
    """Pairs of batches, runs in a batch, runs of either side before anything is measured, runs under a profiler."""

    pairs: int = 6
    batch: int = 40
    warm: int = 30
    profiled: int = 40


async def measure(ground: Ground, sizes: Sizes | None = None) -> list[Measurement]:
    """Both figures. Raises BenchError when a run does not complete, or the two histories differ in length."""
    sizes = sizes or Sizes()
    tenant = await ground.tenant("pipeline")
    client = await connect(Connection.from_settings(ground.settings, identity="bench"))
    needed = sizes.warm + sizes.pairs * sizes.batch + sizes.profiled
    product = Conversations(client, await accept(ground, tenant.id, [PLAIN] * needed))
    empty = EmptyRuns(client)
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(ground.worker("bench.worker", role)) for role in ROLES]
        meter = CpuMeter([ground.temporal, ground.postgres, *workers])
        for side in (product, empty):
            await run_batch(side, sizes.warm, meter)
        pairs = []
        for _ in range(sizes.pairs):
            ours = await run_batch(product, sizes.batch, meter)
            pairs.append((ours, await run_batch(empty, sizes.batch, meter)))
    events, baseline = await event_counts(product.handles), await event_counts(empty.handles)
    if median(events) != median(baseline):
        raise BenchError(f"the baseline has {median(baseline):g} events, a chat has {median(events):g}")
    ratio = ratio_of(pairs)
    if not ratio.reached:
        ratio.detail["profile"] = await _profile(ground, product, sizes.profiled)
    return [ratio, _events(events)]


def ratio_of(pairs: Sequence[tuple[Batch, Batch]]) -> Measurement:
    """The product's rate over the baseline's: pair by pair, then the median."""
    ratios = [ours.rate / empty.rate for ours, empty in pairs]
    ours, empty = together([pair[0] for pair in pairs]), together([pair[1] for pair in pairs])
    return Measurement(
        "pipeline_vs_noop",
        median(ratios),
        aim=RATIO_AIM,
        note=f"{ours['per_second']} against {empty['per_second']} runs/s; {_where_it_goes(ours, empty)}",
        detail={"ratios": [round(ratio, 3) for ratio in ratios], "product": ours, "empty": empty},
    )


def _where_it_goes(ours: Mapping[str, Any], empty: Mapping[str, Any]) -> str:
    """The difference in CPU a run, process by process."""
    before = empty["cpu_ms_per_run"]
    more = sorted(((ms - before[name], name) for name, ms in ours["cpu_ms_per_run"].items()), reverse=True)
    return "CPU a run: " + ", ".join(f"{name} {ms:+.0f} ms" for ms, name in more)


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
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(ground.worker("bench.worker", role, {PROFILE_VARIABLE: str(file)}))
            for role, file in files.items()
        ]
        await run_batch(product, runs, CpuMeter(workers))
    return {role: dearest_functions(file, runs) for role, file in files.items()}
