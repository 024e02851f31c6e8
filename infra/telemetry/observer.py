"""What use cases tell, as metrics, spans and facts beside log lines: fulfils `services.observation.Observer`."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from domain.conversation import Channel, Lane, Stage
from domain.ledger import RunState, TaskRun
from domain.traces import trace_id
from infra.logs import telling
from infra.telemetry import metrics
from infra.telemetry.stages import COMPLETED, FAILED
from services.observation import Accepting, Indexing, IndexOutcome
from storage.protocols import AcceptOutcome, DirtyConversation

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

_INDEX = Stage.INDEX.value
_DONE = (IndexOutcome.INDEXED, IndexOutcome.REMOVED)
_NOT_INDEXED = "index_refused"
_BROKEN_OFF = "unavailable"


class ProcessObserver:
    """One per process; `tracing` None without traces."""

    def __init__(self, tracing: "Tracing | None" = None) -> None:
        self._tracing = tracing

    @contextmanager
    def accepting(self, tenant_id: str, conversation_id: str, channel: Channel, lane: Lane) -> Iterator[Accepting]:
        """The acceptance is the root of the conversation's trace. That it is one is known at its end only (the
        conversation may be there already), so what happens inside hangs on the root's id and the span comes last."""
        facts = {"tenant": tenant_id, "conversation": conversation_id, "trace_id": trace_id(conversation_id)}
        one = _Accepting()
        began = time.time_ns()
        if self._tracing is None:
            with telling(lambda: facts):
                yield one
        else:
            from infra.telemetry.tracing import links_here, within

            request = links_here()
            with telling(lambda: facts), within(self._tracing.conversation(conversation_id)):
                yield one
            attributes: dict[str, str | int] = {
                "parley.tenant": tenant_id,
                "parley.conversation": conversation_id,
                "parley.channel": channel.value,
                "parley.lane": lane.value,
            }
            _accepted(self._tracing, conversation_id, one, began, request, attributes)
        if one.outcome is not None:
            metrics.ACCEPTED.labels(channel.value, lane.value, one.outcome.value).inc()

    def tasks(self, runs: Sequence[TaskRun]) -> None:
        for run in runs:
            if run.state is not RunState.PLANNED:
                metrics.TASK_RUNS.labels(run.state.value, run.reason.value if run.reason else "").inc()

    @contextmanager
    def indexing(self, items: Sequence[DirtyConversation]) -> Iterator[Indexing]:
        for item in items:
            counter = (
                metrics.STAGE_RETRIES.labels(_INDEX) if item.attempts else metrics.STAGE_ARRIVALS.labels(_INDEX, "none")
            )
            counter.inc()
        in_flight = metrics.STAGE_IN_FLIGHT.labels(_INDEX)
        in_flight.inc(len(items))
        one = _Indexing(self._tracing, len(items))
        try:
            with (
                telling(lambda: {"stage": _INDEX}),
                nullcontext() if self._tracing is None else one.batch(self._tracing),
            ):
                yield one
        except Exception:
            one.broken_off()
            raise
        finally:
            in_flight.dec(len(items))


class _Accepting:
    outcome: AcceptOutcome | None = None
    revision = 0

    def ended(self, outcome: AcceptOutcome, revision: int) -> None:
        self.outcome, self.revision = outcome, revision


def _accepted(
    tracing: "Tracing",
    conversation_id: str,
    one: _Accepting,
    began: int,
    links: Sequence[object],
    attributes: dict[str, str | int],
) -> None:
    from opentelemetry.trace import SpanKind

    if one.outcome is None:
        return
    attributes |= {"parley.outcome": one.outcome.value, "parley.revision": one.revision}
    options = {"kind": SpanKind.SERVER, "attributes": attributes, "links": links, "start_time": began}
    if one.outcome is AcceptOutcome.CREATED:
        tracing.root(conversation_id, "accept", **options).end()
    else:
        context = tracing.conversation(conversation_id)
        tracing.tracer.start_span("accept", context, **options).end()  # type: ignore[arg-type]


class _Indexing:
    """One round: a span of its own for the batch, and one in the trace of each conversation, linked to it."""

    def __init__(self, tracing: "Tracing | None", items: int) -> None:
        self._tracing = tracing
        self._left = items
        self._began = time.time_ns()
        self._clock = time.perf_counter()
        self._links: list[object] = []

    @contextmanager
    def batch(self, tracing: "Tracing") -> Iterator[None]:
        from infra.telemetry.tracing import links_here

        with tracing.tracer.start_as_current_span(
            "index batch", attributes={"parley.items": self._left},
            record_exception=False, set_status_on_exception=False,
        ):  # fmt: skip
            self._links = list(links_here())
            yield

    def ended(self, item: DirtyConversation, outcome: IndexOutcome) -> None:
        self._left -= 1
        done = outcome in _DONE
        metrics.STAGE_SECONDS.labels(_INDEX, COMPLETED if done else FAILED).observe(time.perf_counter() - self._clock)
        waited = max(0.0, time.time() - item.since.timestamp())
        if done:
            metrics.INDEX_WAIT.observe(waited)
        else:
            metrics.STAGE_FAILURES.labels(_INDEX, _NOT_INDEXED).inc()
        if outcome is IndexOutcome.DEAD_LETTERED:
            metrics.DEAD_LETTERS.labels(_INDEX, _NOT_INDEXED).inc()
        if self._tracing is not None:
            self._span(self._tracing, item, outcome, waited)

    def broken_off(self) -> None:
        """A part is away: what the round had not done is tried again later, and is one failure."""
        if self._left:
            metrics.STAGE_FAILURES.labels(_INDEX, _BROKEN_OFF).inc()

    def _span(self, tracing: "Tracing", item: DirtyConversation, outcome: IndexOutcome, waited: float) -> None:
        from opentelemetry.trace import StatusCode

        span = tracing.tracer.start_span(
            _INDEX,
            tracing.conversation(item.conversation_id),
            links=self._links,  # type: ignore[arg-type]
            start_time=self._began,
            attributes={
                "parley.stage": _INDEX,
                "parley.tenant": item.tenant_id,
                "parley.conversation": item.conversation_id,
                "parley.attempt": item.attempts + 1,
                "parley.outcome": outcome.value,
                "parley.queued_seconds": round(waited, 3),
            },
        )
        if outcome not in _DONE:
            span.set_status(StatusCode.ERROR)
        span.end()
