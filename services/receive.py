"""Receiving arrivals: what a source's reader made of raw items becomes conversations, each message once.

Arrivals of one thread that come together are joined first: one revision, not one a message.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from domain.arrivals import Arrival
from domain.clock import utc_now
from domain.conversation import Lane
from domain.errors import ChangedMeanwhile, Conflict, InvalidInput
from domain.threads import joined, kept_links, moments, with_times
from services.accept_conversation import Acceptance, AcceptConversation
from services.join_threads import TIME_OF_RECEIPT, Part
from storage.protocols import Database


@dataclass(frozen=True)
class Received:
    """What became of one arrival: accepted, or refused with the reason."""

    acceptance: Acceptance | None = None
    error: InvalidInput | Conflict | None = None


class ReceiveArrivals:
    """Needs the database and what accepts conversations."""

    def __init__(self, database: Database, accept: AcceptConversation) -> None:
        self._database = database
        self._accept = accept

    async def receive(
        self,
        tenant_id: str,
        arrivals: Sequence[Arrival],
        *,
        lane: Lane = Lane.LIVE,
        received_at: datetime | None = None,
    ) -> Sequence[Received]:
        """One answer an arrival, in order. Repeatable, with the same `received_at` (the time of messages that have
        none; now, unless given). Raises ChangedMeanwhile, Unavailable: what was not received yet is received by asking
        again."""
        at = received_at or utc_now()
        answers: dict[int, Received] = {}
        for group in _threads(arrivals):
            together = [arrivals[position] for position in group]
            found = await self._together(tenant_id, together, lane, at) if len(group) > 1 else None
            for position in group:
                answers[position] = found or await self._one(tenant_id, arrivals[position], lane, at)
        return [answers[position] for position in range(len(arrivals))]

    async def _together(self, tenant_id: str, arrivals: Sequence[Arrival], lane: Lane, at: datetime) -> Received | None:
        """None when they do not go together: each has its own answer then."""
        if len({arrival.conversation.channel for arrival in arrivals}) > 1 or not all(map(_is_part, arrivals)):
            return None
        try:
            part = await self._as_one(tenant_id, arrivals, at)
            return Received(acceptance=await self._accept.join(tenant_id, part, lane=lane))
        except ChangedMeanwhile:
            raise
        except (InvalidInput, Conflict, ValidationError):
            return None

    async def _as_one(self, tenant_id: str, arrivals: Sequence[Arrival], at: datetime) -> Part:
        first = arrivals[0].conversation
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.source(first.source)
            moment = moments(source.time_zone, tx.tenant.time_zone)
        whole = with_times(first, at)
        for arrival in arrivals[1:]:
            whole = joined(whole, with_times(arrival.conversation, at), moment)
        links = dict.fromkeys(link for arrival in arrivals for link in kept_links(arrival.links))
        notes = dict.fromkeys(note for arrival in arrivals for note in arrival.notes)
        if any(message.at is None for arrival in arrivals for message in arrival.conversation.messages or ()):
            notes[TIME_OF_RECEIPT] = None
        return Part(whole, tuple(links), tuple(notes), received_at=at)

    async def _one(self, tenant_id: str, arrival: Arrival, lane: Lane, at: datetime) -> Received:
        try:
            if _is_part(arrival):
                part = Part(arrival.conversation, arrival.links, arrival.notes, received_at=at)
                return Received(acceptance=await self._accept.join(tenant_id, part, lane=lane))
            return Received(
                acceptance=await self._accept.accept(tenant_id, arrival.conversation, lane=lane, late_facts=True)
            )
        except ChangedMeanwhile:
            raise
        except (InvalidInput, Conflict) as error:
            return Received(error=error)


def _is_part(arrival: Arrival) -> bool:
    """Whether its messages join others; with links they always do: who answers whom is known then."""
    return arrival.conversation.messages is not None and (arrival.adds or bool(arrival.links))


def _threads(arrivals: Sequence[Arrival]) -> Iterable[Sequence[int]]:
    """Positions of arrivals of one thread, by what links them to each other, in the order of the first of each."""
    group_of = list(range(len(arrivals)))

    def root(position: int) -> int:
        while group_of[position] != position:
            group_of[position] = group_of[group_of[position]]
            position = group_of[position]
        return position

    seen: dict[tuple[str, str, str], int] = {}
    for position, arrival in enumerate(arrivals):
        intake = arrival.conversation
        names = [(intake.source, "key", intake.external_id)]
        names += [(intake.source, "link", link) for link in kept_links(arrival.links)]
        for name in names:
            one, other = sorted((root(seen.setdefault(name, position)), root(position)))
            group_of[other] = one
    groups: dict[int, list[int]] = {}
    for position in range(len(arrivals)):
        groups.setdefault(root(position), []).append(position)
    return groups.values()
