"""Adding to threads: every message once, whatever the order and however many come at the same time.

The whole is read, joined and written as the next revision of exactly what was read; when that has changed meanwhile,
it is read again. Within one process those who add to one thread come one after the other, so that between processes
only few ever have to.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from domain.clock import Clock
from domain.conversation import Channel, Conversation, Direction, Lane, Note
from domain.errors import ChangedMeanwhile, Conflict, FieldProblem, InvalidInput
from domain.ids import new_id
from domain.intake import ConversationIn
from domain.threads import Moment, is_older, join_participants, joined, kept_links, link_digest, moments, with_times
from domain.times import StampContext, TimeNote, canonical_stamp
from services import content_keys
from services.merge_conversations import merge
from services.new_conversation import conversation_id, new_conversation, require_channel
from services.one_at_a_time import OneAtATime
from services.settle import settle
from storage.protocols import (
    Accepted,
    AcceptOutcome,
    ContentStore,
    Database,
    NewConversation,
    Source,
    TenantTx,
)

ATTEMPTS = 40
LONGEST_PAUSE = 0.5
LARGE = 300
"""Messages from which on joining would hold up the event loop."""

TIME_OF_RECEIPT = Note(code=TimeNote.MISSING, detail="A message without a time has that of its receipt.")


@dataclass(frozen=True)
class Part:
    """Messages for a thread. Which one is meant: `conversation_id`, else whoever knows one of the links, else the
    natural key. replaces_people: participants that are known already are told anew, not guessed. received_at: when it
    came, for messages without a time; None: now, and left out where no message of the thread has a time."""

    intake: ConversationIn
    links: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    conversation_id: str | None = None
    replaces_people: bool = False
    received_at: datetime | None = None


@dataclass(frozen=True)
class _Meant:
    """The conversations a part belongs to, the oldest first; what is needed to read stamps."""

    conversations: tuple[Conversation, ...]
    source: Source
    tenant_zone: str

    @property
    def seen(self) -> list[tuple[str, int]]:
        return [(c.id, c.revision) for c in self.conversations]

    @property
    def moment(self) -> Moment:
        return moments(self.source.time_zone, self.tenant_zone)


class JoinThreads:
    """Needs the database and the content store."""

    def __init__(self, database: Database, content: ContentStore, clock: Clock) -> None:
        self._database = database
        self._content = content
        self._clock = clock
        self._turns = OneAtATime()

    async def join(self, tenant_id: str, part: Part, lane: Lane) -> Accepted:
        """The conversation with the part in it, and its new entry, if there is one.

        Raises NotFound (no such conversation), InvalidInput (does not fit), Conflict (another channel),
        ChangedMeanwhile (after many tries), Unavailable. Whatever is raised, nothing is left behind.
        """
        links = kept_links(part.links)
        by = part.conversation_id or (links[0] if links else part.intake.external_id)
        async with self._turns.of((tenant_id, part.intake.source, by)):
            for attempt in range(ATTEMPTS):
                try:
                    return await self._try(tenant_id, part, [link_digest(link) for link in links], lane)
                except ChangedMeanwhile:
                    # Not all at the same moment again.
                    await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))  # noqa: S311
        raise ChangedMeanwhile("the thread changes faster than it can be added to: try again")

    async def _try(self, tenant_id: str, part: Part, links: Sequence[bytes], lane: Lane) -> Accepted:
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.source(part.intake.source)
            await tx.catalog.saw_source(source)
            meant = _Meant(await _meant(tx, part, links), source, tx.tenant.time_zone)
        require_channel(source, part.intake)
        bodies = [await self._body(conversation) for conversation in meant.conversations]
        part = self._timed(part, bodies)
        large = sum(len(body.messages or ()) for body in bodies) > LARGE
        work = (bodies, part, meant.moment)
        whole = await asyncio.to_thread(_whole, *work) if large else _whole(*work)
        into = meant.conversations[0] if meant.conversations else None
        key = content_keys.accepted(tenant_id, into.id if into else conversation_id(tenant_id, whole), new_id())
        turned = whole.direction if not bodies or whole.direction is not bodies[0].direction else None
        new = self._new(tenant_id, meant, part, whole, key, turned)
        if into is not None and len(meant.conversations) == 1 and new.content_hash == into.content_hash:
            return await self._write(tenant_id, part, links, meant, new, lane)  # nothing new: no body to keep
        await self._content.put(tenant_id, key, whole.model_dump_json(exclude_none=True).encode())
        try:
            accepted = await self._write(tenant_id, part, links, meant, new, lane)
        except Exception:
            await self._content.delete(tenant_id, key)
            raise
        if accepted.outcome is AcceptOutcome.UNCHANGED:
            await self._content.delete(tenant_id, key)
        return accepted

    def _timed(self, part: Part, bodies: Sequence[ConversationIn]) -> Part:
        """With the time of receipt for messages that have none, and a note that says so. Raises InvalidInput naming
        the stamp that is none."""
        for position, message in enumerate(part.intake.messages or ()):
            canonical_stamp(message.at, field=f"messages[{position}].at")
        known = [message.at for body in bodies for message in body.messages or ()]
        complete = all(message.at is not None for message in part.intake.messages or ())
        if complete or (part.received_at is None and not any(known)):
            return part
        timed = with_times(part.intake, part.received_at or self._clock())
        return replace(part, intake=timed, notes=(*part.notes, TIME_OF_RECEIPT))

    async def _body(self, conversation: Conversation) -> ConversationIn:
        """As it was accepted; what closed it may have come later than its messages."""
        if conversation.channel is Channel.CALL or conversation.content_key is None:
            raise InvalidInput.of("messages", "a call has no messages to add to")
        body = ConversationIn.model_validate_json(
            await self._content.get(conversation.tenant_id, conversation.content_key)
        )
        told = {person.id for person in body.participants}
        people = (*body.participants, *(p for p in conversation.participants if p.id not in told))
        return body.model_copy(update={"closed": conversation.closed, "participants": people})

    def _new(
        self,
        tenant_id: str,
        meant: _Meant,
        part: Part,
        whole: ConversationIn,
        content_key: str,
        turned: Direction | None,
    ) -> NewConversation:
        """turned: the direction of the thread when the part has changed it."""
        context = StampContext(self._clock(), meant.source.time_zone, meant.tenant_zone)
        at_once = meant.source.settle_minutes == 0
        new = new_conversation(tenant_id, whole, content_key, context, {}, closes_at_once=at_once)
        if not meant.conversations:
            return new.model_copy(update={"kept_notes": part.notes, "based_on": 0})
        into = meant.conversations[0]
        own = {"messages": None, "source": into.source, "external_id": into.external_id, "direction": turned}
        says = part.intake.model_copy(update=own)
        return new.model_copy(
            update={
                "id": into.id,
                "intake": says,
                "kept_notes": part.notes,
                "based_on": into.revision,
                "fills": is_older(part.intake, whole, meant.moment),
                "replaces_people": part.replaces_people,
                "writers": frozenset(message.author for message in whole.messages or ()),
            }
        )

    async def _write(
        self, tenant_id: str, part: Part, links: Sequence[bytes], meant: _Meant, new: NewConversation, lane: Lane
    ) -> Accepted:
        async with self._database.tenant_tx(tenant_id) as tx:
            source = part.intake.source
            if links:
                await tx.threads.lock(source, links)
            now = await _meant(tx, part, links)
            if [(c.id, c.revision) for c in now] != meant.seen:
                raise ChangedMeanwhile("other conversations are meant by now")
            new = await _merged(tx, meant, new)
            accepted = await tx.conversations.accept(new, lane)
            if links:
                await tx.threads.link(source, links, accepted.conversation.id)
            return await settle(tx, new, accepted, lane, late_facts=True)


def _whole(bodies: Sequence[ConversationIn], part: Part, moment: Moment) -> ConversationIn:
    """Everything that is known of the thread, and the part. Raises InvalidInput when it does not fit together."""
    whole = part.intake
    try:
        for body in reversed(bodies):  # the oldest last: identity is that of the first argument
            whole = joined(body, whole, moment)
        if not bodies:
            whole = joined(whole.model_copy(update={"messages": ()}), whole, moment)
        if part.replaces_people:
            people = {p.id: p for p in (*whole.participants, *part.intake.participants)}
            whole = whole.model_copy(update={"participants": tuple(people.values())})
        return whole
    except ValidationError as error:
        problems = [FieldProblem(".".join(map(str, e["loc"])) or "messages", e["msg"]) for e in error.errors()]
        raise InvalidInput("the messages do not fit the thread", tuple(problems)) from None


async def _merged(tx: TenantTx, meant: _Meant, new: NewConversation) -> NewConversation:
    """With all conversations that are meant made one; what is to be said of it is kept."""
    gone = meant.conversations[1:]
    if not gone:
        return new
    notes = await merge(tx, gone, meant.conversations[0])
    people = join_participants((p for c in gone for p in c.participants), new.intake.participants)
    return new.model_copy(
        update={
            "intake": new.intake.model_copy(update={"participants": people}),
            "kept_notes": (*new.kept_notes, *notes),
        }
    )


async def _meant(tx: TenantTx, part: Part, links: Sequence[bytes]) -> tuple[Conversation, ...]:
    """The conversations a part belongs to, the oldest first. Raises NotFound, Conflict (another channel)."""
    if part.conversation_id is not None:
        found = [await _standing(tx, await tx.conversations.get(part.conversation_id))]
    else:
        found = [await tx.conversations.get(known) for known in await tx.threads.find(part.intake.source, links)]
        if not found:
            by_key = await tx.conversations.find(part.intake.source, part.intake.external_id)
            found = [await _standing(tx, by_key)] if by_key else []
    for conversation in found:
        if conversation.channel is not part.intake.channel:
            raise Conflict(f"this conversation is a {conversation.channel.value}, not a {part.intake.channel.value}")
    return tuple(sorted(found, key=lambda c: (c.created_at, c.id)))


async def _standing(tx: TenantTx, conversation: Conversation) -> Conversation:
    """The conversation itself, or the one it was merged into."""
    if conversation.merged_into is None:
        return conversation
    return await tx.conversations.get(conversation.merged_into)
