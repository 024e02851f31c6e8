"""The one place where a stage is observed: each try becomes a span, metrics, and facts beside its log lines."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, FailureError

from domain.contracts import ConcludeRequest, Conclusion, PersistResult, RunRef
from domain.errors import Superseded
from domain.traces import trace_id
from infra.logs import telling
from infra.telemetry import metrics

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

COMPLETED, BENIGN, SUPERSEDED, CANCELLED, FAILED = "completed", "benign", "superseded", "cancelled", "failed"
"""How a try ends. benign: it did not complete, as may happen in normal running (a limit, content that cannot be
decoded); such tries are no reason for an alarm."""


_log = logging.getLogger(__name__)


class StageTry:
    """One try of an activity: `stage` is its name, `argument` and `result` what it was given and gave."""

    def __init__(
        self,
        stage: str,
        argument: object,
        *,
        attempt: int,
        scheduled: datetime | None = None,
        started: datetime | None = None,
    ) -> None:
        self.stage = stage
        self.argument = argument
        self.run = _run_of(argument)
        self.attempt = attempt
        self.queued = (started - scheduled).total_seconds() if scheduled and started else None
        self.result: object = None

    def facts(self) -> dict[str, object]:
        """Beside every line that is logged inside."""
        known: dict[str, object] = {"stage": self.stage, "attempt": self.attempt}
        return known if self.run is None else known | _whose(self.run.tenant_id, self.run.conversation_id)

    def attributes(self) -> dict[str, str | int | float]:
        """Of its span."""
        known: dict[str, str | int | float] = {"parley.stage": self.stage, "parley.attempt": self.attempt}
        if self.queued is not None:
            known["parley.queued_seconds"] = round(self.queued, 4)
        if self.run is not None:
            known |= run_attributes(self.run)
        engine = getattr(getattr(self.argument, "batch", None), "engine", None)
        return known | ({"parley.engine": engine} if isinstance(engine, str) else {})


def facts_of_run(workflow_id: str) -> dict[str, object]:
    """What log lines say of a run, from its id `conversation/{tenant}/{conversation}/{revision}/{entry}`; nothing for a
    run of another kind."""
    parts = workflow_id.split("/")
    return _whose(parts[1], parts[2]) if parts[0] == "conversation" and len(parts) == 5 else {}


def _whose(tenant_id: str, conversation_id: str) -> dict[str, object]:
    return {"tenant": tenant_id, "conversation": conversation_id, "trace_id": trace_id(conversation_id)}


def run_attributes(run: RunRef) -> dict[str, str | int | float]:
    """What every span of a run says of it."""
    return {
        "parley.tenant": run.tenant_id,
        "parley.conversation": run.conversation_id,
        "parley.revision": run.revision,
        "parley.entry": run.entry,
        "parley.lane": run.lane.value,
    }


@contextmanager
def observed(one: StageTry, tracing: "Tracing | None") -> Iterator[None]:
    """Around a try. What is raised inside goes on as it is."""
    if one.attempt == 1:
        metrics.STAGE_ARRIVALS.labels(one.stage, one.run.lane.value if one.run else "none").inc()
    else:
        metrics.STAGE_RETRIES.labels(one.stage).inc()
    in_flight = metrics.STAGE_IN_FLIGHT.labels(one.stage)
    in_flight.inc()
    began = time.perf_counter()
    outcome, error = COMPLETED, None
    with telling(one.facts), nullcontext() if tracing is None else _Span(one, tracing) as span:
        try:
            yield
        except (Exception, asyncio.CancelledError) as raised:
            outcome, error = _ending(raised)
            raise
        finally:
            in_flight.dec()
            if isinstance(one.result, PersistResult) and one.result.superseded:
                outcome = SUPERSEDED
            seconds = time.perf_counter() - began
            _log.debug("tried", extra={"fields": {"outcome": outcome, "error": error, "ms": round(seconds * 1000, 1)}})
            metrics.STAGE_SECONDS.labels(one.stage, outcome).observe(seconds)
            if error is not None:
                metrics.STAGE_FAILURES.labels(one.stage, error).inc()
            elif outcome == COMPLETED:
                _count_endings(one)
            if span is not None:
                span.ended(outcome, error)


class _Span:
    """The try's span, in its conversation's trace."""

    def __init__(self, one: StageTry, tracing: "Tracing") -> None:
        self._one = one
        self._tracing = tracing

    def __enter__(self) -> "_Span":
        from opentelemetry.trace import use_span

        run = self._one.run
        context = self._tracing.joined(run.conversation_id) if run is not None else None
        self._span = self._tracing.tracer.start_span(self._one.stage, context, attributes=self._one.attributes())
        self._current = use_span(self._span, end_on_exit=True, record_exception=False, set_status_on_exception=False)
        self._current.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._current.__exit__(None, None, None)

    def ended(self, outcome: str, error: str | None) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("parley.outcome", outcome)
        if error is not None:
            self._span.set_attribute("parley.error", error)
        if outcome == FAILED:
            self._span.set_status(StatusCode.ERROR)


def _ending(raised: BaseException) -> tuple[str, str]:
    """(outcome, type of the error): codes of our own errors, else names of classes."""
    if isinstance(raised, ApplicationError):
        code = raised.type or "internal"
        if code == Superseded.code:
            return SUPERSEDED, code
        return (BENIGN if raised.category is ApplicationErrorCategory.BENIGN else FAILED), code
    if isinstance(raised, asyncio.CancelledError):
        return CANCELLED, CANCELLED
    return FAILED, type(raised).__name__ if isinstance(raised, FailureError) else "internal"


def _count_endings(one: StageTry) -> None:
    """How the run ended, where this try was its end."""
    if isinstance(one.result, PersistResult):
        metrics.RUNS.labels(one.result.status.value).inc()
    elif isinstance(one.argument, ConcludeRequest):
        ended = one.argument
        counter = metrics.PARKED if ended.conclusion is Conclusion.PARKED else metrics.DEAD_LETTERS
        counter.labels(ended.stage.value, ended.reason).inc()
        metrics.RUNS.labels(ended.conclusion.value).inc()


def _run_of(argument: object) -> RunRef | None:
    if isinstance(argument, RunRef):
        return argument
    inner = getattr(argument, "run", None)
    return inner if isinstance(inner, RunRef) else None


def argument_of(arguments: Sequence[Any]) -> object:
    """Contracts have one argument."""
    return arguments[0] if arguments else None
