"""Late facts: what is said of a conversation after it came. No new revision.

Tasks that read a changed fact are planned again. What a task reads is part of its input hash, so everything whose
input is unchanged is skipped there and nothing is paid for twice.
"""

from domain.conversation import Conversation, Lane, Stage, StageStatus
from domain.intake import ConversationIn, ConversationPatch
from storage.protocols import KnownFacts, RunEntry, TenantTx

_FACTS = (
    "ended_at",
    "direction",
    "queue",
    "team",
    "campaign",
    "language",
    "tags",
    "dispositions",
    "metadata",
    "participants",
)
_SCALARS = ("direction", "queue", "team", "campaign", "language")


async def correct(
    tx: TenantTx, conversation_id: str, patch: ConversationPatch, *, actor: str, origin: str | None
) -> tuple[Conversation, RunEntry | None]:
    """The conversation with the facts changed, and the run from the first stage that read what changed, if it has been
    there already. Raises NotFound, InvalidInput, MergedAway."""
    before = await tx.conversations.get(conversation_id)
    after = await tx.conversations.patch(conversation_id, patch)
    changed = frozenset(name for name in _FACTS if getattr(before, name) != getattr(after, name))
    if not changed:
        return after, None
    await tx.outbox.search_dirty(conversation_id)
    await tx.audit.record(
        actor=actor,
        action="conversation.patch",
        subject=conversation_id,
        origin=origin,
        # Names only: the values may be personal data, and the audit trail outlives them.
        after={"changed": sorted(changed)},
    )
    return after, await _enter(tx, after, changed)


def news_of(told: ConversationIn, known: Conversation | KnownFacts) -> ConversationPatch | None:
    """What is told of a conversation and not known so; None when there is nothing. Nothing is ever taken away."""
    news: dict[str, object] = {
        name: value for name in _SCALARS if (value := getattr(told, name)) not in (None, getattr(known, name))
    }
    news |= {
        name: value
        for name in ("tags", "dispositions")
        if (value := getattr(told, name)) and value != getattr(known, name)
    }
    metadata = {key: value for key, value in told.metadata.items() if known.metadata.get(key) != value}
    if metadata:
        news["metadata"] = metadata
    return ConversationPatch.model_validate(news) if news else None


async def _enter(tx: TenantTx, conversation: Conversation, changed: frozenset[str]) -> RunEntry | None:
    first = Stage.NORMALIZE if "participants" in changed else Stage.PLAN
    done = {s.name for s in conversation.stages if s.state in (StageStatus.COMPLETED, StageStatus.RUNNING)}
    if first not in done:
        return None
    return await tx.runs.enter(
        conversation.id,
        conversation.revision,
        enter_at=first,
        lane=Lane.BACKFILL,
        channel=conversation.channel,
        reason="patched",
    )
