"""How a run ends that does not persist: parked with a reason, or failed into the dead letters."""

from datetime import datetime, timedelta

from domain.clock import utc_now
from domain.contracts import (
    BACKPRESSURE_REASON,
    SETTLING_REASON,
    ConcludeRequest,
    Conclusion,
    RunRef,
)
from domain.conversation import Conversation, Lane, Stage, StageStatus, Status
from domain.ids import derived_id
from storage.protocols import DeadLetter, TenantTx

RETURN_AFTER = {
    BACKPRESSURE_REASON: timedelta(minutes=1),
    "engine_rate_limited": timedelta(minutes=10),
    "engine_quota_exhausted": timedelta(hours=1),
}
"""Parked for one of these, a run comes back by itself; for any other reason it waits for an operator."""


async def conclude_run(tx: TenantTx, request: ConcludeRequest) -> str | None:
    """The dead letter's id when the run failed. Repeatable. The caller holds the lease in the same transaction."""
    run = request.run
    conversation = await tx.conversations.get(run.conversation_id)
    parked = request.conclusion is Conclusion.PARKED
    letter = None
    if request.reason != SETTLING_REASON:
        state = StageStatus.PARKED if parked else StageStatus.FAILED
        error = f"{request.reason}: {request.detail}" if request.detail else request.reason
        await tx.runs.stage(run, request.stage, state, attempt=max(1, request.attempts), error=error)
    await tx.conversations.set_status(run.conversation_id, Status.PARKED if parked else Status.FAILED, request.reason)
    await tx.runs.close(run)
    await tx.outbox.search_dirty(run.conversation_id)
    if parked:
        await _come_back(tx, request, conversation)
    else:
        letter = await _dead_letter(tx, request)
    return letter


async def _come_back(tx: TenantTx, request: ConcludeRequest, conversation: Conversation) -> None:
    run, now = request.run, utc_now()
    if request.reason == SETTLING_REASON:
        not_before = await settled_at(tx, run, conversation)
    elif request.reason in RETURN_AFTER:
        not_before = now + RETURN_AFTER[request.reason]
    else:
        return
    later = [e.run for e in await tx.runs.list(run.conversation_id) if e.state == "pending"]
    if any((other.revision, other.entry) > (run.revision, run.entry) for other in later):
        return  # said before, or the next run is on its way anyhow
    entry = await tx.runs.enter(
        run.conversation_id,
        run.revision,
        enter_at=resume_stage(request.stage),
        lane=run.lane if request.reason == SETTLING_REASON else Lane.BACKFILL,
        channel=conversation.channel,
        reason=request.reason,
        not_before=not_before,
    )
    for letter in await tx.dead_letters.of_conversation(run.conversation_id):
        if letter.redriven_at is None and letter.entry == run.entry and letter.revision == run.revision:
            # What `persist` gave up because its engine has to be waited for: this entry is its re-drive.
            await tx.dead_letters.redriven(letter.id, entry.run.entry)


async def settled_at(tx: TenantTx, run: RunRef, conversation: Conversation) -> datetime:
    """When a thread counts as settled: closed now, or the source's quiet minutes after it last came."""
    if conversation.closed:
        return utc_now()
    source = await tx.catalog.source(conversation.source)
    entry = await tx.runs.get(run)
    return entry.created_at + timedelta(minutes=source.settle_minutes)


def resume_stage(stage: Stage) -> Stage:
    """Where a run resumes that ended at `stage`: what to run is decided by `plan`, and answers already recorded are
    found again there, so analyze and persist resume at plan."""
    return Stage.PLAN if stage in (Stage.ANALYZE, Stage.PERSIST, Stage.PLAN) else stage


async def _dead_letter(tx: TenantTx, request: ConcludeRequest) -> str:
    run, now = request.run, utc_now()
    letter_id = derived_id("dead-letter", run.workflow_id, request.stage.value)
    await tx.dead_letters.put(
        DeadLetter(
            id=letter_id,
            conversation_id=run.conversation_id,
            revision=run.revision,
            entry=run.entry,
            stage=request.stage,
            error_type=request.reason,
            detail=request.detail,
            attempts=request.attempts,
            first_at=now,
            last_at=now,
        )
    )
    return letter_id
