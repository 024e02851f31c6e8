"""Receiving arrivals: what a source's reader made of a raw item becomes conversations, each message once."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.arrivals import Arrival
from domain.conversation import Lane
from domain.errors import InvalidInput
from domain.intake import MessagesIn
from services.accept_conversation import Acceptance, AcceptConversation
from storage.protocols import Database


@dataclass(frozen=True)
class Received:
    """What became of one arrival: accepted, or refused with the reason."""

    acceptance: Acceptance | None = None
    error: InvalidInput | None = None


class ReceiveArrivals:
    """Needs the database and what accepts conversations."""

    def __init__(self, database: Database, accept: AcceptConversation) -> None:
        self._database = database
        self._accept = accept

    async def receive(
        self, tenant_id: str, arrivals: Sequence[Arrival], *, lane: Lane = Lane.LIVE
    ) -> Sequence[Received]:
        """One answer an arrival, in order. Repeatable. Raises Unavailable when storage is away."""
        received = []
        for arrival in arrivals:
            try:
                received.append(Received(acceptance=await self._one(tenant_id, arrival, lane)))
            except InvalidInput as error:
                received.append(Received(error=error))
        return received

    async def _one(self, tenant_id: str, arrival: Arrival, lane: Lane) -> Acceptance:
        new = arrival.conversation
        if arrival.adds and new.messages is not None:
            async with self._database.tenant_tx(tenant_id) as tx:
                known = await tx.conversations.find(new.source, new.external_id)
            if known is not None:
                added = MessagesIn(messages=new.messages, participants=new.participants, closed=new.closed)
                return await self._accept.add_messages(tenant_id, known.id, added, lane=lane)
        return await self._accept.accept(tenant_id, new, lane=lane)
