"""Traces without a server: ids that follow from conversations, the same decision to sample everywhere, and the wall."""

import logging
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.span import TraceState
from temporalio.contrib.opentelemetry import create_tracer_provider

from domain.conversation import Channel, Lane
from domain.ids import derived_id, new_id
from domain.traces import root_span_id, trace_id
from infra.logs import JsonLines, telling
from infra.telemetry.observer import ProcessObserver
from infra.telemetry.setup import tracing_is_wanted
from infra.telemetry.tracing import Tracing
from infra.telemetry.wall import Walled
from storage.protocols import AcceptOutcome
from tests.support.tracing import tracing_into

TENANT = "0" * 32


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_ids_are_valid_and_differ() -> None:
    known = [new_id() for _ in range(200)]
    assert len({trace_id(one) for one in known} | {root_span_id(one) for one in known}) == 400
    assert all(len(trace_id(one)) == 32 and len(root_span_id(one)) == 16 for one in known)
    assert trace_id(known[0]) == trace_id(known[0])


def test_the_acceptance_of_a_new_conversation_is_the_root(exporter: InMemorySpanExporter) -> None:
    tracing, conversation = tracing_into(exporter), new_id()
    observer = ProcessObserver(tracing)
    with (
        tracing.tracer.start_as_current_span("request") as request,
        observer.accepting(TENANT, conversation, Channel.CHAT, Lane.LIVE) as accepting,
    ):
        tracing.tracer.start_span("inside").end()
        accepting.ended(AcceptOutcome.CREATED, 1)
    found = by_name(exporter)
    root = found["accept"]
    assert root.context is not None
    assert (f"{root.context.trace_id:032x}", root.parent) == (trace_id(conversation), None)
    assert f"{root.context.span_id:016x}" == root_span_id(conversation)
    assert [link.context.trace_id for link in root.links] == [request.get_span_context().trace_id]
    inside = found["inside"]
    assert inside.context is not None
    assert inside.parent is not None
    assert (inside.context.trace_id, inside.parent.span_id) == (root.context.trace_id, root.context.span_id)
    assert root.start_time is not None
    assert inside.start_time is not None
    assert root.start_time <= inside.start_time


@pytest.mark.parametrize("outcome", [AcceptOutcome.REVISED, AcceptOutcome.UNCHANGED])
def test_a_later_acceptance_hangs_on_the_root(exporter: InMemorySpanExporter, outcome: AcceptOutcome) -> None:
    conversation = new_id()
    with ProcessObserver(tracing_into(exporter)).accepting(TENANT, conversation, Channel.CHAT, Lane.LIVE) as accepting:
        accepting.ended(outcome, 2)
    span = by_name(exporter)["accept"]
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == root_span_id(conversation)


def test_a_refused_hand_in_leaves_no_trace(exporter: InMemorySpanExporter) -> None:
    observer = ProcessObserver(tracing_into(exporter))
    with pytest.raises(ValueError, match="no"), observer.accepting(TENANT, new_id(), Channel.CHAT, Lane.LIVE):
        raise ValueError("no")
    assert exporter.get_finished_spans() == ()


@given(st.integers(0, 10**9), st.sampled_from([0.05, 0.3, 0.5, 0.9]))
def test_every_process_comes_to_the_same_decision(number: int, ratio: float) -> None:
    """The acceptance as a root, and what others join later, are sampled together or not at all."""
    exporter, conversation = InMemorySpanExporter(), derived_id("conversation", str(number))
    api, worker = (tracing_into(exporter, ParentBased(TraceIdRatioBased(ratio))) for _ in range(2))
    api.root(conversation, "accept").end()
    worker.tracer.start_span("index", worker.conversation(conversation)).end()
    assert len(exporter.get_finished_spans()) in (0, 2)


def test_about_as_many_are_sampled_as_wanted() -> None:
    """Conversation ids are UUIDs with fixed bits; were they taken as they are, a ratio would be all or nothing."""
    exporter = InMemorySpanExporter()
    tracing = tracing_into(exporter, ParentBased(TraceIdRatioBased(0.3)))
    for number in range(2000):
        tracing.root(derived_id("conversation", str(number)), "accept").end()
    assert 450 < len(exporter.get_finished_spans()) < 750


# -- the wall


def test_what_libraries_note_stays_here() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Walled(exporter)))
    remote = SpanContext(7, 8, True, TraceFlags(1), TraceState([("vendor", "planted")]))
    within = trace.set_span_in_context(trace.NonRecordingSpan(remote), Context())
    tracer = provider.get_tracer("some.library")
    noted = {"http.url": "/?q=planted", "http.method": "GET", "parley.stage": "x"}
    span = tracer.start_span("planted name", within, attributes=noted, links=[trace.Link(remote, {"who": "planted"})])
    span.add_event("planted", {"who": "planted"})

    def fail() -> None:
        with trace.use_span(span, end_on_exit=True):
            raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        fail()
    (kept,) = exporter.get_finished_spans()
    assert "planted" not in kept.to_json()
    assert dict(kept.attributes or {}) == {"http.method": "GET", "parley.stage": "x"}
    assert [dict(event.attributes or {}) for event in kept.events] == [{"exception.type": "ValueError"}]
    assert kept.status.status_code is trace.StatusCode.ERROR
    assert kept.context is not None
    assert (kept.context.trace_id, kept.links[0].context.span_id) == (7, 8)


@pytest.mark.parametrize(
    ("scope", "name", "attributes", "shown"),
    [
        ("opentelemetry.instrumentation.fastapi", "GET /v1/planted", {"http.method": "GET"}, "GET"),
        (
            "opentelemetry.instrumentation.fastapi",
            "GET /v1/x/{id}",
            {"http.method": "GET", "http.route": "/v1/x/{id}"},
            "GET /v1/x/{id}",
        ),
        ("opentelemetry.instrumentation.asyncpg", "begin;", {}, "begin"),
        ("opentelemetry.instrumentation.asyncpg", "se'lect planted", {}, "statement"),
        ("parley", "engine call", {}, "engine call"),
        ("any", "planted", {}, "any"),
    ],
)
def test_names_are_ours_or_made_anew(scope: str, name: str, attributes: dict[str, str], shown: str) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Walled(exporter)))
    provider.get_tracer(scope).start_span(name, attributes=attributes).end()
    assert [span.name for span in exporter.get_finished_spans()] == [shown]


# -- on and off


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_a_collector_switches_it_on(environ: dict[str, str], wanted: bool) -> None:
    assert tracing_is_wanted(environ) is wanted


def test_a_collector_that_hangs_holds_no_process_up() -> None:
    sent, let_go = threading.Event(), threading.Event()

    class Hanging(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            sent.set()
            let_go.wait(60)
            return super().export(spans)

    exporter = Hanging()
    provider = create_tracer_provider(shutdown_on_exit=False)
    batches = BatchSpanProcessor(exporter)
    provider.add_span_processor(batches)
    tracing = Tracing(provider, TracerProvider().sampler, TracerProvider().resource, batches)
    tracing.tracer.start_span("last").end()
    tracing.close(seconds=0.5)
    assert sent.wait(60)
    assert exporter.get_finished_spans() == ()  # still under way, and we are here
    let_go.set()


# -- log lines


def test_facts_of_what_is_around_are_on_every_line() -> None:
    def line(**fields: object) -> str:
        record = logging.LogRecord("x", logging.INFO, __file__, 1, "said", (), None)
        record.fields = fields
        return JsonLines().format(record)

    later: dict[str, object] = {"tenant": None}
    with telling(lambda: later):
        with telling(lambda: {"stage": "ingest"}):
            later["tenant"] = "t"
            assert '"tenant": "t"' in line()
            assert '"stage": "ingest"' in line()
            assert '"stage": "own"' in line(stage="own")
        assert "stage" not in line()
        with telling(lambda: {"request_id": "r"}, alone=True):
            assert "tenant" not in line()
    assert "tenant" not in line()
