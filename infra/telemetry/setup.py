"""Whether a process traces."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra.settings import Settings

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def tracing_is_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """A collector is named and nobody said no."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() != "otlp":
        return False
    return any(environ.get(name) for name in _ENDPOINTS)


def current_trace_id() -> str | None:
    """Of the span we are in, None when there is none."""
    trace = sys.modules.get("opentelemetry.trace")  # not loaded: nobody traces here
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def start_tracing(settings: Settings, process: str) -> "Tracing | None":
    """The first thing after the logs; None without a collector, and then nothing of it is loaded."""
    if not tracing_is_wanted():
        return None
    from infra.telemetry import tracing

    started = tracing.start(process)
    if settings.trace_sql:
        started.watch_statements()
    return started
