"""Fields and tasks as a tenant sees them."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.schemas.common import Out
from domain.conversation import Channel, Role
from domain.fields import Aggregate, CustomField, FieldType, Option, Owner, Threshold
from domain.tasks import LongInput, TaskListing, TaskSpec, TaskVersion


class CustomFieldOut(Out):
    id: str
    key: str
    type: FieldType
    label: str
    description: str
    owner: Owner
    options: list[Option]
    minimum: float | None
    maximum: float | None
    max_length: int
    thresholds: list[Threshold]
    display_group: str | None
    editable: bool
    sensitive: bool
    aggregate: Aggregate | None

    @classmethod
    def of(cls, field: CustomField) -> "CustomFieldOut":
        return cls.model_validate({name: getattr(field, name) for name in cls.model_fields})


class FieldCatalogueOut(Out):
    items: list[CustomFieldOut]


class TaskVersionOut(Out):
    id: str
    author: str
    reason: str
    created_at: datetime
    purpose: str
    fields: list[str]
    channels: list[Channel]
    filter: str | None
    sample: float
    engine: str | None
    evidence_role: Role | None
    fuse: bool = Field(description="Whether it may be answered together with other tasks in one call.")
    long_input: LongInput
    long_from_tokens: int | None = Field(description="From how many tokens on a conversation is long for it.")

    @classmethod
    def of(cls, version: TaskVersion) -> "TaskVersionOut":
        spec = version.spec
        return cls(
            id=version.id,
            author=version.author,
            reason=version.reason,
            created_at=version.created_at,
            purpose=spec.purpose,
            fields=list(spec.field_keys),
            channels=list(spec.channels),
            filter=spec.filter,
            sample=spec.sample,
            engine=spec.engine,
            evidence_role=spec.evidence_role,
            fuse=spec.fuse,
            long_input=spec.long_input,
            long_from_tokens=spec.long_from_tokens,
        )


class TaskOut(Out):
    """newest: the newest published version; active: the one that runs for this tenant, null when it is off."""

    id: str
    slug: str
    label: str
    owner: Owner
    newest: TaskVersionOut | None
    active: TaskVersionOut | None
    overridden: bool

    @classmethod
    def of(cls, listing: TaskListing) -> "TaskOut":
        return cls(
            id=listing.task.id,
            slug=listing.task.slug,
            label=listing.task.label,
            owner=listing.task.owner,
            newest=TaskVersionOut.of(listing.newest) if listing.newest else None,
            active=TaskVersionOut.of(listing.active) if listing.active else None,
            overridden=listing.overridden,
        )


class TaskCatalogueOut(Out):
    items: list[TaskOut]


class ActivationIn(BaseModel):
    """version: the newest published one unless named. override: the whole spec as this tenant wants it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    override: TaskSpec | None = None
