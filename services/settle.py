"""What follows an acceptance: the run of a new revision, or the end of a thread's wait because it was closed."""

from domain.clock import utc_now
from domain.contracts import SETTLING_REASON
from domain.conversation import Conversation, Lane, Stage
from storage.protocols import Accepted, AcceptOutcome, NewConversation, RunEntry, TenantTx


async def settle(tx: TenantTx, new: NewConversation, accepted: Accepted, lane: Lane) -> Accepted:
    """With the entry that is to be started now, in the same transaction as the acceptance."""
    conversation = accepted.conversation
    if accepted.outcome is AcceptOutcome.REVISED:
        entry = await tx.runs.enter(
            conversation.id,
            conversation.revision,
            enter_at=Stage.INGEST,
            lane=lane,
            channel=conversation.channel,
            reason=accepted.outcome.value,
        )
        return accepted.model_copy(update={"entry": entry})
    closes = new.closed and not conversation.closed and new.content_hash == conversation.content_hash
    if accepted.outcome is AcceptOutcome.UNCHANGED and closes:
        await tx.conversations.set_closed(conversation.id)
        closed = conversation.model_copy(update={"closed": True})
        return accepted.model_copy(update={"conversation": closed, "entry": await _end_of_wait(tx, conversation)})
    return accepted


async def _end_of_wait(tx: TenantTx, conversation: Conversation) -> RunEntry | None:
    """The entry that waits for quiet, due now. None when a run is still on its way there: it sees by itself that the
    thread is closed."""
    for entry in await tx.runs.list(conversation.id):
        waits = entry.state == "pending" and entry.reason == SETTLING_REASON
        if waits and entry.run.revision == conversation.revision:
            now = utc_now()
            await tx.runs.postpone(entry.run, now)
            return entry.model_copy(update={"not_before": now})
    return None
