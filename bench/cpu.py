"""`cpu_ms_per_conversation`: what a chat costs in processor time, by stage and by process.

By stage: the product's activities with the real redactor and the offline engine run one after the other in this
process, each stage over all conversations; measured are this process (all its threads) and Postgres. By process: the
same chats are handed to the real API at once, and the time of every process (API, workers, Postgres, Temporal) is read
before and when all are analysed and indexed. What the stages do not explain is acceptance and orchestration.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import httpx
from temporalio.testing import ActivityEnvironment

from bench.conversations import VARIED, body
from bench.ground import BenchError, CpuMeter, Ground, http_client, post
from bench.measure import Measurement
from bench.runs import accept
from domain.contracts import ANALYZE, INGEST, NORMALIZE, PERSIST, PLAN, AnalyzeRequest, PlanRequest, PlanResult, RunRef
from domain.conversation import Stage, Status
from domain.ids import new_id
from infra.temporal import policies
from infra.temporal.client import Connection, connect
from infra.wiring import Storage, open_storage
from services.index_documents import Indexer
from services.index_rebuild import LEADER
from services.leadership import Leadership
from storage.protocols import ConversationFilter, Database, Page
from workers.serve import Activity
from workers.wiring import WorkerWiring

STAGES = (INGEST.name, NORMALIZE.name, PLAN.name, ANALYZE.name, PERSIST.name)
ROLES = ("conversations", "language-models")
INDEX = Stage.INDEX.value
BOUND_SECONDS = 120.0


@dataclass(frozen=True)
class Sizes:
    """Conversations of either part, and those before that warm engines, pools and plans."""

    conversations: int = 21
    warm: int = 7


async def measure(ground: Ground, sizes: Sizes | None = None) -> list[Measurement]:
    """One figure with its parts. Raises BenchError when a run does not complete."""
    sizes = sizes or Sizes()
    tenant = await ground.tenant("cpu")
    by_stage = await _by_stage(ground, tenant.id, sizes)
    by_process = await _by_process(ground, sizes)
    told = ", ".join(f"{stage} {sum(parts.values()):.0f}" for stage, parts in by_stage.items())
    return [
        Measurement(
            "cpu_ms_per_conversation",
            sum(by_process.values()),
            "ms",
            note=f"stages: {told}; the rest is acceptance and orchestration",
            detail={"by_stage": by_stage, "by_process": by_process},
        )
    ]


async def _by_stage(ground: Ground, tenant_id: str, sizes: Sizes) -> dict[str, dict[str, float]]:
    """ms a conversation: {stage: {"python": …, "postgres": …}}."""
    policies.install(ground.settings.config_dir)
    client = await connect(Connection.from_settings(ground.settings), lazy=True)
    async with open_storage(ground.settings, "bench") as storage:
        wiring = WorkerWiring(ground.settings, client, storage)
        stages = Serial(wiring.activities(STAGES), storage, CpuMeter([ground.postgres]))
        await stages.measure(await _accepted(ground, tenant_id, sizes.warm))
        return await stages.measure(await _accepted(ground, tenant_id, sizes.conversations))


async def _accepted(ground: Ground, tenant_id: str, count: int) -> list[RunRef]:
    accepted = await accept(ground, tenant_id, list(islice(cycle(VARIED), count)))
    return [a.entry.run for a in accepted if a.entry is not None]


class Serial:
    """The stages one after the other, one activity at a time, each over all conversations."""

    def __init__(self, activities: Mapping[str, Activity], storage: Storage, meter: CpuMeter) -> None:
        self._activities = activities
        self._storage = storage
        self._meter = meter
        self._environment = ActivityEnvironment()

    async def measure(self, runs: Sequence[RunRef]) -> dict[str, dict[str, float]]:
        """ms a conversation, by stage. Indexing is what follows `normalize` and again `persist`."""
        found: dict[str, dict[str, float]] = {}
        planned: dict[RunRef, PlanResult] = {}
        self._meter.lap()
        for name in STAGES:
            for run in runs:
                await self._stage(name, run, planned)
            found[name] = self._parts(len(runs))
            if name in (NORMALIZE.name, PERSIST.name):
                await self._index()
                parts = self._parts(len(runs))
                before = found.get(INDEX, {})
                found[INDEX] = {part: round(ms + before.get(part, 0), 1) for part, ms in parts.items()}
        return found

    async def _stage(self, name: str, run: RunRef, planned: dict[RunRef, PlanResult]) -> None:
        if name == PLAN.name:
            planned[run] = await self._run(name, PlanRequest(run=run))
        elif name == ANALYZE.name:
            for batch in planned[run].batches:
                await self._run(name, AnalyzeRequest(run=run, batch=batch))
        else:
            await self._run(name, run)

    async def _run(self, name: str, argument: Any) -> Any:
        return await self._environment.run(self._activities[name], argument)

    async def _index(self) -> None:
        """Everything that waits for the search index, in the indexer's own batches."""
        indexer = Indexer(self._storage.database, self._storage.search)
        leadership = Leadership(self._storage.database.platform, LEADER, new_id(), ttl_seconds=60)
        if not await leadership.renew():
            raise BenchError("another indexer leads")
        while (await indexer.round(leadership)).handled:
            pass
        await leadership.release()

    def _parts(self, runs: int) -> dict[str, float]:
        spent = self._meter.lap()
        return {
            "python": round(1000 * spent["bench"] / runs, 1),
            "postgres": round(1000 * spent["postgres"] / runs, 1),
        }


async def _by_process(ground: Ground, sizes: Sizes) -> dict[str, float]:
    """ms a conversation of every process, from the POST until all is analysed and found by search."""
    tenant = await ground.tenant("cpu-by-process")
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(ground.worker("workers", role)) for role in ROLES]
        api, url = await stack.enter_async_context(ground.server("api"))
        client = await stack.enter_async_context(http_client(url, await ground.api_key(tenant.id, "ingest")))
        database = await stack.enter_async_context(ground.database())
        meter = CpuMeter([ground.temporal, ground.postgres, *workers, api])
        await _through(client, database, tenant.id, sizes.warm)
        meter.lap()
        await _through(client, database, tenant.id, sizes.conversations)
        spent = meter.lap()
    del spent["bench"]
    return {name: round(1000 * seconds / sizes.conversations, 1) for name, seconds in spent.items()}


async def _through(client: httpx.AsyncClient, database: Database, tenant_id: str, count: int) -> None:
    """Hands in so many chats and waits until all are completed and nothing waits for the search index."""
    before = await _completed(database, tenant_id)
    bodies = [body(name, new_id()) for name in islice(cycle(VARIED), count)]
    async with asyncio.timeout(BOUND_SECONDS):
        await asyncio.gather(*(post(client, "/v1/conversations", one) for one in bodies))
        while await _completed(database, tenant_id) < before + count or await database.platform.search_lag_seconds():
            await asyncio.sleep(0.2)


async def _completed(database: Database, tenant_id: str) -> int:
    async with database.tenant_tx(tenant_id) as tx:
        return len(await tx.conversations.list(ConversationFilter(status=Status.COMPLETED), Page(limit=200)))
