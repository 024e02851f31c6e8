"""What is counted, traced and told of tries, engines and the indexer, by how they end."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from pydantic import SecretStr
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from domain.contracts import ConcludeRequest, Conclusion, PersistResult, RunRef
from domain.conversation import Stage, Status
from domain.engine import EngineConfig, EngineFamily, Price, Usage
from domain.errors import EngineTimeout, Unavailable
from domain.ids import new_id, new_tenant_id
from domain.ledger import Reason, RunState
from domain.traces import trace_id
from engines.protocols import AnswerRequest, AskedTask, ModelAnswer, Progress
from infra.engine_pool import EnginePool
from infra.secrets import EngineCredentials
from infra.telemetry.observer import ProcessObserver
from infra.telemetry.stages import StageTry, facts_of_run, observed
from services.observation import IndexOutcome
from storage.protocols import DirtyConversation
from tests.support.storage import task_run
from tests.support.tracing import tracing_into

RUN = RunRef(tenant_id=new_tenant_id(), conversation_id=new_id(), revision=1, entry=1)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def grown(name: str, **labels: str) -> Callable[[], float]:
    before = counted(name, **labels)
    return lambda: counted(name, **labels) - before


def failure(code: str, *, benign: bool = False) -> ApplicationError:
    category = ApplicationErrorCategory.BENIGN if benign else ApplicationErrorCategory.UNSPECIFIED
    return ApplicationError("planted", type=code, category=category)


@pytest.mark.parametrize(
    ("raised", "outcome", "error"),
    [
        (failure("unavailable"), "failed", "unavailable"),
        (failure("engine_rate_limited", benign=True), "benign", "engine_rate_limited"),
        (failure("superseded", benign=True), "superseded", "superseded"),
        (asyncio.CancelledError(), "cancelled", "cancelled"),
        (RuntimeError("planted"), "failed", "internal"),
    ],
)
def test_a_try_that_does_not_complete(raised: BaseException, outcome: str, error: str) -> None:
    exporter = InMemorySpanExporter()
    tries = grown("parley_stage_seconds_count", stage="probe", outcome=outcome)
    failures = grown("parley_stage_failures_total", stage="probe", error=error)
    retries = grown("parley_stage_retries_total", stage="probe")

    def try_it() -> None:
        with observed(StageTry("probe", RUN, attempt=2), tracing_into(exporter)):
            assert counted("parley_stage_in_flight", stage="probe") == 1
            raise raised

    with pytest.raises(type(raised)):
        try_it()
    assert (tries(), failures(), retries()) == (1, 1, 1)
    assert counted("parley_stage_in_flight", stage="probe") == 0
    (span,) = exporter.get_finished_spans()
    told = dict(span.attributes or {})
    assert (told["parley.outcome"], told["parley.error"], told["parley.attempt"]) == (outcome, error, 2)
    assert span.status.is_ok is (outcome != "failed")
    assert "planted" not in span.to_json()
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == trace_id(RUN.conversation_id)


@pytest.mark.parametrize("argument", [RUN, ConcludeRequest(
    run=RUN, conclusion=Conclusion.PARKED, stage=Stage.ANALYZE, reason="engine_quota_exhausted"
)])  # fmt: skip
def test_a_try_knows_whose_it_is(argument: object) -> None:
    facts = StageTry("probe", argument, attempt=1).facts()
    assert facts["conversation"] == RUN.conversation_id
    assert facts | {"stage": 0, "attempt": 0} == facts_of_run(RUN.workflow_id) | {"stage": 0, "attempt": 0}
    assert facts_of_run("reconcile/x") == {}


def test_how_runs_end_is_counted_once() -> None:
    completed = grown("parley_runs_total", outcome="completed")
    superseded = grown("parley_stage_seconds_count", stage="persist", outcome="superseded")
    for result in (PersistResult(status=Status.COMPLETED), PersistResult(status=Status.COMPLETED, superseded=True)):
        one = StageTry("persist", RUN, attempt=1)
        with observed(one, None):
            one.result = result
    assert (completed(), superseded()) == (1, 1)
    parked = grown("parley_parked_total", stage="analyze", reason="engine_quota_exhausted")
    letters = grown("parley_dead_letters_total", stage="ingest", reason="unavailable")
    for conclusion, stage, reason in (
        (Conclusion.PARKED, Stage.ANALYZE, "engine_quota_exhausted"),
        (Conclusion.FAILED, Stage.INGEST, "unavailable"),
    ):
        request = ConcludeRequest(run=RUN, conclusion=conclusion, stage=stage, reason=reason)
        with observed(StageTry("conclude", request, attempt=1), None):
            pass
    assert (parked(), letters()) == (1, 1)


def test_the_time_in_the_queue_is_on_the_span() -> None:
    exporter, now = InMemorySpanExporter(), datetime.now(UTC)
    one = StageTry("probe", RUN, attempt=1, scheduled=now - timedelta(seconds=3), started=now)
    with observed(one, tracing_into(exporter)):
        pass
    assert dict(exporter.get_finished_spans()[0].attributes or {})["parley.queued_seconds"] == 3.0


# -- engines

CONFIG = EngineConfig(
    id=new_id(), name="probe-engine", family=EngineFamily.LANGUAGE_MODEL, kind="offline", model="m-1",
    price=Price(input_per_million=2.0, output_per_million=4.0),
)  # fmt: skip


class Model:
    """Answers with a usage, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        if self._error is not None:
            raise self._error
        return ModelAnswer("planted", "planted-model", Usage(input_tokens=500_000, output_tokens=250_000))

    async def test(self) -> str:
        return "fine"


def pool(model: Model, exporter: InMemorySpanExporter) -> EnginePool:
    def build(_: EngineConfig, __: SecretStr | None) -> Model:
        return model

    return EnginePool(EngineCredentials(frozenset(), None), None, None, build, build, tracing_into(exporter))  # type: ignore[arg-type]


REQUEST = AnswerRequest(
    system="planted", schema={}, turns=(), tasks=(AskedTask(name="planted", prompt="planted", fields=()),)
)


async def test_what_an_engine_used_is_counted() -> None:
    exporter = InMemorySpanExporter()
    calls = grown("parley_engine_call_seconds_count", engine="probe-engine", outcome="answered")
    tokens = grown("parley_engine_tokens_total", engine="probe-engine", kind="output")
    cost = grown("parley_engine_cost_usd_total", engine="probe-engine")
    engine = pool(Model(), exporter).language_model(CONFIG)
    assert (await engine.answer(REQUEST, lambda _: None)).text == "planted"
    assert await engine.test() == "fine"
    assert (calls(), tokens(), cost()) == (1, 250_000, 2.0)
    (span,) = exporter.get_finished_spans()
    assert dict(span.attributes or {})["parley.model"] == "m-1"
    assert "planted" not in span.to_json()


@pytest.mark.parametrize(
    ("error", "outcome"), [(EngineTimeout("planted"), "engine_timeout"), (RuntimeError("planted"), "internal")]
)
async def test_what_an_engine_raises_goes_on_as_it_is(error: Exception, outcome: str) -> None:
    exporter = InMemorySpanExporter()
    calls = grown("parley_engine_call_seconds_count", engine="probe-engine", outcome=outcome)
    with pytest.raises(type(error)) as raised:
        await pool(Model(error), exporter).language_model(CONFIG).answer(REQUEST, lambda _: None)
    assert raised.value is error
    assert calls() == 1
    assert "planted" not in exporter.get_finished_spans()[0].to_json()


# -- tasks and the indexer


def test_tasks_are_counted_by_what_became_of_them() -> None:
    skipped = grown("parley_task_runs_total", state="skipped", reason="too_short")
    ran = grown("parley_task_runs_total", state="ran", reason="")
    planned = grown("parley_task_runs_total", state="planned", reason="")
    one = task_run(RUN)
    ProcessObserver().tasks(
        [
            one.model_copy(update={"state": RunState.SKIPPED, "reason": Reason.TOO_SHORT}),
            one.model_copy(update={"state": RunState.RAN, "reason": None}),
            one.model_copy(update={"state": RunState.PLANNED, "reason": None}),
        ]
    )
    assert (skipped(), ran(), planned()) == (1, 1, 0)


def dirty(attempts: int = 0) -> DirtyConversation:
    since = datetime.now(UTC) - timedelta(seconds=2)
    return DirtyConversation(
        tenant_id=RUN.tenant_id, conversation_id=new_id(), mark=1, since=since, attempts=attempts
    )  # fmt: skip


def test_each_conversation_of_a_batch_has_its_span() -> None:
    exporter = InMemorySpanExporter()
    items = [dirty(), dirty(3), dirty()]
    outcomes = (IndexOutcome.INDEXED, IndexOutcome.DEAD_LETTERED, IndexOutcome.REMOVED)
    arrivals, retries = grown("parley_stage_arrivals_total", stage="index", lane="none"), grown(
        "parley_stage_retries_total", stage="index"
    )  # fmt: skip
    waits, waited = grown("parley_index_wait_seconds_count"), grown("parley_index_wait_seconds_sum")
    with ProcessObserver(tracing_into(exporter)).indexing(items) as indexing:
        for item, outcome in zip(items, outcomes, strict=True):
            indexing.ended(item, outcome)
    assert (arrivals(), retries(), waits()) == (2, 1, 2)
    assert 4 <= waited() < 60
    spans = {
        f"{span.context.trace_id:032x}": span
        for span in exporter.get_finished_spans()
        if span.name == "index" and span.context
    }
    assert set(spans) == {trace_id(item.conversation_id) for item in items}
    (batch,) = (span for span in exporter.get_finished_spans() if span.name == "index batch")
    assert batch.context is not None
    assert {span.links[0].context.span_id for span in spans.values()} == {batch.context.span_id}
    assert [span.status.is_ok for span in spans.values()].count(False) >= 1


def test_a_round_that_breaks_off_is_one_failure() -> None:
    failures = grown("parley_stage_failures_total", stage="index", error="unavailable")
    observer = ProcessObserver()
    with pytest.raises(Unavailable), observer.indexing([dirty(), dirty()]):
        raise Unavailable("the index is away")
    assert failures() == 1
    assert counted("parley_stage_in_flight", stage="index") == 0
