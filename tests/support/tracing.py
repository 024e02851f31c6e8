"""Tracing as the product's, into memory, for one test only: nothing of the process is touched."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from temporalio.contrib.opentelemetry import create_tracer_provider

from infra.telemetry.tracing import ConversationIds, Tracing
from infra.telemetry.wall import Walled


def tracing_into(exporter: InMemorySpanExporter, sampler: Sampler | None = None) -> Tracing:
    """As the product's, in this test only: nothing global is touched."""
    used = sampler or TracerProvider().sampler
    provider = create_tracer_provider(sampler=used, id_generator=ConversationIds(), shutdown_on_exit=False)
    processor = SimpleSpanProcessor(Walled(exporter))
    provider.add_span_processor(processor)
    return Tracing(provider, used, TracerProvider().resource, processor)
