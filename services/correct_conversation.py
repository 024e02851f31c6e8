"""Correcting a conversation by hand: metadata, dispositions, participants that come after it."""

from domain.conversation import Conversation
from domain.intake import ConversationPatch
from services.accept_conversation import start_entry
from services.late_facts import correct
from services.ports import Orchestrator
from storage.protocols import Database


class CorrectConversation:
    """Needs the database and the orchestration."""

    def __init__(self, database: Database, orchestrator: Orchestrator) -> None:
        self._database = database
        self._orchestrator = orchestrator

    async def patch(
        self, tenant_id: str, conversation_id: str, patch: ConversationPatch, *, actor: str, origin: str | None
    ) -> Conversation:
        """The conversation with the facts changed. Raises NotFound, InvalidInput, MergedAway."""
        async with self._database.tenant_tx(tenant_id) as tx:
            after, entry = await correct(tx, conversation_id, patch, actor=actor, origin=origin)
        if entry is not None:
            await start_entry(self._database, self._orchestrator, entry, after)
        return after
