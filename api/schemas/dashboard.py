"""The dashboard as programs read it."""

from datetime import date

from pydantic import Field

from api.schemas.common import Out
from domain.conversation import Channel, Status
from domain.fields import Aggregate, FieldType
from domain.rollups import Dimension, Step
from services.dashboard import Dashboard

_WHERE = "The filter that lists these conversations; null where none does."


class StatusCountOut(Out):
    status: Status
    count: int
    where: str | None = Field(description=_WHERE)


class ChannelCountOut(Out):
    channel: Channel
    count: int
    where: str | None = Field(description=_WHERE)
    statuses: list[StatusCountOut]


class ConversationPointOut(Out):
    first: date
    last: date
    count: int


class ConversationsOut(Out):
    """Conversations that began in the period."""

    count: int
    where: str | None = Field(description=_WHERE)
    channels: list[ChannelCountOut]
    statuses: list[StatusCountOut]
    trend: list[ConversationPointOut]


class PartOut(Out):
    """A bucket of a number (by its thresholds, else value by value) or an option. share: of the known values, 0..1."""

    id: str
    label: str
    colour: str | None
    count: int
    share: float
    where: str | None = Field(description=_WHERE)


class FieldPointOut(Out):
    """One step of the trend, from first to last; counts by the ids of the parts."""

    first: date
    last: date
    known: int
    unknown: int
    average: float | None
    counts: dict[str, int]


class FieldPanelOut(Out):
    """One Custom Field: effective values, a person's before a model's. bucket: the part the average is in."""

    key: str
    label: str
    description: str
    group: str | None
    type: FieldType
    shows: Aggregate
    known: int
    unknown: int
    average: float | None
    bucket: str | None
    minimum: float | None
    maximum: float | None
    parts: list[PartOut]
    trend: list[FieldPointOut]
    where_known: str | None = Field(description=_WHERE)
    where_unknown: str | None = Field(description=_WHERE)


class DashboardOut(Out):
    """first and last: days in `zone`, both included. choices: the values there are to narrow by, an empty one for
    conversations without; `(other)` are combinations that came after a thousand others."""

    first: date
    last: date
    zone: str
    step: Step
    narrowing: dict[Dimension, list[str]]
    choices: dict[Dimension, list[str]]
    conversations: ConversationsOut
    fields: list[FieldPanelOut]

    @classmethod
    def of(cls, dashboard: Dashboard) -> "DashboardOut":
        return cls.model_validate(dashboard.model_dump())
