"""Small valid domain objects for unit tests; every argument can be replaced."""

from datetime import UTC, datetime
from typing import Any

from domain.contracts import RunRef
from domain.conversation import Channel, Conversation, Role, Status
from domain.engine import EngineConfig, EngineFamily
from domain.fields import CustomField, FieldType, Option, Owner
from domain.ids import derived_id
from domain.tasks import AITask, EffectiveTask, TaskSpec
from domain.turns import Turn
from storage.protocols import Rendition, Tenant

TENANT = "0" * 31 + "1"
CONVERSATION = derived_id("test", "conversation")
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def turns(*said: tuple[Role, str]) -> tuple[Turn, ...]:
    return tuple(
        Turn(number=n, role=role, participant_id=role.value, text=text) for n, (role, text) in enumerate(said, start=1)
    )


TALK = turns(
    (Role.AGENT, "Good morning, how can I help you today?"),
    (Role.CUSTOMER, "My router drops the connection every evening and I am fed up with it."),
    (Role.AGENT, "I will send a technician on Friday."),
    (Role.CUSTOMER, "Fine, but this is the third visit. I would give you two out of five."),
)


def run_ref(**changes: Any) -> RunRef:
    return RunRef(**{"tenant_id": TENANT, "conversation_id": CONVERSATION, "revision": 1, "entry": 1} | changes)


def tenant(**changes: Any) -> Tenant:
    base = {
        "id": TENANT,
        "slug": "acme",
        "name": "Acme",
        "cell": "main",
        "time_zone": "Europe/London",
        "languages": ("en",),
        "partner_id": None,
        "state": "active",
    }
    return Tenant(**base | changes)


def conversation(**changes: Any) -> Conversation:
    base = {
        "tenant_id": TENANT,
        "id": CONVERSATION,
        "source": "api",
        "external_id": "chat-1",
        "channel": Channel.CHAT,
        "revision": 1,
        "status": Status.PROCESSING,
        "started_at": NOON,
        "received_at": NOON,
        "metadata": {"plan": "gold"},
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Conversation(**base | changes)


def rendition(**changes: Any) -> Rendition:
    base = {
        "conversation_id": CONVERSATION,
        "revision": 1,
        "turns": TALK,
        "content_hash": "0" * 64,
        "redactor": "test-1",
        "detectors": ("patterns", "names:en"),
        "names_detected": True,
        "language": "en",
        "sealed_key": "sealed",
    }
    return Rendition(**base | changes)


CSAT = CustomField(
    id=derived_id("test", "csat"),
    key="csat",
    type=FieldType.INTEGER,
    label="CSAT",
    owner=Owner.OPERATOR,
    minimum=1,
    maximum=5,
)

MOOD = CustomField(
    id=derived_id("test", "mood"),
    key="mood",
    type=FieldType.CHOICE,
    label="Mood",
    options=(Option(id="good", label="Good"), Option(id="bad", label="Bad")),
)


def engine(**changes: Any) -> EngineConfig:
    base = {
        "id": derived_id("test", "engine"),
        "name": "offline",
        "family": EngineFamily.LANGUAGE_MODEL,
        "kind": "offline",
        "model": "offline-1",
    }
    return EngineConfig(**base | changes)


def task(
    spec: dict[str, Any] | None = None, fields: tuple[CustomField, ...] = (CSAT,), slug: str = "csat"
) -> EffectiveTask:
    base: dict[str, Any] = {
        "purpose": "How satisfied is the customer?",
        "prompt": "Rate {{ fields[0].label }} of this {{ conversation.channel }}.",
        "field_keys": tuple(f.key for f in fields),
        "evidence_role": Role.CUSTOMER,
    }
    made = TaskSpec(**base | (spec or {}))
    return EffectiveTask(
        task=AITask(id=derived_id("test", "task", slug), slug=slug, label=slug, owner=Owner.OPERATOR),
        version_id=made.version_id(),
        spec=made,
        fields=fields,
        engine=made.engine or "offline",
    )
