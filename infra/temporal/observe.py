"""Temporal's side of being watched: every activity is observed as a stage, and a traced run has a span of its own."""

import asyncio
from typing import TYPE_CHECKING, Any

from temporalio import activity, workflow
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from infra.telemetry.stages import StageTry, argument_of, facts_of_run, observed

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing


class ObservingInterceptor(Interceptor):
    """Outside the mapping of failures: it sees what Temporal sees."""

    def __init__(self, tracing: "Tracing | None") -> None:
        self._tracing = tracing

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _ObservedActivity(next, self._tracing)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        if self._tracing is None:
            return None
        tracing = self._tracing

        class OfThisProcess(_TracedRun):
            _tracing = tracing

        return OfThisProcess


class _ObservedActivity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, tracing: "Tracing | None") -> None:
        super().__init__(next)
        self._tracing = tracing

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        one = StageTry(
            info.activity_type,
            argument_of(input.args),
            attempt=info.attempt,
            scheduled=info.current_attempt_scheduled_time,
            started=info.started_time,
        )
        with observed(one, self._tracing):
            one.result = await self.next.execute_activity(input)
            return one.result


class _TracedRun(WorkflowInboundInterceptor):
    """A span from a run's first task to its end, over every worker that had it: ids and times are the run's own, and a
    worker that only lets go of it (its memory is full, it stops) ends nothing."""

    _tracing: "Tracing"

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        from opentelemetry.trace import StatusCode, use_span

        info = workflow.info()
        conversation = facts_of_run(info.workflow_id).get("conversation")
        context = self._tracing.joined(conversation) if isinstance(conversation, str) else None
        span = self._tracing.tracer.start_span(
            info.workflow_type,
            context,
            attributes={
                "parley.workflow": info.workflow_id, "parley.temporal_run": info.run_id, "parley.attempt": info.attempt
            },
        )  # fmt: skip
        with use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            try:
                result = await super().execute_workflow(input)
            except asyncio.CancelledError:
                if workflow.cancellation_reason() is not None:
                    span.set_attribute("parley.outcome", "cancelled")
                    span.end()
                raise
            except Exception as error:
                if workflow.is_failure_exception(error):
                    span.set_status(StatusCode.ERROR)
                    span.set_attribute("parley.outcome", "failed")
                    span.end()
                raise
            outcome = getattr(result, "outcome", None)
            span.set_attribute("parley.outcome", getattr(outcome, "value", "completed"))
            span.end()
            return result
