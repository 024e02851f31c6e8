"""Runs in batches: conversations that are accepted already, and empty workflows of the same shape."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from bench import conversations
from bench.ground import AT_ONCE, BenchError, CpuMeter, Ground
from bench.noop import EMPTY_WORKFLOW
from domain.contracts import CONVERSATIONS_QUEUE, ConversationOutcome, Outcome, QueueKind, RunRef, task_queue
from domain.ids import new_id
from infra.temporal.orchestrator import TemporalOrchestrator
from infra.wiring import open_storage
from services.accept_conversation import Acceptance, AcceptConversation
from tests.support.stages import AwayOrchestrator

BOUND_SECONDS = 180.0
ENGINE_QUEUE = task_queue(QueueKind.LANGUAGE_MODEL, "offline")

Handle = WorkflowHandle[Any, Any]


class Side(Protocol):
    """One side of a comparison."""

    async def start(self) -> Handle: ...

    def check(self, result: Any) -> None:
        """Raises BenchError for a run that did not do what is measured."""
        ...


@dataclass(frozen=True)
class Batch:
    """Seconds from the first start to the last result; CPU seconds by process."""

    runs: int
    seconds: float
    cpu: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Runs a second."""
        return self.runs / self.seconds


async def run_batch(side: Side, runs: int, meter: CpuMeter) -> Batch:
    """Starts `runs`, eight at a time, and waits for all. Raises BenchError when one goes wrong or time is up."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with gate:
            handle = await side.start()
        side.check(await handle.result())

    meter.lap()
    began = time.perf_counter()
    try:
        async with asyncio.timeout(BOUND_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(runs):
                group.create_task(one())
    except TimeoutError:
        raise BenchError(f"{runs} runs did not end in {BOUND_SECONDS:.0f} s") from None
    return Batch(runs, time.perf_counter() - began, meter.lap())


def together(batches: Sequence[Batch]) -> dict[str, Any]:
    """Rate and CPU a run over all batches, for the JSON."""
    runs = sum(batch.runs for batch in batches)
    cpu = {name: sum(batch.cpu[name] for batch in batches) for name in batches[0].cpu}
    return {
        "runs": runs,
        "per_second": round(runs / sum(batch.seconds for batch in batches), 1),
        "cpu_ms_per_run": {name: round(1000 * seconds / runs, 1) for name, seconds in cpu.items()},
    }


async def event_counts(handles: Sequence[Handle], most: int = 20) -> list[int]:
    """How many events the histories of the last runs have."""
    return [len([event async for event in handle.fetch_history_events()]) for handle in handles[-most:]]


class Conversations:
    """Accepted conversations, each started once, as the API starts them."""

    def __init__(self, client: Client, waiting: Sequence[Acceptance]) -> None:
        self._client = client
        self._orchestrator = TemporalOrchestrator(client)
        self._waiting = list(waiting)
        self.handles: list[Handle] = []

    async def start(self) -> Handle:
        acceptance = self._waiting.pop()
        assert acceptance.entry is not None
        await self._orchestrator.start(acceptance.entry, acceptance.conversation)
        handle = self._handle(acceptance.entry.run)
        self.handles.append(handle)
        return handle

    def check(self, result: ConversationOutcome) -> None:
        if result.outcome is not Outcome.COMPLETED:
            raise BenchError(f"a run ended as {result.outcome.value}: {result.reason}")

    def _handle(self, run: RunRef) -> Handle:
        return self._client.get_workflow_handle(run.workflow_id, result_type=ConversationOutcome)


class EmptyRuns:
    """Empty workflows under the same id policies."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.handles: list[Handle] = []

    async def start(self) -> Handle:
        handle: Handle = await self._client.start_workflow(
            EMPTY_WORKFLOW,
            ENGINE_QUEUE,
            id=f"empty/{new_id()}",
            task_queue=CONVERSATIONS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        )
        self.handles.append(handle)
        return handle

    def check(self, result: None) -> None:
        """There is nothing to go wrong."""


async def accept(ground: Ground, tenant_id: str, names: Sequence[str]) -> list[Acceptance]:
    """Chats of the demo, accepted but for their start: row, revision, entry, sealed content."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with open_storage(ground.settings, "bench") as storage:
        use_case = AcceptConversation(storage.database, storage.content, AwayOrchestrator())

        async def one(name: str) -> Acceptance:
            async with gate:
                return await use_case.accept(tenant_id, conversations.intake(name, new_id()))

        return await asyncio.gather(*(one(name) for name in names))
