"""Connections: with tracing, with a lazy client, with keys that were rotated."""

import asyncio

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.opentelemetry import _otel_interceptor

from domain.contracts import Outcome
from domain.errors import Unavailable
from domain.traces import trace_id
from infra.embedded.process import free_port
from infra.temporal.client import Connection, connect
from infra.temporal.codec import KeyRing
from infra.temporal.failures import describe
from infra.temporal.orchestrator import TemporalOrchestrator
from tests.support.stack import TemporalServer
from tests.support.tracing import tracing_into
from tests.support.workflows import TEST_KEYS, Script, World, events, fast, names, until, use_policies

NEWER = KeyRing(bytes(range(1, 33)), older=(TEST_KEYS.current,))


def connection(server: TemporalServer, **changes: object) -> Connection:
    return Connection(**{"address": server.address, "namespace": server.namespace, "keys": TEST_KEYS, **changes})  # type: ignore[arg-type]


async def test_tracing_adds_spans_and_no_event(
    world: World, temporal_server: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tracing on or off a run has the same history; sealed as it is, headers of the trace beside it."""
    untraced = await world.start()
    async with world.workers():
        assert (await untraced.result()).outcome is Outcome.COMPLETED
    exporter = InMemorySpanExporter()
    tracing = tracing_into(exporter)
    monkeypatch.setattr(_otel_interceptor, "get_tracer_provider", lambda: tracing.provider)  # not the whole session's
    traced = World(await connect(connection(temporal_server, tracing=tracing)), world.script)
    entry = traced.entry()
    orchestrator = TemporalOrchestrator(traced.client, task_queue=traced.queue, tracing=tracing)
    await orchestrator.start(entry, traced.conversation(entry))
    handle = traced.handle(entry.run)
    async with traced.workers():
        assert (await handle.result()).outcome is Outcome.COMPLETED
    assert names(await events(handle)) == names(await events(untraced))
    raw = b"".join(event.SerializeToString() for event in await events(handle))
    assert b"conversation_id" not in raw
    of_the_run = trace_id(entry.run.conversation_id)
    assert of_the_run.encode() in raw  # the trace goes on through the run's headers
    spans = exporter.get_finished_spans()
    assert {span.name for span in spans} >= {"start", "ConversationWorkflow", "ingest", "plan", "analyze", "persist"}
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {of_the_run}
    assert len({span.context.span_id for span in spans if span.context}) == len(spans)


async def test_a_failing_stage_shows_in_the_trace_without_its_words(
    world: World, temporal_server: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    tracing = tracing_into(exporter)
    monkeypatch.setattr(_otel_interceptor, "get_tracer_provider", lambda: tracing.provider)
    world.script.on("normalize", Unavailable("planted"), RuntimeError("planted"), Unavailable("planted"))
    traced = World(await connect(connection(temporal_server, tracing=tracing)), world.script)
    handle = await traced.start()
    async with traced.workers():
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    spans = exporter.get_finished_spans()
    tries = [dict(span.attributes or {}) for span in spans if span.name == "normalize"]
    assert [(one["parley.attempt"], one["parley.error"]) for one in tries] == [
        (1, "unavailable"), (2, "internal"), (3, "unavailable"),
    ]  # fmt: skip
    (run,) = (span for span in spans if span.name == "ConversationWorkflow")
    assert (run.status.is_ok, dict(run.attributes or {})["parley.outcome"]) == (False, "failed")
    assert "planted" not in "".join(span.to_json() for span in spans)


async def test_a_run_that_moves_between_workers_has_one_span(
    world: World, temporal_server: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stops lets go of the run, and ends nothing; the next one knows the same span again."""
    exporter = InMemorySpanExporter()
    tracing = tracing_into(exporter)
    monkeypatch.setattr(_otel_interceptor, "get_tracer_provider", lambda: tracing.provider)
    world.script.on("normalize", *[Unavailable("no database")] * 2)
    use_policies(normalize=fast(initial_interval=1.0, maximum_interval=1.0))
    traced = World(await connect(connection(temporal_server, tracing=tracing)), world.script)
    handle = await traced.start()
    async with traced.workers():
        await until(lambda: world.script.called().count("normalize") == 1, "the first try")
    assert "ConversationWorkflow" not in {span.name for span in exporter.get_finished_spans()}
    async with traced.workers():
        assert (await handle.result()).outcome is Outcome.COMPLETED
    runs = [span for span in exporter.get_finished_spans() if span.name == "ConversationWorkflow"]
    assert len(runs) == 1
    first = min(span.start_time for span in exporter.get_finished_spans() if span.start_time and span.name == "ingest")
    assert runs[0].start_time is not None
    assert runs[0].start_time <= first


async def test_runs_begun_with_an_older_key_go_on_with_a_newer_one(
    world: World, temporal_server: TemporalServer
) -> None:
    handle = await world.start()
    rotated = World(await connect(connection(temporal_server, keys=NEWER)), world.script, queue=world.queue)
    async with rotated.workers():
        outcome = await rotated.client.get_workflow_handle(handle.id).result()
    assert outcome["outcome"] == "completed"


async def test_nobody_there_is_said_in_words() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await connect(Connection(f"127.0.0.1:{free_port()}", "default", TEST_KEYS))


async def test_a_lazy_client_needs_nobody_there() -> None:
    client = await connect(Connection(f"127.0.0.1:{free_port()}", "default", TEST_KEYS), lazy=True)
    assert isinstance(client, Client)
    with pytest.raises(Unavailable):
        await World(client, Script()).orchestrator.ping()


def test_a_connection_shows_no_secret() -> None:
    shown = repr(Connection("host:1", "default", TEST_KEYS, api_key="very-secret"))
    assert "very-secret" not in shown
    assert "x01" not in shown


def test_a_failure_that_is_none_of_ours_shows_its_type() -> None:
    assert describe(asyncio.InvalidStateError("jane@example.com")) == "InvalidStateError"
