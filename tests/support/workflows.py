"""A world for workflow tests: the real server and the real workflows, with stages that follow a script."""

import asyncio
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.worker import Worker

from domain import contracts, policies
from domain.contracts import (
    AnalyzeRequest,
    AnalyzeResult,
    ConcludeImportRequest,
    ConcludeImportResult,
    ConcludeRequest,
    ConcludeResult,
    ConversationOutcome,
    EngineBatch,
    ImportOutcome,
    ImportRef,
    ImportRowsRequest,
    ImportRowsResult,
    ImportRun,
    IngestResult,
    NormalizeResult,
    PersistResult,
    PlanRequest,
    PlanResult,
    QueueKind,
    ReconcileRequest,
    ReconcileResult,
    RunRef,
    StretchEnd,
    TranscribeResult,
    task_queue,
)
from domain.conversation import Channel, Conversation, Lane, Stage, Status
from domain.ids import new_id, new_tenant_id
from domain.policies import StagePolicy
from infra.temporal.codec import KeyRing
from infra.temporal.histories import RECORDING_KEYS
from infra.temporal.orchestrator import TemporalOrchestrator
from infra.temporal.plugin import parley_plugin
from storage.protocols import RunEntry
from workflows.conversation import ConversationWorkflow
from workflows.imports import ImportWorkflow
from workflows.reconcile import ReconcileWorkflow

TEST_KEYS = RECORDING_KEYS
"""Fixed: recorded histories are replayed with it."""

BOUND = 30.0
"""Seconds any wait of a test may take."""

Act = Callable[[Any], Awaitable[Any]] | Exception | Any


async def connect(address: str, namespace: str, *, keys: KeyRing = TEST_KEYS, lazy: bool = False) -> Client:
    """A client as the product's, with strict imports in the sandbox."""
    return await Client.connect(
        address,
        namespace=namespace,
        plugins=[parley_plugin(keys, strict_imports=True)],
        identity="test",
        lazy=lazy,
    )


def fast(**changes: Any) -> StagePolicy:
    """A policy with short waits."""
    values: dict[str, Any] = {
        "start_to_close": 10,
        "schedule_to_close": 30,
        "maximum_attempts": 3,
        "initial_interval": 0.05,
        "backoff": 1.0,
        "maximum_interval": 0.05,
    }
    return StagePolicy(**{**values, **changes})


def use_policies(**changes: StagePolicy) -> None:
    """Fast policies for every stage and lane, with some of their own (`plan_local=…`)."""
    keys = {contract.policy for contract in contracts.CONTRACTS} | {"plan_local"}
    table = {(key, lane): fast() for key in keys for lane in Lane}
    table |= {(key, lane): value for key, value in changes.items() for lane in Lane}
    policies.use(table)


async def hang(_: Any) -> None:
    """Never answers and never heartbeats."""
    await asyncio.sleep(BOUND * 10)


@dataclass
class Script:
    """What each stage does, attempt by attempt; afterwards it answers `answers[stage]`. Notes every call."""

    kind: str = field(default_factory=lambda: f"k{uuid.uuid4().hex[:10]}")
    acts: dict[str, deque[Act]] = field(default_factory=lambda: defaultdict(deque))
    calls: list[tuple[str, Any]] = field(default_factory=list)
    locals: list[bool] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answers |= {
            "ingest": IngestResult(),
            "transcribe": TranscribeResult(segments=3),
            "normalize": NormalizeResult(turns=4),
            "plan": PlanResult(batches=(self.batch("default"),)),
            "analyze": AnalyzeResult(ran=6),
            "persist": PersistResult(status=Status.COMPLETED, values=6),
            "conclude": ConcludeResult(),
            "reconcile": ReconcileResult(),
            "import_rows": ImportRowsResult(end=StretchEnd.DONE, rows=3, created=3, percent=100),
            "conclude_import": ConcludeImportResult(concluded=True),
        }

    def batch(self, engine: str, kind: str | None = None, tasks: int = 6) -> EngineBatch:
        return EngineBatch(engine=engine, kind=kind or self.kind, task_run_ids=tuple(new_id() for _ in range(tasks)))

    def on(self, stage: str, *acts: Act) -> "Script":
        self.acts[stage].extend(acts)
        return self

    def called(self, stage: str | None = None) -> list[Any]:
        """Arguments of the stage's calls; without a stage the names of all calls."""
        return [name if stage is None else argument for name, argument in self.calls if stage in (None, name)]

    async def play(self, argument: Any) -> Any:
        info = activity.info()
        name = info.activity_type
        self.calls.append((name, argument))
        self.locals.append(info.is_local)
        self.times.append(asyncio.get_running_loop().time())
        act = self.acts[name].popleft() if self.acts[name] else self.answers[name]
        if isinstance(act, Exception):
            raise act
        return await act(argument) if callable(act) else act


class ScriptedStages:
    """Stand-ins that follow the contracts."""

    def __init__(self, script: Script) -> None:
        self._play = script.play

    @activity.defn(name=contracts.INGEST.name)
    async def ingest(self, run: RunRef) -> IngestResult:
        return await self._play(run)  # type: ignore[no-any-return]

    @activity.defn(name=contracts.TRANSCRIBE.name)
    async def transcribe(self, run: RunRef) -> TranscribeResult:
        return await self._play(run)  # type: ignore[no-any-return]

    @activity.defn(name=contracts.NORMALIZE.name)
    async def normalize(self, run: RunRef) -> NormalizeResult:
        return await self._play(run)  # type: ignore[no-any-return]

    @activity.defn(name=contracts.PLAN.name)
    async def plan(self, request: PlanRequest) -> PlanResult:
        return await self._play(request)  # type: ignore[no-any-return]

    @activity.defn(name=contracts.ANALYZE.name)
    async def analyze(self, request: AnalyzeRequest) -> AnalyzeResult:
        return await self._play(request)  # type: ignore[no-any-return]

    @activity.defn(name=contracts.PERSIST.name)
    async def persist(self, run: RunRef) -> PersistResult:
        return await self._play(run)  # type: ignore[no-any-return]

    @activity.defn(name=contracts.CONCLUDE.name)
    async def conclude(self, request: ConcludeRequest) -> ConcludeResult:
        return await self._play(request)  # type: ignore[no-any-return]

    @activity.defn(name=contracts.RECONCILE.name)
    async def reconcile(self, request: ReconcileRequest) -> ReconcileResult:
        return await self._play(request)  # type: ignore[no-any-return]

    @activity.defn(name=contracts.IMPORT_ROWS.name)
    async def import_rows(self, request: ImportRowsRequest) -> ImportRowsResult:
        return await self._play(request)  # type: ignore[no-any-return]

    @activity.defn(name=contracts.CONCLUDE_IMPORT.name)
    async def conclude_import(self, request: ConcludeImportRequest) -> ConcludeImportResult:
        return await self._play(request)  # type: ignore[no-any-return]


@dataclass
class World:
    """A client, a script, and workers on queues of their own."""

    client: Client
    script: Script
    queue: str = field(default_factory=lambda: f"parley-test-{uuid.uuid4().hex[:10]}")
    tenant_id: str = field(default_factory=new_tenant_id)

    @property
    def orchestrator(self) -> TemporalOrchestrator:
        return TemporalOrchestrator(self.client, ui_url="http://ui.test/", task_queue=self.queue)

    def entry(self, **changes: Any) -> RunEntry:
        run = RunRef(tenant_id=self.tenant_id, conversation_id=new_id(), revision=1, entry=changes.pop("entry", 1),
                     lane=changes.pop("lane", Lane.LIVE))  # fmt: skip
        values: dict[str, Any] = {
            "run": run,
            "channel": Channel.CHAT,
            "enter_at": Stage.INGEST,
            "task_ids": (),
            "state": "pending",
            "reason": "accepted",
            "not_before": None,
            "created_at": datetime.now(UTC),
        }
        return RunEntry(**{**values, **changes})

    def conversation(self, entry: RunEntry) -> Conversation:
        now = datetime.now(UTC)
        return Conversation(
            tenant_id=entry.run.tenant_id, id=entry.run.conversation_id, source="api", external_id="x-1",
            channel=entry.channel, revision=entry.run.revision, status=Status.RECEIVED, started_at=now,
            received_at=now, created_at=now, updated_at=now,
        )  # fmt: skip

    async def start(self, **changes: Any) -> WorkflowHandle[Any, ConversationOutcome]:
        return await self.start_entry(self.entry(**changes))

    async def start_entry(self, entry: RunEntry) -> WorkflowHandle[Any, ConversationOutcome]:
        await self.orchestrator.start(entry, self.conversation(entry))
        return self.handle(entry.run)

    async def start_import(self, **more: int) -> WorkflowHandle[Any, ImportOutcome]:
        """On a queue that `workers(imports=True)` serve, as the orchestrator does it."""
        ref = ImportRef(tenant_id=self.tenant_id, import_id=new_id(), entry=1)
        return await self.client.start_workflow(
            contracts.IMPORT_WORKFLOW,
            ImportRun(ref=ref, **more),
            id=ref.workflow_id,
            task_queue=contracts.IMPORTS_QUEUE,
            result_type=ImportOutcome,
        )

    def handle(self, run: RunRef) -> WorkflowHandle[Any, ConversationOutcome]:
        return self.client.get_workflow_handle(run.workflow_id, result_type=ConversationOutcome)

    async def outcome(self, **changes: Any) -> ConversationOutcome:
        handle = await self.start(**changes)
        return await asyncio.wait_for(handle.result(), BOUND)

    @asynccontextmanager
    async def workers(
        self,
        *,
        engines: Sequence[str] | None = None,
        slots: int = 20,
        workflow_slots: int = 20,
        imports: bool = False,
    ) -> AsyncIterator[None]:
        """The conversations worker, one per engine kind for both families, and the imports' when asked for."""
        stages = ScriptedStages(self.script)
        ours: list[Callable[..., Any]] = [
            stages.ingest,
            stages.normalize,
            stages.plan,
            stages.persist,
            stages.conclude,
            stages.reconcile,
        ]
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                Worker(
                    self.client,
                    task_queue=self.queue,
                    activities=ours,
                    build_id="test",  # without one the SDK hashes every module loaded, which takes seconds
                    max_concurrent_activities=slots,
                    max_concurrent_workflow_tasks=workflow_slots,
                    workflows=[ConversationWorkflow, ReconcileWorkflow],
                    max_heartbeat_throttle_interval=timedelta(seconds=0.2),
                    default_heartbeat_throttle_interval=timedelta(seconds=0.2),
                )
            )
            if imports:
                await stack.enter_async_context(
                    Worker(
                        self.client,
                        task_queue=task_queue(QueueKind.IMPORTS),
                        activities=[stages.import_rows, stages.conclude_import],
                        build_id="test",
                        workflows=[ImportWorkflow],
                        max_heartbeat_throttle_interval=timedelta(seconds=0.2),
                        default_heartbeat_throttle_interval=timedelta(seconds=0.2),
                    )
                )
            for kind in (self.script.kind,) if engines is None else engines:
                for family, work in (
                    (QueueKind.TRANSCRIPTION, stages.transcribe),
                    (QueueKind.LANGUAGE_MODEL, stages.analyze),
                ):
                    await stack.enter_async_context(
                        Worker(
                            self.client,
                            task_queue=task_queue(family, kind),
                            activities=[work],
                            build_id="test",
                            max_concurrent_activities=slots,
                        )
                    )
            yield


async def events(handle: WorkflowHandle[Any, Any]) -> list[HistoryEvent]:
    """The run's history so far."""
    history: WorkflowHistory = await handle.fetch_history()
    return list(history.events)


def names(history: Sequence[HistoryEvent]) -> list[str]:
    """Short names of a history's events, in order."""
    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower() for event in history]


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], what: str) -> None:
    """Waits until the condition holds; fails the test when it does not within the bound."""
    deadline = asyncio.get_running_loop().time() + BOUND
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {BOUND} s: {what}"
        await asyncio.sleep(0.05)
