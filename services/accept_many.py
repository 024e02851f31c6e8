"""Accepting many conversations at once: few round trips, and the same effect as one after the other.

In two steps, so that nobody waits for a lock while content is sealed: `prepare` looks up what is known and stores the
content of what is not; `write` makes the rows inside the caller's transaction.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from domain.arrivals import Arrival
from domain.conversation import Lane
from domain.errors import Conflict, InvalidInput, ParleyError
from domain.ids import new_id
from domain.intake import ConversationIn
from services import content_keys
from services.accept_conversation import AcceptConversation, accept_in, upload_hashes
from services.late_facts import news_of
from services.new_conversation import conversation_id
from storage.protocols import AcceptOutcome, ContentStore, Database, Known, NewConversation, Source, TenantTx

_AT_ONCE = 16


@dataclass(frozen=True)
class Landed:
    """What became of one conversation; with an error nothing did."""

    outcome: AcceptOutcome | None = None
    conversation_id: str | None = None
    revision: int | None = None
    error: ParleyError | None = None


@dataclass(frozen=True)
class Prepared:
    """A checked conversation, what is known of it, and whether its content is stored under `new.content_key`."""

    new: NewConversation | None = None
    known: Known | None = None
    error: ParleyError | None = None

    @classmethod
    def refused(cls, error: ParleyError) -> Self:
        return cls(error=error)

    @property
    def expected(self) -> Landed:
        """What `write` will do unless somebody else is quicker."""
        if self.error is not None or self.new is None:
            return Landed(error=self.error)
        if self.known is None:
            return Landed(AcceptOutcome.CREATED)
        if self.known.same:
            return Landed(AcceptOutcome.UNCHANGED, self.known.id, self.known.revision)
        if self.known.channel is not self.new.intake.channel:
            channel = self.known.channel.value
            return Landed(error=Conflict(f"this conversation is a {channel}, not a {self.new.intake.channel.value}"))
        return Landed(AcceptOutcome.REVISED, self.known.id, self.known.revision + 1)


class AcceptMany:
    """Needs the database, the content store, and the rules of accepting one."""

    def __init__(self, database: Database, content: ContentStore, accept: AcceptConversation) -> None:
        self._database = database
        self._content = content
        self._accept = accept

    async def prepare(self, tenant_id: str, arrivals: Sequence[Arrival], *, store: bool = True) -> Sequence[Prepared]:
        """One answer each, in order. No natural key may occur twice. Raises Unavailable.

        store: seal and keep the content of what is new; without it nothing is left behind.
        """
        async with self._database.tenant_tx(tenant_id) as tx:
            slugs = sorted({arrival.conversation.source for arrival in arrivals})
            sources = {slug: await tx.catalog.source(slug) for slug in slugs}
            if store:
                for source in sources.values():
                    await tx.catalog.saw_source(source)
            checked = [await self._checked(tx, tenant_id, arrival, sources) for arrival in arrivals]
            news = [one.new for one in checked if one.new is not None]
            keys = [(new.intake.source, new.intake.external_id, new.content_hash) for new in news]
            known = dict(zip((new.id for new in news), await tx.bulk.known(keys), strict=True))
        prepared = [one if one.new is None else Prepared(new=one.new, known=known[one.new.id]) for one in checked]
        if store:
            await self._store(tenant_id, arrivals, prepared)
        return prepared

    async def write(self, tx: TenantTx, prepared: Sequence[Prepared], lane: Lane) -> Sequence[Landed]:
        """The rows, each conversation with its entry in the lane. One answer each, in order. What a row tells of a
        conversation whose content is known is news as well; see `services.settle`.

        Raises InvalidInput, Conflict and their kin when one of them cannot be accepted: which one is not said, and
        nothing of this transaction holds then.
        """
        fresh = [one.new for one in prepared if one.new is not None and one.known is None and not one.new.legs]
        inserted = await tx.bulk.insert(fresh, lane)
        landed = {new.id: Landed(AcceptOutcome.CREATED, new.id, 1) for new in fresh if new.id in inserted}
        left = [
            one for one in prepared if one.new is not None and one.new.id not in landed and not _changes_nothing(one)
        ]
        # In the order of ids, as in `insert`: others may be at the same conversations.
        for one in sorted(left, key=lambda one: one.new.id if one.new else ""):
            assert one.new is not None
            landed[one.new.id] = await _write_one(tx, one.new, lane)
        return [landed.get(one.new.id, one.expected) if one.new is not None else one.expected for one in prepared]

    async def discard(
        self, tenant_id: str, prepared: Sequence[Prepared], landed: Sequence[Landed] | None = None
    ) -> None:
        """Removes stored content that nothing refers to: of what did not make a revision, of all without `landed`."""
        made = (AcceptOutcome.CREATED, AcceptOutcome.REVISED)
        unused = [
            one.new.content_key
            for position, one in enumerate(prepared)
            if one.new is not None and _stored(one) and (landed is None or landed[position].outcome not in made)
        ]
        await asyncio.gather(*(self._content.delete(tenant_id, key) for key in unused))

    async def _checked(self, tx: TenantTx, tenant_id: str, arrival: Arrival, sources: Mapping[str, Source]) -> Prepared:
        intake = arrival.conversation
        try:
            self._accept.check_addresses(intake)
            hashes = await upload_hashes(tx, intake) if intake.audio else {}
            key = content_keys.accepted(tenant_id, conversation_id(tenant_id, intake), new_id())
            new = self._accept.new(tenant_id, intake, key, sources[intake.source], tx.tenant.time_zone, hashes)
            return Prepared(new=new.model_copy(update={"notes": (*new.notes, *arrival.notes)}))
        except InvalidInput as error:
            return Prepared.refused(error)

    async def _store(self, tenant_id: str, arrivals: Sequence[Arrival], prepared: Sequence[Prepared]) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def put(key: str, intake: ConversationIn) -> None:
            async with gate:
                await self._content.put(tenant_id, key, intake.model_dump_json(exclude_none=True).encode())

        try:
            async with asyncio.TaskGroup() as group:
                for arrival, one in zip(arrivals, prepared, strict=True):
                    if one.new is not None and _stored(one):
                        group.create_task(put(one.new.content_key, arrival.conversation))
        except* ParleyError as problems:
            raise problems.exceptions[0] from None


def _changes_nothing(one: Prepared) -> bool:
    """The content is known, and nothing is said that is not."""
    new, known = one.new, one.known
    if new is None or known is None or not known.same or (new.closed and not known.closed):
        return False
    return known.facts is None or news_of(new.intake, known.facts) is None


def _stored(one: Prepared) -> bool:
    return one.known is None or not one.known.same


async def _write_one(tx: TenantTx, new: NewConversation, lane: Lane) -> Landed:
    accepted = await accept_in(tx, new, lane, late_facts=True)
    return Landed(accepted.outcome, accepted.conversation.id, accepted.conversation.revision)
