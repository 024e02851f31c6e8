"""Starts and looks at runs: `services.ports.Orchestrator` on a Temporal client."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from typing import TYPE_CHECKING
from urllib.parse import quote

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowFailureError
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.contracts import (
    CONVERSATION_WORKFLOW,
    CONVERSATIONS_QUEUE,
    IMPORT_WORKFLOW,
    IMPORTS_QUEUE,
    ImportRef,
    ImportRun,
    RunRef,
)
from domain.conversation import Conversation, Lane
from domain.imports import Import
from infra.telemetry.stages import run_attributes
from infra.temporal import search_attributes
from infra.temporal.failures import describe
from infra.temporal.rpc import RPC_TIMEOUT, bounded
from services.ports import PendingStep, RunInspection
from storage.protocols import RunEntry

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

PRIORITY = {Lane.LIVE: 2, Lane.BACKFILL: 4}
"""1 is the most urgent, 5 the least, 3 what everything else has: live goes before anything that is paced."""

UNKNOWN = "unknown"

_FAIRNESS_BYTES = 64
_MISSING_POLL_SECONDS = 0.25


class TemporalOrchestrator:
    """Fulfils `services.ports.Orchestrator` and `ImportStarter`. `ui_url`: base address of the Web UI, empty for none.

    The client may be lazy: every call is bounded, so a Temporal that is away is Unavailable in seconds.
    """

    def __init__(
        self,
        client: Client,
        *,
        ui_url: str = "",
        task_queue: str = CONVERSATIONS_QUEUE,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._client = client
        self._ui_url = ui_url.rstrip("/")
        self._task_queue = task_queue
        self._tracing = tracing

    async def start(self, entry: RunEntry, conversation: Conversation) -> str:
        """Idempotent by the workflow's id: running and completed runs are found, one that failed, was terminated,
        cancelled or timed out gets a new run."""
        run = entry.run
        with self._traced(entry):
            return await self._start(entry, run, conversation)

    @contextmanager
    def _traced(self, entry: RunEntry) -> Iterator[None]:
        """In the conversation's trace, whoever starts the run: its acceptance, a person who re-runs it, the
        reconciler."""
        if self._tracing is None:
            yield
            return
        from infra.telemetry.tracing import links_here

        context = self._tracing.joined(entry.run.conversation_id)
        with self._tracing.tracer.start_as_current_span(
            "start",
            context,
            attributes={
                **run_attributes(entry.run),
                "parley.enter_at": entry.enter_at.value,
                "parley.reason": entry.reason or "",
            },
            links=links_here() if context is not None else None,
            record_exception=False,
            set_status_on_exception=False,
        ):
            yield

    async def _start(self, entry: RunEntry, run: RunRef, conversation: Conversation) -> str:
        async with bounded("start a run"):
            try:
                handle = await self._client.start_workflow(
                    CONVERSATION_WORKFLOW,
                    entry.start(),
                    id=run.workflow_id,
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                    priority=_priority(run.lane, run.tenant_id),
                    search_attributes=search_attributes.at_start(entry, conversation),
                    static_summary=_summary(entry, conversation),
                    rpc_timeout=RPC_TIMEOUT,
                )
            except WorkflowAlreadyStartedError as already:
                return already.run_id or ""
        return handle.first_execution_run_id or handle.result_run_id or ""

    async def start_import(self, ref: ImportRef, found: Import) -> None:
        """See `services.ports.ImportStarter`."""
        async with bounded("start an import"):
            with suppress(WorkflowAlreadyStartedError):
                await self._client.start_workflow(
                    IMPORT_WORKFLOW,
                    ImportRun(ref=ref),
                    id=ref.workflow_id,
                    task_queue=IMPORTS_QUEUE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                    priority=_priority(Lane.BACKFILL, ref.tenant_id),
                    search_attributes=search_attributes.of_import(ref, found),
                    static_summary=f"{'dry run' if found.dry_run else 'import'} into {found.source}, {found.format}",
                    rpc_timeout=RPC_TIMEOUT,
                )

    async def inspect(self, run: RunRef) -> RunInspection:
        description = await self._describe(run)
        if description is None:
            return RunInspection(workflow_id=run.workflow_id, temporal_run_id=None, status=UNKNOWN, link=self.link(run))
        pending = [await self._step(info) for info in description.raw_description.pending_activities]
        return RunInspection(
            workflow_id=run.workflow_id,
            temporal_run_id=description.run_id,
            status=description.status.name.lower() if description.status is not None else UNKNOWN,
            pending=tuple(pending),
            link=self.link(run, description.run_id),
        )

    async def wait(self, run: RunRef, timeout_seconds: float) -> bool:
        """A run that is not there yet (Temporal was away when it was accepted) is waited for as well."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    if await self._ended(run):
                        return True
                    await asyncio.sleep(_MISSING_POLL_SECONDS)
        except TimeoutError:
            return False

    async def cancel(self, run: RunRef, reason: str) -> None:
        """Asks the run to end as cancelled. One that has ended, or never was, is left as it is."""
        async with bounded("cancel a run"):
            try:
                await self._client.get_workflow_handle(run.workflow_id).cancel(reason=reason, rpc_timeout=RPC_TIMEOUT)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise

    async def ping(self) -> None:
        async with bounded("ping"):
            await self._client.service_client.check_health(timeout=RPC_TIMEOUT)

    def link(self, run: RunRef, temporal_run_id: str | None = None) -> str | None:
        if not self._ui_url:
            return None
        base = f"{self._ui_url}/namespaces/{quote(self._client.namespace, safe='')}/workflows"
        address = f"{base}/{quote(run.workflow_id, safe='')}"
        return f"{address}/{temporal_run_id}/history" if temporal_run_id else address

    async def _describe(self, run: RunRef) -> WorkflowExecutionDescription | None:
        async with bounded("describe a run"):
            try:
                return await self._client.get_workflow_handle(run.workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return None
                raise

    async def _ended(self, run: RunRef) -> bool:
        """Waits for the end of a run; False at once when there is no such run."""
        async with bounded("wait for a run", None):
            try:
                await self._client.get_workflow_handle(run.workflow_id).result()
            except WorkflowFailureError:
                return True
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return False
                raise
        return True

    async def _step(self, info: PendingActivityInfo) -> PendingStep:
        failure = None
        if info.HasField("last_failure"):
            failure = describe(await self._client.data_converter.decode_failure(info.last_failure))
        waiting = info.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and info.attempt > 1
        next_try = info.next_attempt_schedule_time if info.HasField("next_attempt_schedule_time") else None
        return PendingStep(
            stage=info.activity_type.name,
            state=PendingActivityState.Name(info.state).removeprefix("PENDING_ACTIVITY_STATE_").lower(),
            attempt=info.attempt,
            maximum_attempts=info.maximum_attempts,
            last_failure=failure,
            next_retry_at=next_try.ToDatetime(UTC) if waiting and next_try is not None else None,
        )


def _priority(lane: Lane, tenant_id: str) -> Priority:
    return Priority(priority_key=PRIORITY[lane], fairness_key=tenant_id.encode()[:_FAIRNESS_BYTES].decode())


def _summary(entry: RunEntry, conversation: Conversation) -> str:
    again = f", entry {entry.run.entry} from {entry.enter_at.value}" if entry.run.entry > 1 else ""
    return f"{entry.channel.value} from {conversation.source}, revision {entry.run.revision}{again}"
