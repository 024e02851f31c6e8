"""Late facts: metadata, dispositions, participants that come after the conversation. No new revision.

Tasks that read a changed fact are planned again. What a task reads is part of its input hash, so everything whose
input is unchanged is skipped there and nothing is paid for twice.
"""

from domain.conversation import Conversation, Lane, Stage, StageStatus
from domain.intake import ConversationPatch
from services.accept_conversation import start_entry
from services.ports import Orchestrator
from storage.protocols import Database, RunEntry, TenantTx


class CorrectConversation:
    """Needs the database and the orchestration."""

    def __init__(self, database: Database, orchestrator: Orchestrator) -> None:
        self._database = database
        self._orchestrator = orchestrator

    async def patch(
        self, tenant_id: str, conversation_id: str, patch: ConversationPatch, *, actor: str, origin: str | None
    ) -> Conversation:
        """The conversation with the facts changed. Raises NotFound, InvalidInput."""
        async with self._database.tenant_tx(tenant_id) as tx:
            before = await tx.conversations.get(conversation_id)
            after = await tx.conversations.patch(conversation_id, patch)
            changed = _changed(before, after)
            entry = None
            if changed:
                await tx.outbox.search_dirty(conversation_id)
                await tx.audit.record(
                    actor=actor,
                    action="conversation.patch",
                    subject=conversation_id,
                    origin=origin,
                    # Names only: the values may be personal data, and the audit trail outlives them.
                    after={"changed": sorted(changed)},
                )
                entry = await self._enter(tx, after, changed)
        if entry is not None:
            await start_entry(self._database, self._orchestrator, entry, after)
        return after

    @staticmethod
    async def _enter(tx: TenantTx, conversation: Conversation, changed: frozenset[str]) -> RunEntry | None:
        """A run from the first stage that read what changed, if it has been there already."""
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


def _changed(before: Conversation, after: Conversation) -> frozenset[str]:
    return frozenset(name for name in _FACTS if getattr(before, name) != getattr(after, name))
