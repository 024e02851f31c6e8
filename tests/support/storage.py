"""Tenants, fields, tasks and conversations in a real database, as tests need them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from domain.contracts import RunRef
from domain.conversation import Channel, Conversation, Lane, Participant, Role, Stage
from domain.fields import CustomField, FieldType, Option, Owner
from domain.ids import new_id
from domain.intake import ConversationIn, MessageIn
from domain.ledger import RunState, TaskRun
from domain.tasks import AITask, TaskSpec, TaskVersion, VersionState
from domain.tenants import Limit, NewTenant, Retention, TenantLimits
from domain.turns import Turn
from domain.values import EvidenceState, FieldValue, Quote, ValueKind
from storage.postgres.database import PostgresDatabase, PostgresTenantTx
from storage.postgres.provisioning import Provisioning
from storage.protocols import NewConversation, Rendition, Tenant

START = datetime(2025, 3, 1, 9, 0, tzinfo=UTC)

_numbers = count(1)


def limits(stop_at: float = 1_000_000) -> TenantLimits:
    one = Limit(warn_at=stop_at * 0.8, stop_at=stop_at)
    return TenantLimits(conversations=one, audio_minutes=one, requests=one, tokens=one, cost_usd=one)


async def make_tenant(owner_url: str, slug: str | None = None, **changes: Any) -> Tenant:
    """A tenant of its own; without a partner unless `partner_id` is given."""
    slug = slug or f"tenant-{next(_numbers)}"
    wanted: dict[str, Any] = {
        "slug": slug,
        "name": slug.title(),
        "limits": limits(),
        "retention": Retention(audio_days=30, text_days=90, insight_days=365),
        "time_zone": "Europe/Berlin",
        "languages": ("en",),
        **changes,
    }
    async with Provisioning.connect(owner_url) as provisioning:
        return await provisioning.create_tenant(NewTenant(**wanted))


def new_conversation(external_id: str | None = None, **changes: Any) -> NewConversation:
    """A chat's acceptance; changes named for the intake go there, the others to the acceptance."""
    number = next(_numbers)
    intake: dict[str, Any] = {
        "external_id": external_id or f"external-{number}",
        "channel": Channel.CHAT,
        "source": "api",
        "participants": (Participant(id="c", role=Role.CUSTOMER), Participant(id="a", role=Role.AGENT)),
        "messages": (MessageIn(author="c", text="hello"),),
    }
    acceptance: dict[str, Any] = {
        "id": new_id(),
        "content_key": f"key-{number}",
        "content_hash": f"hash-{number}",
        "started_at": START + timedelta(minutes=number),
        "started_offset_minutes": 60,
        "ended_at": None,
        "notes": (),
        "closed": True,
    }
    for name, value in changes.items():
        (intake if name in ConversationIn.model_fields and name not in acceptance else acceptance)[name] = value
    whole = ConversationIn(**intake)
    return NewConversation(intake=whole.model_copy(update={"messages": None, "audio": None}), **acceptance)


async def accept(database: PostgresDatabase, tenant_id: str, new: NewConversation | None = None) -> Conversation:
    async with database.tenant_tx(tenant_id) as tx:
        return await accept_in(tx, new)


async def accept_in(tx: PostgresTenantTx, new: NewConversation | None = None) -> Conversation:
    new = new or new_conversation()
    await tx.catalog.source(new.intake.source)
    return (await tx.conversations.accept(new)).conversation


async def enter(tx: PostgresTenantTx, conversation: Conversation, **changes: Any) -> RunRef:
    wanted: dict[str, Any] = {
        "enter_at": Stage.INGEST,
        "lane": Lane.LIVE,
        "channel": conversation.channel,
        "reason": "created",
        **changes,
    }
    return (await tx.runs.enter(conversation.id, conversation.revision, **wanted)).run


def field(key: str, type_: FieldType = FieldType.INTEGER, **changes: Any) -> CustomField:
    chooses = type_ in (FieldType.CHOICE, FieldType.MULTI_CHOICE)
    options = tuple(Option(id=name, label=name) for name in ("red", "green", "blue")) if chooses else ()
    return CustomField(**{"id": new_id(), "key": key, "type": type_, "label": key, "options": options, **changes})


def task(slug: str, owner: Owner = Owner.TENANT) -> AITask:
    return AITask(id=new_id(), slug=slug, label=slug, owner=owner)


def version(of: AITask, field_keys: Sequence[str], **changes: Any) -> TaskVersion:
    spec = TaskSpec(**{"purpose": of.slug, "prompt": "Read {{ turns }}.", "field_keys": tuple(field_keys), **changes})
    return TaskVersion(
        id=spec.version_id(),
        task_id=of.id,
        spec=spec,
        state=VersionState.PUBLISHED,
        author="test",
        reason="test",
        created_at=START,
    )


def value(tenant: Tenant, conversation: Conversation, of: CustomField, content: Any, **changes: Any) -> FieldValue:
    """A known value with a quote, or an unknown one when `content` is None."""
    known = content is not None
    quote = Quote(turn=1, quote="hello", start=0, end=5, role=Role.CUSTOMER)
    wanted: dict[str, Any] = {
        "id": new_id(),
        "tenant_id": tenant.id,
        "conversation_id": conversation.id,
        "revision": conversation.revision,
        "subject_id": conversation.id,
        "field_id": of.id,
        "field_key": of.key,
        "kind": ValueKind.STATED if known else ValueKind.UNKNOWN,
        "value": content,
        "evidence": (quote,) if known else (),
        "evidence_state": EvidenceState.VERIFIED if known else EvidenceState.NONE,
        "created_at": START,
        **changes,
    }
    return FieldValue(**wanted)


def task_run(run: RunRef, **changes: Any) -> TaskRun:
    wanted: dict[str, Any] = {
        "id": new_id(),
        "conversation_id": run.conversation_id,
        "revision": run.revision,
        "entry": run.entry,
        "task_id": new_id(),
        "task_slug": "summary",
        "task_version": "v",
        "input_hash": "hash",
        "state": RunState.PLANNED,
        **changes,
    }
    return TaskRun(**wanted)


def rendition(conversation: Conversation, **changes: Any) -> Rendition:
    turns = (
        Turn(number=1, role=Role.CUSTOMER, participant_id="c", text="hello 👋 مرحبا", at=START),
        Turn(number=2, role=Role.AGENT, participant_id="a", text="hi [name]", at=START),
    )
    wanted: dict[str, Any] = {
        "conversation_id": conversation.id,
        "revision": conversation.revision,
        "turns": turns,
        "content_hash": "turns",
        "redactor": "redactor 1",
        "detectors": ("patterns", "names:en"),
        "names_detected": True,
        "language": "en",
        "sealed_key": "sealed",
        **changes,
    }
    return Rendition(**wanted)
