"""Traces: on when the environment names a collector; then every conversation has one of its own (ADR 91).

The standard variables of OpenTelemetry say where to and how much: `OTEL_EXPORTER_OTLP_ENDPOINT`,
`OTEL_EXPORTER_OTLP_PROTOCOL`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`, `OTEL_SDK_DISABLED` and their kin.
This module is imported only then: without a collector nothing of OpenTelemetry's SDK is loaded.
"""

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Thread
from typing import TYPE_CHECKING

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased, Sampler
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider, create_tracer_provider

from domain.traces import root_span_id, trace_id
from infra.telemetry.wall import OURS, Walled

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

_forced: ContextVar[tuple[int, int] | None] = ContextVar("forced ids", default=None)


class Tracing:
    """The process's tracer, and the contexts of conversations' traces."""

    def __init__(
        self, provider: ReplaySafeTracerProvider, sampler: Sampler, resource: Resource, spans: SpanProcessor
    ) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer(OURS)
        self._sampler = sampler
        self._resource = resource
        self._spans = spans

    def conversation(self, conversation_id: str) -> Context:
        """A context in the conversation's trace, right under its root; sampled as the root is, in every process."""
        number = int(trace_id(conversation_id), 16)
        decided = self._sampler.should_sample(Context(), number, "accept", SpanKind.SERVER)
        sampled = decided.decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        root = SpanContext(number, int(root_span_id(conversation_id), 16), is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(NonRecordingSpan(root), Context())

    def joined(self, conversation_id: str) -> Context | None:
        """The context to begin a span of the conversation with: None, which is where we are, when that is in its trace
        already."""
        here = trace.get_current_span().get_span_context()
        return None if here.trace_id == int(trace_id(conversation_id), 16) else self.conversation(conversation_id)

    def root(self, conversation_id: str, name: str, **options: object) -> Span:
        """The root of the conversation's trace; made once in a conversation's life."""
        held = _forced.set((int(trace_id(conversation_id), 16), int(root_span_id(conversation_id), 16)))
        try:
            return self.tracer.start_span(name, Context(), **options)  # type: ignore[arg-type]
        finally:
            _forced.reset(held)

    def watch_requests(self, app: "FastAPI") -> "ASGIApp":
        """The application with a span for each request, in the caller's trace where the caller has one."""
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(
            app, tracer_provider=self.provider, excluded_urls="healthz,readyz", exclude_spans=["receive", "send"]
        )

        async def from_nothing(scope: "Scope", receive: "Receive", send: "Send") -> None:
            # The server may read a connection's next request in the context of the one before (asyncio's transports
            # keep the context they were resumed in), which would make one request the child of another.
            with within(Context()):
                await app(scope, receive, send)

        return from_nothing

    def watch_statements(self) -> None:
        """A span for each SQL statement of a stage or request; what a process asks by itself begins no trace."""
        from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor

        inside = SdkTracerProvider(sampler=ParentBased(ALWAYS_OFF), resource=self._resource, shutdown_on_exit=False)
        inside.add_span_processor(self._spans)
        AsyncPGInstrumentor().instrument(tracer_provider=inside)  # type: ignore[no-untyped-call]

    def close(self, seconds: float = 3.0) -> None:
        """Sends what waits, for as long as given: a collector that is away holds no process up. Blocking."""
        closing = Thread(target=self.provider.shutdown, name="last spans", daemon=True)
        closing.start()
        closing.join(seconds)


def links_here() -> list[trace.Link]:
    """A link to the span we are in, if there is one: for a span that begins in another trace."""
    here = trace.get_current_span().get_span_context()
    return [trace.Link(here)] if here.is_valid else []


@contextmanager
def within(context: Context) -> Iterator[None]:
    """Spans begun inside the block are children of the context's span."""
    token = contexts.attach(context)
    try:
        yield
    finally:
        contexts.detach(token)


class ConversationIds(IdGenerator):
    """Random ids, but for a root whose ids follow from the conversation."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        forced = _forced.get()
        return forced[1] if forced else self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        forced = _forced.get()
        return forced[0] if forced else self._random.generate_trace_id()


def start(process: str, environ: Mapping[str, str] = os.environ, exporter: SpanExporter | None = None) -> Tracing:
    """Begins tracing in this process, whose name is `process`; the Temporal plugin finds the provider by itself."""
    sampler = SdkTracerProvider().sampler  # as OTEL_TRACES_SAMPLER says
    resource = _resource(process, environ)
    provider = create_tracer_provider(
        sampler=sampler, resource=resource, shutdown_on_exit=False, id_generator=ConversationIds()
    )
    # In batches: a processor that does I/O at once would lose the spans of workflows.
    spans = BatchSpanProcessor(Walled(exporter or _exporter(environ)))
    provider.add_span_processor(spans)
    trace.set_tracer_provider(provider)
    # A collector that is away is worth a line for what was lost, not one for every try.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    # A caller's baggage is his own: it would go on into headers that Temporal stores as they are.
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    return Tracing(provider, sampler, resource, spans)


def _exporter(environ: Mapping[str, str]) -> SpanExporter:
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter()


def _resource(process: str, environ: Mapping[str, str]) -> Resource:
    from infra.telemetry.exposition import product_version

    named = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": f"parley-{process}"}
    return Resource.create(
        {**named, "service.version": product_version(), "service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
    )
