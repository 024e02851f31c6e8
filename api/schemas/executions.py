"""What was done for a conversation: runs, stages, the ledger, engine calls."""

from collections.abc import Callable
from datetime import datetime

from pydantic import Field

from api.schemas.common import Money, Out, StageOut
from domain.contracts import RunRef
from domain.conversation import Lane, Stage
from domain.engine import CallOutcome, EngineCall
from domain.ledger import REASONS, RunState, TaskRun
from services.read_conversation import Executions


class RunOut(Out):
    """One entry into the workflow. state: pending (not given to Temporal yet), started, closed."""

    entry: int
    enter_at: Stage
    lane: Lane
    state: str
    reason: str | None = Field(description="Why it was entered: created, revised, rerun, redrive, patched, …")
    not_before: datetime | None
    created_at: datetime
    workflow_id: str
    temporal: str | None = Field(description="The run in the Temporal Web UI, for keys with the scope operate.")


class TaskRunOut(Out):
    """One row of the ledger."""

    id: str
    entry: int
    task: str
    task_version: str
    engine: str | None
    state: RunState
    reason: str | None
    words: str | None
    remedy: str | None
    detail: str | None
    attempts: int
    engine_calls: list[str]
    updated_at: datetime | None

    @classmethod
    def of(cls, run: TaskRun) -> "TaskRunOut":
        text = REASONS[run.reason] if run.reason else None
        return cls(
            id=run.id,
            entry=run.entry,
            task=run.task_slug,
            task_version=run.task_version,
            engine=run.engine,
            state=run.state,
            reason=run.reason.value if run.reason else None,
            words=text.words if text else None,
            remedy=text.remedy if text else None,
            detail=run.detail,
            attempts=run.attempts,
            engine_calls=list(run.engine_calls),
            updated_at=run.updated_at,
        )


class EngineCallOut(Out):
    """One request to an engine. `answer` (of redacted input, as it came) for keys with the scope operate."""

    id: str
    engine: str
    model: str
    outcome: CallOutcome
    requests: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    thinking_tokens: int
    audio_ms: int
    cost_usd: Money
    latency_ms: int
    error_code: str | None
    answer: str | None

    @classmethod
    def of(cls, call: EngineCall, *, answer: bool) -> "EngineCallOut":
        return cls(
            id=call.id,
            engine=call.engine,
            model=call.model,
            outcome=call.outcome,
            **call.usage.model_dump(),
            cost_usd=call.cost_usd,
            latency_ms=call.latency_ms,
            error_code=call.error_code,
            answer=call.answer if answer else None,
        )


class ExecutionsOut(Out):
    """Runs, stages and ledger of one revision; engine calls of the whole conversation."""

    conversation_id: str
    revision: int
    runs: list[RunOut]
    stages: list[StageOut]
    ledger: list[TaskRunOut]
    engine_calls: list[EngineCallOut]

    @classmethod
    def of(cls, executions: Executions, *, operator: bool, link: Callable[[RunRef], str | None]) -> "ExecutionsOut":
        current = executions.revision == executions.conversation.revision
        return cls(
            conversation_id=executions.conversation.id,
            revision=executions.revision,
            runs=[
                RunOut(
                    entry=entry.run.entry,
                    enter_at=entry.enter_at,
                    lane=entry.run.lane,
                    state=entry.state,
                    reason=entry.reason,
                    not_before=entry.not_before,
                    created_at=entry.created_at,
                    workflow_id=entry.run.workflow_id,
                    temporal=link(entry.run) if operator else None,
                )
                for entry in executions.entries
            ],
            stages=[StageOut.of(stage) for stage in executions.conversation.stages] if current else [],
            ledger=[TaskRunOut.of(run) for run in executions.task_runs],
            engine_calls=[EngineCallOut.of(call, answer=operator) for call in executions.calls],
        )
