"""What a finished run leaves behind: values, ledger, counts, status. One transaction, or nothing."""

from collections.abc import Sequence
from datetime import timedelta

from domain.clock import utc_now
from domain.contracts import RunRef
from domain.conversation import Conversation, Lane, Stage, Status
from domain.ids import derived_id
from domain.ledger import GAP_STATES, Reason, RunState, TaskRun
from domain.values import FieldValue, Layer, ValueKind
from storage.protocols import AnswerRecord, DeadLetter, TenantTx

PAUSES = {Reason.ENGINE_QUOTA: timedelta(hours=1), Reason.ENGINE_RATE_LIMITED: timedelta(minutes=10)}
"""How long a run parked for its engine waits before it is entered again."""


async def persist_run(tx: TenantTx, run: RunRef, conversation: Conversation) -> tuple[Status, int]:
    """(status, known values). The caller holds the lease in the same transaction."""
    planned = await tx.ledger.of_entry(run)
    answers = await tx.ledger.answers(run)
    lost = [r for r in planned if r.state is RunState.PLANNED]
    if lost:
        await tx.ledger.record_answers([_lost(r) for r in lost])
    values = [v for a in answers if a.task_run.state is RunState.RAN for v in a.values]
    if values or run.revision > 1:
        await _write_values(tx, run, values)
    gaps = [a.task_run for a in answers if a.task_run.state in GAP_STATES]
    gaps += [r for r in planned if r.state in GAP_STATES and r.id not in {g.id for g in gaps}]
    gaps += [_lost(r).task_run for r in lost]
    await _keep_gaps(tx, run, conversation, gaps)
    status = Status.COMPLETED_WITH_GAPS if gaps else Status.COMPLETED
    await tx.conversations.set_status(run.conversation_id, status, str(gaps[0].reason) if gaps else None)
    await tx.outbox.search_dirty(run.conversation_id)
    await tx.outbox.event(f"conversation.{status.value}", run.conversation_id)
    return status, sum(v.kind is not ValueKind.UNKNOWN for v in values)


async def known_values(tx: TenantTx, run: RunRef) -> int:
    """How many values of this run are stored that are not unknown."""
    values = await tx.values.current(run.conversation_id, Layer.AI)
    return sum(v.kind is not ValueKind.UNKNOWN and v.revision == run.revision for v in values)


def _lost(row: TaskRun) -> AnswerRecord:
    """A planned run that nobody answered: its engine's stage used up its tries without a word."""
    update = {"state": RunState.FAILED, "reason": Reason.ENGINE_UNAVAILABLE}
    return AnswerRecord(task_run=row.model_copy(update=update), values=())


async def _write_values(tx: TenantTx, run: RunRef, values: Sequence[FieldValue]) -> None:
    await tx.values.put(values)
    if run.revision > 1:
        await tx.values.mark_human_stale(run.conversation_id, run.revision)
    await tx.rollups.count_values(run.conversation_id)


async def _keep_gaps(tx: TenantTx, run: RunRef, conversation: Conversation, gaps: Sequence[TaskRun]) -> None:
    """Failed tasks leave a dead letter to re-drive; parked ones come back by themselves."""
    now = utc_now()
    failed = [g for g in gaps if g.state is RunState.FAILED]
    if failed:
        detail = "; ".join(f"{g.task_slug}: {g.reason}" for g in failed)
        await tx.dead_letters.put(
            DeadLetter(
                id=derived_id("dead-letter", run.workflow_id, Stage.ANALYZE.value),
                conversation_id=run.conversation_id,
                revision=run.revision,
                entry=run.entry,
                stage=Stage.ANALYZE,
                error_type=str(failed[0].reason),
                detail=detail[:500],
                attempts=max(g.attempts for g in failed),
                first_at=now,
                last_at=now,
            )
        )
    parked = [g for g in gaps if g.state is RunState.PARKED]
    if parked:
        await tx.runs.enter(
            run.conversation_id,
            run.revision,
            enter_at=Stage.PLAN,
            lane=Lane.BACKFILL,
            channel=conversation.channel,
            reason=str(parked[0].reason),
            task_ids=[g.task_id for g in parked],
            not_before=now + max(PAUSES[g.reason] for g in parked if g.reason in PAUSES),
        )
