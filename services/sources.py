"""Sources: made, changed and tried out. Every change is on the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.arrivals import Arrival
from domain.clock import Clock, utc_now
from domain.errors import Conflict, FieldProblem, InvalidInput
from domain.ids import new_id
from domain.mapping import Format, SourceMapping
from domain.sources import KEYED, NewSource, SourceChange, SourceHealth
from domain.times import StampContext
from services.event_keys import check_expression
from services.new_conversation import new_conversation, require_channel
from services.read_events import ReadEvents, ReadItem
from services.readers import Readers, with_channel
from storage.protocols import Database, Source

_MAPPED = (Format.JSON, Format.TABLE, Format.RECORDING)
_SETTINGS = ("name", "format", "mapping", "preset", "channel", "time_zone", "settle_minutes", "dedupe_key")


@dataclass(frozen=True)
class SeenSource:
    """A source and how it fares."""

    source: Source
    health: SourceHealth


class Sources:
    """Needs the database, the readers of formats, and what reads events."""

    def __init__(self, database: Database, readers: Readers, events: ReadEvents, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._readers = readers
        self._events = events
        self._clock = clock

    async def list(self, tenant_id: str) -> Sequence[SeenSource]:
        """In the order of their slugs."""
        async with self._database.tenant_tx(tenant_id) as tx:
            sources = await tx.catalog.sources()
            health = {seen.source_id: seen for seen in await tx.events.health()}
        return [SeenSource(s, health.get(s.id, SourceHealth(source_id=s.id))) for s in sources]

    async def get(self, tenant_id: str, slug_or_id: str) -> SeenSource:
        """Raises NotFound."""
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.find_source(slug_or_id)
            [health] = await tx.events.health(source.id)
        return SeenSource(source, health)

    async def create(self, tenant_id: str, new: NewSource, *, actor: str, origin: str | None) -> SeenSource:
        """Raises Conflict when there is one with the slug, InvalidInput."""
        wanted = Source(id=new_id(), **{name: getattr(new, name) for name in ("slug", *_SETTINGS)})
        if new.preset is not None and "format" not in new.model_fields_set:
            wanted = wanted.model_copy(update={"format": self._readers.preset(new.preset)[0]})
        self._check(wanted)
        async with self._database.tenant_tx(tenant_id) as tx:
            if any(source.slug == new.slug for source in await tx.catalog.sources()):
                raise Conflict(f"there is a source {new.slug} already: change it instead")
            made = await tx.catalog.put_source(wanted)
            if made.id != wanted.id:
                raise Conflict(f"somebody else has made the source {new.slug} at the same moment")
            await tx.audit.record(
                actor=actor, action="source.create", subject=made.id, origin=origin, after=_settings(made)
            )
        return await self.get(tenant_id, made.id)

    async def change(
        self, tenant_id: str, slug_or_id: str, change: SourceChange, *, actor: str, origin: str | None
    ) -> SeenSource:
        """In force for what comes from now on. Raises NotFound, InvalidInput."""
        async with self._database.tenant_tx(tenant_id) as tx:
            before = await tx.catalog.find_source(slug_or_id, lock=True)
            given = change.given
            if change.preset is not None:
                given.setdefault("format", self._readers.preset(change.preset)[0])
            wanted = before.model_copy(update=given)
            self._check(wanted)
            after = await tx.catalog.put_source(wanted)
            old, now = _settings(before), _settings(after)
            changed = [name for name in _SETTINGS if old[name] != now[name]]
            await tx.audit.record(
                actor=actor,
                action="source.change",
                subject=after.id,
                origin=origin,
                before={name: old[name] for name in changed},
                after={name: now[name] for name in changed},
            )
        return await self.get(tenant_id, after.id)

    async def test(self, tenant_id: str, slug_or_id: str, body: bytes, media_type: str) -> Sequence[ReadItem]:
        """What would be made of a body, and what is wrong with it. Nothing is stored. Raises NotFound."""
        async with self._database.tenant_tx(tenant_id) as tx:
            source = await tx.catalog.find_source(slug_or_id)
            zone = tx.tenant.time_zone
        context = StampContext(self._clock(), source.time_zone, zone)
        read = await self._events.read(source, body, media_type, context.received_at)
        return [_checked(tenant_id, item, source, context) for item in read]

    def _check(self, source: Source) -> None:
        """Raises InvalidInput naming the setting."""
        if source.mapping is not None and source.preset is not None:
            raise InvalidInput.of("preset", "give a mapping or the name of a preset, not both")
        if source.preset is not None:
            form, _ = self._readers.preset(source.preset)
            if form is not source.format:
                raise InvalidInput.of("preset", f"is for the format {form.value}")
        elif source.mapping is None and source.format in _MAPPED:
            raise InvalidInput.of("mapping", f"the format {source.format.value} needs one, or a preset")
        elif source.mapping is not None:
            if source.format is Format.CANONICAL:
                raise InvalidInput.of("mapping", "the canonical form needs none: choose the format the sender has")
            self._check_mapping(source.mapping, source)
        if source.dedupe_key is not None:
            if source.format not in KEYED:
                raise InvalidInput.of("dedupe_key", f"cannot look into the format {source.format.value}")
            check_expression(source.dedupe_key, "dedupe_key")

    def _check_mapping(self, mapping: SourceMapping, source: Source) -> None:
        try:
            self._readers.check(with_channel(mapping, source), source.format)
        except InvalidInput as error:
            problems = tuple(FieldProblem(f"mapping.{p.field}", p.reason) for p in error.problems)
            raise InvalidInput(error.message, problems) from None


def _checked(tenant_id: str, item: ReadItem, source: Source, context: StampContext) -> ReadItem:
    """With what acceptance would refuse: another channel, stamps that are none."""
    for arrival in item.arrivals:
        try:
            _require_acceptable(tenant_id, arrival, source, context)
        except InvalidInput as error:
            return ReadItem(item.position, item.arrivals, error)
    return item


def _require_acceptable(tenant_id: str, arrival: Arrival, source: Source, context: StampContext) -> None:
    require_channel(source, arrival.conversation)
    uploads = {audio.id: "" for audio in arrival.conversation.audio or () if audio.id is not None}
    new_conversation(tenant_id, arrival.conversation, "", context, uploads, closes_at_once=True)


def _settings(source: Source) -> dict[str, object]:
    whole = source.model_dump(mode="json")
    return {name: whole[name] for name in _SETTINGS}
