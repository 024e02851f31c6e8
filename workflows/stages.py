"""Calls activities through their contracts: queue, policy, summary and progress in one place."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from domain.contracts import (
    ANALYZE,
    CONCLUDE,
    PLAN,
    AnalyzeRequest,
    ConcludeRequest,
    ConcludeResult,
    Contract,
    EngineBatch,
    PlanRequest,
    PlanResult,
    QueueKind,
    RunRef,
    task_queue,
)
from domain.conversation import Stage
from domain.policies import StagePolicy, policy
from workflows.endings import Ending, StageEnded, ending_of, may_succeed_elsewhere

I = TypeVar("I", bound=BaseModel)  # noqa: E741
O = TypeVar("O", bound=BaseModel)  # noqa: E741


class Stages:
    """The stages of one run. `current` is the stage the run is in."""

    def __init__(self, run: RunRef, first: Stage) -> None:
        self._run = run
        self.current = first
        self._progress: dict[str, str] = {}

    async def call(self, contract: Contract[I, O], argument: I, kind: str | None = None) -> O:
        """One stage, remote; `kind` is the engine's. Raises StageEnded."""
        self.current = Stage(contract.name)
        label = contract.name if kind is None else f"{contract.name} ({kind})"
        return await self._tracked(label, contract, argument, kind)

    async def plan(self, request: PlanRequest) -> PlanResult:
        """Local, because it is short; a remote try, visible to operators, when that does not succeed soon."""
        self.current = Stage.PLAN
        self._tell(PLAN.name, "running")
        try:
            planned = await _execute_local(PLAN, request, policy("plan_local", self._run.lane))
        except FailureError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from None
            if may_succeed_elsewhere(error):
                return await self.call(PLAN, request)
            raise StageEnded(ending_of(error, Stage.PLAN, 0)) from None
        self._tell(PLAN.name, f"{len(planned.batches)} engines, {planned.skipped} tasks skipped")
        return planned

    async def analyze(self, batches: Sequence[EngineBatch]) -> list[Ending]:
        """Every engine's batch at once. What ended badly comes back; it stops neither the others nor the run."""
        self.current = Stage.ANALYZE
        endings = await asyncio.gather(*(self._batch(batch) for batch in batches))
        return [ending for ending in endings if ending is not None]

    async def conclude(self, request: ConcludeRequest) -> ConcludeResult:
        """Records how the run ended. Raises StageEnded, too."""
        return await self._tracked(CONCLUDE.name, CONCLUDE, request, None)

    async def _batch(self, batch: EngineBatch) -> Ending | None:
        request = AnalyzeRequest(run=self._run, batch=batch)
        try:
            await self._tracked(f"analyze ({batch.engine})", ANALYZE, request, batch.kind)
        except StageEnded as ended:
            return ended.ending
        return None

    async def _tracked(self, label: str, contract: Contract[I, O], argument: I, kind: str | None) -> O:
        self._tell(label, "running")
        rules = policy(contract.policy, self._run.lane, kind)
        try:
            result = await execute_remote(contract, argument, rules, kind, label)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from None
            ending = ending_of(error, self.current, rules.maximum_attempts)
            self._tell(label, f"{ending.outcome.value}: {ending.reason}")
            raise StageEnded(ending) from None
        self._tell(label, "done")
        return result

    def _tell(self, label: str, state: str) -> None:
        """Progress for the Web UI: answered by a query, so it costs no event."""
        self._progress[label] = state
        workflow.set_current_details("\n".join(f"- **{name}** {told}" for name, told in self._progress.items()))


async def execute_remote(
    contract: Contract[I, O], argument: I, rules: StagePolicy, kind: str | None, summary: str
) -> O:
    """One activity under its policy. Raises ActivityError."""
    schedule_to_close, start_to_close, heartbeat = rules.timedeltas()
    # Without a queue of its own an activity goes to the workflow's, whichever that is.
    queue = None if contract.queue is QueueKind.CONVERSATIONS else task_queue(contract.queue, kind)
    result: O = await workflow.execute_activity(
        contract.name,
        argument,
        result_type=contract.output,
        task_queue=queue,
        schedule_to_close_timeout=schedule_to_close,
        start_to_close_timeout=start_to_close,
        heartbeat_timeout=heartbeat,
        retry_policy=_retry_policy(rules),
        # The UI shows the type anyway, and a summary is one more payload to seal, to store and to carry.
        summary=None if summary == contract.name else summary,
    )
    return result


async def _execute_local(contract: Contract[I, O], argument: I, rules: StagePolicy) -> O:
    """Raises FailureError: an ActivityError for a timeout, else what the activity raised."""
    schedule_to_close, start_to_close, _ = rules.timedeltas()
    result: O = await workflow.execute_local_activity(
        contract.name,
        argument,
        result_type=contract.output,
        schedule_to_close_timeout=schedule_to_close,
        start_to_close_timeout=start_to_close,
        retry_policy=_retry_policy(rules),
        summary=contract.name,
    )
    return result


def _retry_policy(rules: StagePolicy) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(seconds=rules.initial_interval),
        backoff_coefficient=rules.backoff,
        maximum_interval=timedelta(seconds=rules.maximum_interval),
        maximum_attempts=rules.maximum_attempts,
    )
