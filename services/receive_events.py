"""Raw events of a source: kept sealed, then read and received. Nothing that came is lost, nothing is doubled.

The event's row is the acceptance. Whoever has claimed it reads it; when that process dies, or a part it needs is
away, the claim runs out and the reconciler reads it. What cannot be read stays as a dead letter, to be read again when
the source's mapping was mended.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from domain.clock import Clock, utc_now
from domain.conversation import Lane, Stage
from domain.errors import (
    ChangedMeanwhile,
    Conflict,
    ContentDamaged,
    ContentMissing,
    InvalidInput,
    NotFound,
    ParleyError,
    Unavailable,
    where,
)
from domain.ids import derived_id, new_id
from domain.sources import EventState, ItemOutcome
from services import content_keys
from services.event_keys import event_digest
from services.read_events import ReadEvents, ReadItem
from services.receive import ReceiveArrivals, Received
from storage.protocols import ContentStore, Database, DeadLetter, Page, Source, SourceEvent, TenantTx

CLAIM_SECONDS = 120.0
"""How long a process may read one event before somebody else takes it for dead."""

AGAIN_SECONDS = 10.0
"""How soon an event is due again when a part that is needed was away."""

MAX_ATTEMPTS = 5
"""An event that was begun so often and never ended takes its reader with it: it is given up."""

MAX_REDRIVEN = 50
"""Dead letters read again in one request."""

_MAX_PROBLEMS = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EventReceipt:
    """What became of an event so far. repeated: it was here already. dead_letter_id: the open one, if any."""

    event: SourceEvent
    repeated: bool = False
    dead_letter_id: str | None = None


@dataclass(frozen=True)
class Redriven:
    """Dead letters of a source that were read again: how many are received now, how many failed again, and how many
    more are open."""

    received: int
    failed: int
    remaining: int


class ReceiveEvents:
    """Needs the database, the content store, what reads events, and what receives arrivals."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        read: ReadEvents,
        receive: ReceiveArrivals,
        *,
        claim_seconds: float = CLAIM_SECONDS,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._content = content
        self._read = read
        self._receive = receive
        self._claim_seconds = claim_seconds
        self._clock = clock

    async def accept(self, tenant_id: str, slug_or_id: str, body: bytes, media_type: str) -> EventReceipt:
        """Keeps a raw body, reads and receives it. Raises NotFound (no such source), InvalidInput (no body),
        Unavailable: then nothing was accepted."""
        if not body:
            raise InvalidInput.of("body", "is empty")
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.find_source(slug_or_id)
        event = self._new(tenant_id, source, body, media_type)
        await self._content.put(tenant_id, event.content_key, body)
        try:
            async with self._database.tenant_tx(tenant_id) as tx:
                await tx.catalog.saw_source(source)
                kept = await tx.events.put(event)
        except Exception:
            await self._content.delete(tenant_id, event.content_key)
            raise
        if kept.id == event.id and kept.content_key == event.content_key:
            return await self._work(tenant_id, kept, source, body)
        await self._content.delete(tenant_id, event.content_key)
        return await self._repeated(tenant_id, kept, source)

    async def source(self, tenant_id: str, slug_or_id: str) -> Source:
        """Raises NotFound."""
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.catalog.find_source(slug_or_id)

    async def body(self, tenant_id: str, dead_letter_id: str, *, actor: str, origin: str | None) -> bytes:
        """What was sent, of a dead-lettered event. The look is on the audit trail before anything is opened.

        Raises NotFound, ContentMissing, ContentDamaged.
        """
        async with self._database.tenant_tx(tenant_id) as tx:
            letter = await tx.dead_letters.get(dead_letter_id)
            if letter.event_id is None:
                raise NotFound("this dead letter is about a conversation: there is no raw body")
            event = await tx.events.get(letter.event_id)
            await tx.audit.record(actor=actor, action="event.body.read", subject=event.id, origin=origin)
        return await self._content.get(tenant_id, event.content_key)

    async def get(self, tenant_id: str, slug_or_id: str, event_id: str) -> EventReceipt:
        """Raises NotFound."""
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.find_source(slug_or_id)
            event = await tx.events.get(event_id)
            letter = await tx.dead_letters.of_event(event_id)
        if event.source_id != source.id:
            raise NotFound("no such event")
        return EventReceipt(event, repeated=False, dead_letter_id=letter.id if letter else None)

    async def finish(self, tenant_id: str, event_id: str) -> EventState | None:
        """Reads an accepted event that nobody reads; None when somebody does. Raises Unavailable."""
        async with self._database.tenant_tx(tenant_id) as tx:
            event = await tx.events.claim(event_id, self._claim_seconds)
            source = None if event is None else await tx.catalog.find_source(event.source_id)
        if event is None or source is None:
            return None
        return (await self._work(tenant_id, event, source)).event.state

    async def redrive(self, tenant_id: str, dead_letter_id: str, *, actor: str) -> EventReceipt:
        """Reads a dead-lettered event again, as its source is configured now. Raises NotFound, Conflict."""
        async with self._database.tenant_tx(tenant_id) as tx:
            letter = await tx.dead_letters.get(dead_letter_id)
            if letter.event_id is None:
                raise Conflict("this dead letter is about a conversation, which is entered again instead")
            if letter.redriven_at is not None:
                raise Conflict("this dead letter was re-driven already")
            event = await tx.events.claim(letter.event_id, self._claim_seconds, again=True)
            if event is None:
                raise Conflict("the event is being read right now")
            source = await tx.catalog.find_source(event.source_id)
            await tx.audit.record(actor=actor, action="dead_letter.redrive", subject=dead_letter_id, origin=None)
        return await self._work(tenant_id, event, source)

    async def redrive_source(self, tenant_id: str, slug_or_id: str, *, actor: str) -> Redriven:
        """Reads open dead letters of a source again, at most MAX_REDRIVEN of them."""
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.find_source(slug_or_id)
            found = await tx.dead_letters.list(open_only=True, page=Page(limit=MAX_REDRIVEN + 1), source_id=source.id)
        states = []
        for letter in found[:MAX_REDRIVEN]:
            try:
                states.append((await self.redrive(tenant_id, letter.id, actor=actor)).event.state)
            except Conflict:
                continue  # somebody else is at it
        received = states.count(EventState.RECEIVED)
        return Redriven(received, len(states) - received, max(0, len(found) - len(states)))

    async def _repeated(self, tenant_id: str, event: SourceEvent, source: Source) -> EventReceipt:
        """An event that is here already. One that could not be read is read again if the source was changed since."""
        letter = None
        async with self._database.tenant_tx(tenant_id) as tx:
            if event.state is EventState.DEAD_LETTERED:
                letter = await tx.dead_letters.of_event(event.id)
            mended = event.finished_at is None or source.updated_at is None or source.updated_at > event.finished_at
            again = event.state is EventState.DEAD_LETTERED and mended
            claimed = None
            if event.state is not EventState.RECEIVED:
                claimed = await tx.events.claim(event.id, self._claim_seconds, again=again)
        if claimed is None:
            return EventReceipt(event, repeated=True, dead_letter_id=letter.id if letter else None)
        receipt = await self._work(tenant_id, claimed, source)
        return EventReceipt(receipt.event, True, receipt.dead_letter_id)

    async def _work(
        self, tenant_id: str, event: SourceEvent, source: Source, body: bytes | None = None
    ) -> EventReceipt:
        """Reads and receives an event this process has claimed; leaves it accepted when a part is away."""
        try:
            outcomes, errors = await self._received(tenant_id, event, source, body)
        except (Unavailable, ChangedMeanwhile) as error:
            _log.warning("event %s waits: %s", event.id, error.code)
            return EventReceipt(await self._later(tenant_id, event))
        except (ContentMissing, ContentDamaged) as error:
            outcomes, errors = (), [(1, InvalidInput.of("body", error.message), error.code)]
        except Exception as error:
            _log.error("event %s failed: %s", event.id, where(error))
            code = error.code if isinstance(error, ParleyError) else "internal"
            outcomes, errors = (), [(1, InvalidInput.of("body", f"a defect here ({type(error).__name__})"), code)]
        try:
            return await self._finish(tenant_id, event, outcomes, errors)
        except Unavailable:
            return EventReceipt(event)  # its claim runs out, and it is read again: that changes nothing

    async def _received(
        self, tenant_id: str, event: SourceEvent, source: Source, body: bytes | None
    ) -> tuple[tuple[ItemOutcome, ...], list[tuple[int, InvalidInput | Conflict, str]]]:
        if event.attempts > MAX_ATTEMPTS:
            error = InvalidInput.of("body", f"was begun {MAX_ATTEMPTS} times and never read to its end")
            return (), [(1, error, "gave_up")]
        if body is None:
            body = await self._content.get(tenant_id, event.content_key)
        items = await self._read.read(source, body, event.media_type, event.received_at)
        placed = [(item.position, arrival) for item in items for arrival in item.arrivals]
        answers = await self._receive.receive(
            tenant_id, [arrival for _, arrival in placed], lane=Lane.LIVE, received_at=event.received_at
        )
        positions = [position for position, _ in placed]
        return _outcomes(items, positions, answers), _errors(items, positions, answers)

    async def _later(self, tenant_id: str, event: SourceEvent) -> SourceEvent:
        try:
            async with self._database.tenant_tx(tenant_id) as tx:
                await tx.events.release(event.id, AGAIN_SECONDS)
        except Unavailable:
            pass  # the claim runs out by itself
        return event

    async def _finish(
        self,
        tenant_id: str,
        event: SourceEvent,
        outcomes: Sequence[ItemOutcome],
        errors: Sequence[tuple[int, InvalidInput | Conflict, str]],
    ) -> EventReceipt:
        done = event.model_copy(
            update={
                "state": EventState.DEAD_LETTERED if errors else EventState.RECEIVED,
                "finished_at": self._clock(),
                "error_type": errors[0][2] if errors else None,
                "error": "; ".join(_words(position, error) for position, error, _ in errors)[:500] or None,
                "outcomes": tuple(outcomes) or tuple(_failed(position, error) for position, error, _ in errors),
            }
        )
        async with self._database.tenant_tx(tenant_id) as tx:
            await tx.events.finish(done)
            letter = await self._letter(tx, done)
        return EventReceipt(done, dead_letter_id=letter)

    async def _letter(self, tx: TenantTx, event: SourceEvent) -> str | None:
        """The open dead letter of an event that could not be read; that of one that now could is closed."""
        if event.state is EventState.RECEIVED:
            open_one = await tx.dead_letters.of_event(event.id)
            if open_one is not None:
                await tx.dead_letters.redriven(open_one.id, None)
            return None
        now = self._clock()
        return await tx.dead_letters.put(
            DeadLetter(
                id=new_id(),
                conversation_id=None,
                revision=None,
                entry=None,
                event_id=event.id,
                stage=Stage.INGEST,
                error_type=event.error_type or "",
                detail=event.error or "",
                attempts=event.attempts,
                first_at=now,
                last_at=now,
            )
        )

    def _new(self, tenant_id: str, source: Source, body: bytes, media_type: str) -> SourceEvent:
        now = self._clock()
        dedupe = event_digest(source, body)
        event_id = derived_id("event", tenant_id, source.id, dedupe.hex())
        return SourceEvent(
            id=event_id,
            source_id=source.id,
            dedupe=dedupe,
            content_key=content_keys.event(tenant_id, source.id, event_id, new_id()),
            media_type=media_type[:200],
            size=len(body),
            state=EventState.ACCEPTED,
            attempts=1,
            received_at=now,
            claimed_until=now + timedelta(seconds=self._claim_seconds),
        )


def _outcomes(
    items: Sequence[ReadItem], positions: Sequence[int], answers: Sequence[Received]
) -> tuple[ItemOutcome, ...]:
    """In the order of the items; what the mapping passed over is not among them."""
    found = [_failed(item.position, item.error) for item in items if item.error is not None]
    for position, answer in zip(positions, answers, strict=True):
        if answer.acceptance is None:
            assert answer.error is not None
            found.append(_failed(position, answer.error))
            continue
        conversation = answer.acceptance.conversation
        found.append(
            ItemOutcome(
                position=position,
                conversation_id=conversation.id,
                revision=conversation.revision,
                outcome=answer.acceptance.outcome.value,
            )
        )
    return tuple(sorted(found, key=lambda outcome: outcome.position))


def _errors(
    items: Sequence[ReadItem], positions: Sequence[int], answers: Sequence[Received]
) -> list[tuple[int, InvalidInput | Conflict, str]]:
    errors: list[tuple[int, InvalidInput | Conflict]]
    errors = [(item.position, item.error) for item in items if item.error is not None]
    errors += [(p, answer.error) for p, answer in zip(positions, answers, strict=True) if answer.error is not None]
    return [(position, error, error.code) for position, error in sorted(errors, key=lambda found: found[0])]


def _failed(position: int, error: InvalidInput | Conflict) -> ItemOutcome:
    named = error.problems if isinstance(error, InvalidInput) else ()
    problems = tuple((problem.field, problem.reason) for problem in named[:_MAX_PROBLEMS])
    return ItemOutcome(position=position, problems=problems or (("body", error.message),))


def _words(position: int, error: InvalidInput | Conflict) -> str:
    return f"item {position}: {error.message}"
