"""What may leave the process in a span: names we know, attributes on a list, types of errors. Everything else stays.

Spans are also made by libraries, which note addresses with their queries, messages of exceptions, statements. All of
them pass here on their way to the exporter, so no personal data gets out whatever a library learns to note.
"""

import re
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, Status
from opentelemetry.util.types import AttributeValue

OURS = "parley"
"""The instrumentation scope of our own spans, and the prefix of their attributes: ids, counts and codes only."""

_FASTAPI = "opentelemetry.instrumentation.fastapi"
_ASYNCPG = "opentelemetry.instrumentation.asyncpg"

_ATTRIBUTES = frozenset(
    {
        "http.method", "http.request.method", "http.route", "http.status_code", "http.response.status_code",
        "http.flavor", "network.protocol.version", "http.scheme", "url.scheme",
        "db.system", "db.system.name", "db.name", "db.namespace", "db.user",
        "error.type", "exception.type",
    }
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z]{1,16}")


class Walled(SpanExporter):
    """Passes spans on without what may not leave."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([without_the_rest(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def without_the_rest(span: ReadableSpan) -> ReadableSpan:
    """The span with what may be told of it. A status keeps its code; an event is kept for the type of its error; a
    caller's `tracestate` is his own."""
    return ReadableSpan(
        name=_name(span),
        context=_bare(span.context),
        parent=None if span.parent is None else _bare(span.parent),
        resource=span.resource,
        attributes=_allowed(span.attributes),
        events=[
            Event("exception", _allowed(event.attributes), event.timestamp)
            for event in span.events
            if event.name == "exception"
        ],
        links=[Link(_bare(link.context)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _name(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
    if scope == OURS:
        return span.name
    if scope == _FASTAPI:
        found = span.attributes or {}
        method, route = found.get("http.method") or found.get("http.request.method"), found.get("http.route")
        return " ".join(str(part) for part in (method, route) if part) or "HTTP"
    if scope == _ASYNCPG:
        word = span.name.strip(";").lower()
        return word if _WORD.fullmatch(word) else "statement"
    return scope or "span"


def _allowed(attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
    return {key: value for key, value in (attributes or {}).items() if key in _ATTRIBUTES or key.startswith(f"{OURS}.")}


def _bare(context: SpanContext) -> SpanContext:
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)
