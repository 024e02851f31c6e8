"""What follows an acceptance: legs, the run of a new revision, the end of a thread's wait because it was closed."""

from domain.clock import utc_now
from domain.contracts import SETTLING_REASON
from domain.conversation import Conversation, Lane, Stage
from services.late_facts import correct, news_of
from storage.protocols import Accepted, AcceptOutcome, NewConversation, RunEntry, TenantTx

ACTOR = "parley"


async def settle(
    tx: TenantTx, new: NewConversation, accepted: Accepted, lane: Lane, *, late_facts: bool = False
) -> Accepted:
    """With the entry that is to be started now, in the same transaction as the acceptance.

    late_facts: what is said of a conversation whose messages are known already is news too; senders who cannot correct
    a conversation say so only by telling it again.
    """
    conversation = accepted.conversation
    if new.legs and accepted.outcome is not AcceptOutcome.UNCHANGED:
        await tx.legs.put(conversation.id, new.intake.source, new.legs)
    if accepted.outcome is AcceptOutcome.REVISED:
        revised = await tx.runs.enter(
            conversation.id,
            conversation.revision,
            enter_at=Stage.INGEST,
            lane=lane,
            channel=conversation.channel,
            reason=accepted.outcome.value,
        )
        return accepted.model_copy(update={"entry": revised})
    same = new.content_hash == conversation.content_hash and not new.fills
    if accepted.outcome is not AcceptOutcome.UNCHANGED or not same:
        return accepted
    entry: RunEntry | None = None
    if late_facts and (news := news_of(new.intake, conversation)) is not None:
        conversation, entry = await correct(tx, conversation.id, news, actor=ACTOR, origin=None)
    if new.closed and not conversation.closed:
        await tx.conversations.set_closed(conversation.id)
        conversation = conversation.model_copy(update={"closed": True})
        entry = await _end_of_wait(tx, conversation) or entry
    return accepted.model_copy(update={"conversation": conversation, "entry": entry})


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
