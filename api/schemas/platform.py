"""Partners, tenants and keys, and who a key is."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.schemas.common import Out
from domain.fields import Owner
from domain.ids import TenantIdStr
from services.authenticate import Scope
from services.platform_status import PlatformStatus


class PartnerOut(Out):
    id: str
    slug: str
    name: str


class PartnerListOut(Out):
    items: list[PartnerOut]


class TenantOut(Out):
    id: str
    slug: str
    name: str
    cell: str
    time_zone: str
    languages: list[str]
    partner_id: str | None
    state: str
    external_languages: list[str]
    allowed_engines: list[str] | None
    allowed_regions: list[str] | None
    language_model: str | None
    transcription: str | None


class TenantListOut(Out):
    items: list[TenantOut]


class ApiKeyIn(BaseModel):
    """A key of a tenant, of a partner, or (neither named) of the platform."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    scopes: list[Scope] = Field(min_length=1, max_length=8)
    tenant_id: TenantIdStr | None = None
    partner_id: TenantIdStr | None = None
    expires_at: AwareDatetime | None = None


class ApiKeyOut(Out):
    """`key` is shown this once; only its hash is stored."""

    id: str
    key: str
    name: str
    scopes: list[Scope]
    tenant_id: str | None
    partner_id: str | None
    expires_at: datetime | None


class MeOut(Out):
    """The key that asks. tenant_id: the tenant it belongs to, null for keys of a partner or of the platform."""

    key_id: str
    name: str
    level: Owner
    scopes: list[Scope]
    tenant_id: str | None
    partner_id: str | None


class WaitingOut(Out):
    """Something that waits: how much, and how long the oldest of it has, in seconds."""

    number: int
    age_seconds: float


class TenantBacklogOut(WaitingOut):
    tenant_id: str


class QueueOut(Out):
    """A task queue: what waits in it, and how many workers ask for its tasks."""

    task_queue: str
    backlog: int
    backlog_age_seconds: float
    workflow_pollers: int
    activity_pollers: int


class StoredStatusOut(Out):
    """search, events: changes others have to hear of. due: runs that should have been started by now. dead_letters:
    open ones by stage; parked: conversations by reason; backlog: accepted, and no run has begun yet; tenants: of those
    with the oldest backlog."""

    search: WaitingOut
    events: WaitingOut
    due: WaitingOut
    dead_letters: dict[str, int]
    parked: dict[str, int]
    backlog: WaitingOut
    tenants: list[TenantBacklogOut]


class PlatformStatusOut(Out):
    stored: StoredStatusOut | None
    queues: list[QueueOut] | None

    @classmethod
    def of(cls, status: PlatformStatus) -> "PlatformStatusOut":
        return cls.model_validate(status.model_dump())
