"""Looking at a conversation: list, overview, words, values, and what was done to get them.

Everything here is the redacted rendition, except `original`, and that is written down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.conversation import Channel, Conversation, Leg, Status
from domain.engine import EngineCall
from domain.errors import NotFound
from domain.fields import CustomField
from domain.ledger import RunState, TaskRun
from domain.transcript import SealedRendition
from domain.values import FieldValue, Layer
from storage.protocols import (
    ContentStore,
    ConversationFilter,
    Database,
    Page,
    Recording,
    Rendition,
    RunEntry,
    TenantTx,
    TranscriptRecord,
)


@dataclass(frozen=True)
class ConversationList:
    """One page, newest first. `next_after` is where the next page begins, None on the last."""

    items: tuple[Conversation, ...]
    next_after: tuple[datetime, str] | None


@dataclass(frozen=True)
class Overview:
    """A conversation with what became of it. `values` are effective ones; `fields` by id; entry: the newest run."""

    conversation: Conversation
    entry: RunEntry | None
    skipped: tuple[TaskRun, ...]
    values: tuple[FieldValue, ...]
    fields: Mapping[str, CustomField]
    legs: tuple[Leg, ...]


@dataclass(frozen=True)
class Words:
    """The redacted turns of one revision; of a call also how they came about."""

    conversation: Conversation
    rendition: Rendition
    transcript: TranscriptRecord | None
    recording: Recording | None


@dataclass(frozen=True)
class ValuesByLayer:
    """All current values, effective ones first named, then each layer's own.

    fields: by id. hashes: of the redacted turns, by the revision a value was made from.
    """

    conversation: Conversation
    effective: tuple[FieldValue, ...]
    layers: tuple[FieldValue, ...]
    fields: Mapping[str, CustomField]
    hashes: Mapping[int, str]


@dataclass(frozen=True)
class Executions:
    """What was done for one revision: runs, the ledger, every engine call of the conversation."""

    conversation: Conversation
    revision: int
    entries: tuple[RunEntry, ...]
    task_runs: tuple[TaskRun, ...]
    calls: tuple[EngineCall, ...]


class ReadConversation:
    """Needs the database and, for originals, the content store. Every method raises NotFound and Unavailable."""

    def __init__(self, database: Database, content: ContentStore) -> None:
        self._database = database
        self._content = content

    async def list(
        self,
        tenant_id: str,
        *,
        limit: int,
        after: tuple[datetime, str] | None = None,
        channel: Channel | None = None,
        status: Status | None = None,
        source: str | None = None,
        started_from: datetime | None = None,
        started_to: datetime | None = None,
    ) -> ConversationList:
        """Newest first. started_to is not part of the range."""
        where = ConversationFilter(
            channel=channel, status=status, source=source, started_from=started_from, started_to=started_to
        )
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await tx.conversations.list(where, Page(limit=limit + 1, after=after))
        items = tuple(found[:limit])
        more = len(found) > limit
        return ConversationList(items, (items[-1].started_at, items[-1].id) if more else None)

    async def get(self, tenant_id: str, conversation_id: str) -> Conversation:
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.conversations.get(conversation_id)

    async def overview(self, tenant_id: str, conversation_id: str, *, sensitive: bool = False) -> Overview:
        """`sensitive`: whether values of sensitive fields may be seen."""
        async with self._database.tenant_tx(tenant_id) as tx:
            conversation = await tx.conversations.get(conversation_id)
            runs = await tx.ledger.of_conversation(conversation_id, conversation.revision)
            entries = await tx.runs.list(conversation_id)
            fields = await _fields(tx)
            values = await tx.values.current(conversation_id, Layer.EFFECTIVE)
            legs = await tx.legs.of(conversation_id)
        newest = latest_runs(runs)
        return Overview(
            conversation=conversation,
            entry=entries[-1] if entries else None,
            skipped=tuple(run for run in newest if run.state is RunState.SKIPPED),
            values=_visible(values, fields, sensitive=sensitive),
            fields=fields,
            legs=tuple(legs),
        )

    async def words(self, tenant_id: str, conversation_id: str, revision: int | None = None) -> Words:
        """The turns of a revision, the current one unless named. NotFound also when they are not there yet."""
        async with self._database.tenant_tx(tenant_id) as tx:
            conversation = await tx.conversations.get(conversation_id)
            wanted = revision or conversation.revision
            rendition = await tx.renditions.find(conversation_id, wanted)
            transcript = await tx.renditions.transcript(conversation_id, wanted)
            recording = await tx.renditions.recording(conversation_id, wanted)
        if rendition is None:
            raise NotFound(_no_words(conversation, wanted))
        return Words(conversation, rendition, transcript, recording)

    async def original(self, tenant_id: str, words: Words, *, actor: str, origin: str | None) -> SealedRendition:
        """The unmasked rendition. The look is on the audit trail before anything is opened.

        Raises ContentMissing when it is gone, ContentDamaged.
        """
        rendition = words.rendition
        async with self._database.tenant_tx(tenant_id) as tx:
            await tx.audit.record(
                actor=actor,
                action="conversation.original.read",
                subject=rendition.conversation_id,
                origin=origin,
                after={"revision": rendition.revision},
            )
        body = await self._content.get(tenant_id, rendition.sealed_key)
        return SealedRendition.model_validate_json(body)

    async def values(self, tenant_id: str, conversation_id: str, *, sensitive: bool = False) -> ValuesByLayer:
        async with self._database.tenant_tx(tenant_id) as tx:
            conversation = await tx.conversations.get(conversation_id)
            fields = await _fields(tx)
            effective = await tx.values.current(conversation_id, Layer.EFFECTIVE)
            layers = await tx.values.current(conversation_id)
            hashes = {}
            for revision in {value.revision for value in layers}:
                rendition = await tx.renditions.find(conversation_id, revision)
                if rendition is not None:
                    hashes[revision] = rendition.content_hash
        return ValuesByLayer(
            conversation,
            _visible(effective, fields, sensitive=sensitive),
            _visible(layers, fields, sensitive=sensitive),
            fields,
            hashes,
        )

    async def values_of(
        self, tenant_id: str, conversation_ids: Sequence[str], *, sensitive: bool = False
    ) -> tuple[Mapping[str, tuple[FieldValue, ...]], Mapping[str, CustomField]]:
        """Effective values by conversation, and the fields by id: for the rows of a list."""
        async with self._database.tenant_tx(tenant_id) as tx:
            fields = await _fields(tx)
            found = _visible(await tx.values.effective(conversation_ids), fields, sensitive=sensitive)
        return {id_: tuple(v for v in found if v.conversation_id == id_) for id_ in conversation_ids}, fields

    async def executions(self, tenant_id: str, conversation_id: str, revision: int | None = None) -> Executions:
        async with self._database.tenant_tx(tenant_id) as tx:
            conversation = await tx.conversations.get(conversation_id)
            wanted = revision or conversation.revision
            entries = await tx.runs.list(conversation_id)
            task_runs = await tx.ledger.of_conversation(conversation_id, wanted)
            calls = await tx.ledger.calls_of(conversation_id)
        if wanted > conversation.revision:
            raise NotFound(f"there is no revision {wanted}")
        return Executions(
            conversation,
            wanted,
            tuple(entry for entry in entries if entry.run.revision == wanted),
            tuple(task_runs),
            tuple(calls),
        )


def latest_runs(runs: Sequence[TaskRun]) -> tuple[TaskRun, ...]:
    """The newest run of each task, in the order of the tasks' slugs."""
    newest: dict[str, TaskRun] = {}
    for run in runs:
        known = newest.get(run.task_id)
        if known is None or run.entry >= known.entry:
            newest[run.task_id] = run
    return tuple(sorted(newest.values(), key=lambda run: run.task_slug))


async def _fields(tx: TenantTx) -> dict[str, CustomField]:
    return {field.id: field for field in await tx.catalog.fields()}


def _visible(
    values: Sequence[FieldValue], fields: Mapping[str, CustomField], *, sensitive: bool
) -> tuple[FieldValue, ...]:
    """A value of a field that is no longer seen here counts as sensitive: its definition cannot say otherwise."""
    return tuple(v for v in values if sensitive or (v.field_id in fields and not fields[v.field_id].sensitive))


def _no_words(conversation: Conversation, revision: int) -> str:
    if revision > conversation.revision:
        return f"there is no revision {revision}"
    return f"revision {revision} has no turns yet: its status is {conversation.status.value}, explain says why"
