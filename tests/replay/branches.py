"""Every branch of every workflow, as scripts that lead there: what is recorded, and what must have been recorded."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHandle

from domain.contracts import (
    RECONCILE_WORKFLOW,
    ImportRowsResult,
    IngestResult,
    NormalizeResult,
    PersistResult,
    PlanResult,
    ReconcileRequest,
    StretchEnd,
)
from domain.conversation import Channel, Stage, Status
from domain.errors import (
    ContentMissing,
    EngineQuotaExhausted,
    EngineRejected,
    InvalidInput,
    Superseded,
    Unavailable,
    UndecodableContent,
)
from domain.policies import StagePolicy
from tests.support.workflows import BOUND, World, fast, hang, until, use_policies

Handle = WorkflowHandle[Any, Any]
Drive = Callable[[World], Awaitable[Handle]]
Prepare = Callable[[World], None]


@dataclass(frozen=True)
class Branch:
    """`prepare` writes the script, `drive` starts the run and leads it to its end."""

    name: str
    prepare: Prepare
    drive: Drive


async def chat(world: World) -> Handle:
    return await _ended(await world.start())


async def call(world: World) -> Handle:
    return await _ended(await world.start(channel=Channel.CALL))


def entry_at(stage: Stage, *, engine_known: bool = True) -> Drive:
    async def drive(world: World) -> Handle:
        kind = world.script.kind if engine_known else None
        handle = await world.start(channel=Channel.CALL, enter_at=stage, entry=2, transcription=kind)
        return await _ended(handle)

    return drive


def cancelled_in(stage: str, times: int) -> Drive:
    async def drive(world: World) -> Handle:
        handle = await world.start()
        await until(lambda: world.script.called().count(stage) == times, f"{stage} runs")
        await handle.cancel()
        return await _ended(handle)

    return drive


async def imported(world: World) -> Handle:
    return await _ended(await world.start_import())


async def import_cancelled(world: World) -> Handle:
    handle = await world.start_import()
    await until(lambda: "import_rows" in world.script.called(), "rows are read")
    await handle.cancel()
    return await _ended(handle)


async def import_continued(world: World) -> Handle:
    """The first run of a chain of two."""
    first = await world.start_import(stretches=2)
    described = await first.describe()
    await _ended(first)
    return world.client.get_workflow_handle(first.id, run_id=described.run_id)


async def reconcile(world: World) -> Handle:
    handle = await world.client.start_workflow(
        RECONCILE_WORKFLOW, ReconcileRequest(), id=f"reconcile/{world.queue}", task_queue=world.queue
    )
    return await _ended(handle)


async def _ended(handle: Handle) -> Handle:
    with contextlib.suppress(WorkflowFailureError):
        await asyncio.wait_for(handle.result(), BOUND)
    return handle


def nothing_special(_: World) -> None:
    """All stages answer at once."""


def a_call(world: World) -> None:
    world.script.answers["ingest"] = IngestResult(transcription=world.script.kind)


def not_settled(world: World) -> None:
    world.script.answers["normalize"] = NormalizeResult(turns=2, settled=False)


def nothing_to_analyse(world: World) -> None:
    world.script.answers["plan"] = PlanResult(skipped=6)


def two_engines(world: World) -> None:
    world.script.answers["plan"] = PlanResult(batches=(world.script.batch("one"), world.script.batch("two")))


def one_of_two(error: Exception) -> Prepare:
    def prepare(world: World) -> None:
        two_engines(world)
        world.script.on("analyze", error)
        world.script.answers["persist"] = PersistResult(status=Status.COMPLETED_WITH_GAPS, values=3)

    return prepare


def failing(stage: str, error: Exception, times: int = 1) -> Prepare:
    def prepare(world: World) -> None:
        world.script.on(stage, *[error] * times)

    return prepare


def hanging(stage: str, engines: bool = False) -> Prepare:
    def prepare(world: World) -> None:
        if engines:
            two_engines(world)
        world.script.on(stage, hang, hang)

    return prepare


def out_of_time(stage: str, act: object, times: int, **policy: StagePolicy) -> Prepare:
    """A stage that meets its limits, with `act` at so many tries."""

    def prepare(world: World) -> None:
        use_policies(**policy)
        world.script.on(stage, *[act] * times)

    return prepare


def nobody_serves_it(world: World) -> None:
    use_policies(analyze=fast(schedule_to_close=0.5))
    waiting, good = world.script.batch("waiting", kind="served-by-nobody"), world.script.batch("good")
    world.script.answers["plan"] = PlanResult(batches=(waiting, good))


def overtaken_at_persist(world: World) -> None:
    world.script.answers["persist"] = PersistResult(status=Status.PROCESSING, superseded=True)


def overtaken_at_conclude(world: World) -> None:
    world.script.on("ingest", ContentMissing("gone")).on("conclude", Superseded("a newer entry"))


def never_concluded(world: World) -> None:
    world.script.on("ingest", ContentMissing("gone")).on("conclude", *[Unavailable("no database")] * 3)


def stretches(*ends: StretchEnd, times: int = 1) -> Prepare:
    def prepare(world: World) -> None:
        for end in ends:
            world.script.on("import_rows", *[ImportRowsResult(end=end, rows=1, wait_seconds=0.05)] * times)

    return prepare


AWAY = Unavailable("the database does not answer")
NEWER = Superseded("a newer revision")
ONE_SHORT_TRY = fast(start_to_close=0.3, maximum_attempts=1)
SLOW_TO_RETRY = fast(schedule_to_close=1, initial_interval=0.6, maximum_interval=0.6, maximum_attempts=50)

BRANCHES = (
    Branch("chat", nothing_special, chat),
    Branch("call", a_call, call),
    Branch("entry-at-transcribe", nothing_special, entry_at(Stage.TRANSCRIBE)),
    Branch("entry-at-transcribe-unknown-engine", a_call, entry_at(Stage.TRANSCRIBE, engine_known=False)),
    Branch("entry-at-normalize", nothing_special, entry_at(Stage.NORMALIZE)),
    Branch("entry-at-plan", nothing_special, entry_at(Stage.PLAN)),
    Branch("entry-at-analyze", nothing_special, entry_at(Stage.ANALYZE)),
    Branch("nothing-to-analyse", nothing_to_analyse, chat),
    Branch("two-engines", two_engines, chat),
    Branch("two-engines-one-fails", one_of_two(EngineRejected("refused")), chat),
    Branch("two-engines-one-waits", one_of_two(EngineQuotaExhausted("used up")), chat),
    Branch("retried", failing("normalize", AWAY), chat),
    Branch("plan-retried", failing("plan", AWAY), chat),
    Branch("plan-remote", failing("plan", AWAY, 3), chat),
    Branch("plan-refused", failing("plan", ContentMissing("gone")), chat),
    Branch("plan-timed-out", out_of_time("plan", hang, 1, plan_local=ONE_SHORT_TRY), chat),
    Branch("settling", not_settled, chat),
    Branch("parked", failing("ingest", UndecodableContent("no audio")), chat),
    Branch("dead-letter", failing("ingest", AWAY, 3), chat),
    Branch("dead-letter-at-persist", failing("persist", AWAY, 3), chat),
    Branch("timed-out", out_of_time("ingest", hang, 2, ingest=fast(start_to_close=0.3, maximum_attempts=2)), chat),
    Branch("heartbeat-lost", out_of_time("ingest", hang, 2, ingest=fast(heartbeat=0.3, maximum_attempts=2)), chat),
    Branch("expired-between-tries", out_of_time("ingest", AWAY, 20, ingest=SLOW_TO_RETRY), chat),
    Branch("served-by-nobody", nobody_serves_it, chat),
    Branch("superseded", failing("normalize", NEWER), chat),
    Branch("superseded-at-plan", failing("plan", NEWER), chat),
    Branch("superseded-at-analyze", failing("analyze", NEWER), chat),
    Branch("superseded-at-persist", overtaken_at_persist, chat),
    Branch("superseded-at-conclude", overtaken_at_conclude, chat),
    Branch("not-concluded", never_concluded, chat),
    Branch("cancelled", hanging("normalize"), cancelled_in("normalize", 1)),
    Branch("cancelled-at-plan", hanging("plan"), cancelled_in("plan", 1)),
    Branch("cancelled-among-engines", hanging("analyze", engines=True), cancelled_in("analyze", 2)),
    Branch("reconcile", nothing_special, reconcile),
    Branch("reconcile-failed", failing("reconcile", AWAY, 3), reconcile),
    Branch("import", nothing_special, imported),
    Branch("import-in-stretches", stretches(StretchEnd.MORE, times=2), imported),
    Branch("import-waits", stretches(StretchEnd.WAIT, StretchEnd.MORE, StretchEnd.WAIT), imported),
    Branch("import-paused", stretches(StretchEnd.PAUSED), imported),
    Branch("import-cancelled", stretches(StretchEnd.CANCELLED), imported),
    Branch("import-superseded", stretches(StretchEnd.SUPERSEDED), imported),
    Branch("import-retried", failing("import_rows", AWAY), imported),
    Branch("import-failed", failing("import_rows", InvalidInput("body: is not read")), imported),
    Branch("import-gave-up", failing("import_rows", AWAY, 3), imported),
    Branch("import-cancelled-in-temporal", hanging("import_rows"), import_cancelled),
    Branch("import-continued", stretches(StretchEnd.MORE, times=2), import_continued),
)
