"""The dashboard: what a tenant's conversations come to, per Custom Field, over time, narrowed as wished.

It reads rollups and nothing else: neither values nor conversations are looked at, however many there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from pydantic import Field

from domain.clock import Clock, utc_now
from domain.conversation import Channel, Frozen, Status
from domain.errors import InvalidInput
from domain.fields import CustomField
from domain.rollups import CONVERSATIONS, MAX_DAYS, Counted, Dimension, Narrowing, Period, Step, day_of
from services.dashboard_fields import FieldPanel, panel_of
from services.search import CountedFacet, CountedValue
from services.which import Which
from storage.protocols import ConversationFilter, Database, Page

USUAL_DAYS = 30
MAX_VALUES = 20
"""Values one dimension may be narrowed to at once."""


class DashboardRequest(Frozen):
    """first and last: days in the tenant's zone, both included; the last USUAL_DAYS days unless given."""

    first: date | None = None
    last: date | None = None
    narrowing: Narrowing = Field(default_factory=dict)


class StatusCount(Frozen):
    """where: the filter that lists these conversations."""

    status: Status
    count: int
    where: str | None


class ChannelCount(Frozen):
    channel: Channel
    count: int
    where: str | None
    statuses: tuple[StatusCount, ...]


class ConversationPoint(Frozen):
    first: date
    last: date
    count: int


class ConversationPanel(Frozen):
    """How many conversations began in the period."""

    count: int
    where: str | None
    channels: tuple[ChannelCount, ...]
    statuses: tuple[StatusCount, ...]
    trend: tuple[ConversationPoint, ...]


class Dashboard(Frozen):
    """choices: the values there are to narrow by; an empty one stands for conversations without."""

    first: date
    last: date
    zone: str
    step: Step
    narrowing: dict[Dimension, tuple[str, ...]]
    choices: dict[Dimension, tuple[str, ...]]
    conversations: ConversationPanel
    fields: tuple[FieldPanel, ...]


class ReadDashboard:
    """Needs the database."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def read(self, tenant_id: str, request: DashboardRequest, *, sensitive: bool = False) -> Dashboard:
        """`sensitive`: whether values of sensitive fields may be seen. Raises InvalidInput (the days), NotFound,
        Unavailable."""
        async with self._database.tenant_tx(tenant_id) as tx:
            period = self._period(request, tx.tenant.time_zone)
            fields = [f for f in await tx.catalog.fields() if sensitive or not f.sensitive]
            counted = await tx.rollups.read([CONVERSATIONS, *(f.id for f in fields)], period, request.narrowing)
            choices = await tx.rollups.choices()
        which = Which(period, request.narrowing)
        return Dashboard(
            first=period.first,
            last=period.last,
            zone=period.zone,
            step=period.step,
            narrowing=dict(request.narrowing),
            choices=dict(choices),
            conversations=_conversations(period, _of(counted, CONVERSATIONS), which),
            fields=tuple(panel_of(field, period, _of(counted, field.id), which) for field in _in_order(fields)),
        )

    async def facets(self, tenant_id: str, *, sensitive: bool = False) -> tuple[CountedFacet, ...]:
        """How many of the last three years' conversations there are by channel, by status and by each option: what a
        search counts among its hits, without a search."""
        async with self._database.tenant_tx(tenant_id) as tx:
            today = self._today(tx.tenant.time_zone)
            fields = [f for f in await tx.catalog.fields() if f.options and (sensitive or not f.sensitive)]
            period = Period(today - timedelta(days=MAX_DAYS - 1), today, tx.tenant.time_zone, Step.MONTH)
            counted = await tx.rollups.read([CONVERSATIONS, *(f.id for f in fields)], period, {})
        kinds = [tuple(c.option.split("/")) for c in counted if c.field_id == CONVERSATIONS]
        counts = [c.count for c in counted if c.field_id == CONVERSATIONS]
        found = [
            _facet(name, ((kind[place], n) for kind, n in zip(kinds, counts, strict=True)))
            for place, name in enumerate(("channel", "status"))
        ]
        for field in fields:
            ids = {option.id for option in field.options}
            found.append(
                _facet(field.key, ((c.option, c.count) for c in counted if c.field_id == field.id and c.option in ids))
            )
        return tuple(facet for facet in found if facet.values)

    async def today(self, tenant_id: str) -> date:
        """The day it is where the tenant is."""
        async with self._database.tenant_tx(tenant_id) as tx:
            return self._today(tx.tenant.time_zone)

    async def newest(self, tenant_id: str) -> date | None:
        """The last day a conversation began on, None when there is none: for whoever looks at days without any."""
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await tx.conversations.list(ConversationFilter(), Page(limit=1))
            return day_of(found[0].started_at, ZoneInfo(tx.tenant.time_zone)) if found else None

    def _today(self, zone: str) -> date:
        return day_of(self._clock(), ZoneInfo(zone))

    def _period(self, request: DashboardRequest, zone: str) -> Period:
        last = request.last or max(self._today(zone), request.first or date.min)
        first = request.first or last - timedelta(days=USUAL_DAYS - 1)
        if first > last:
            raise InvalidInput.of("from", "is after the last day")
        if (last - first).days >= MAX_DAYS:
            raise InvalidInput.of("from", f"is more than {MAX_DAYS:,} days before the last day")
        if not date(1900, 1, 1) <= first <= last <= date(2900, 1, 1):
            raise InvalidInput.of("from", "is not a day anything happened on")
        for dimension, values in request.narrowing.items():
            if len(values) > MAX_VALUES:
                raise InvalidInput.of(dimension.value, f"names more than {MAX_VALUES} values")
        return Period(first, last, zone, Step.of((last - first).days + 1))


def _facet(name: str, counts: Iterable[tuple[str, int]]) -> CountedFacet:
    """The most frequent value first."""
    totals: dict[str, int] = {}
    for value, n in counts:
        totals[value] = totals.get(value, 0) + n
    ordered = sorted(((v, n) for v, n in totals.items() if n > 0), key=lambda item: (-item[1], item[0]))
    return CountedFacet(name=name, values=tuple(CountedValue(value=v, count=n) for v, n in ordered))


def _of(counted: Sequence[Counted], field_id: str) -> list[Counted]:
    return [c for c in counted if c.field_id == field_id]


def _in_order(fields: Sequence[CustomField]) -> list[CustomField]:
    """As they came, those of one display group together; a group stands where its first field does."""
    groups: dict[str | None, list[CustomField]] = {}
    for field in fields:
        groups.setdefault(field.display_group, []).append(field)
    return [field for group in groups.values() for field in group]


def _conversations(period: Period, counted: Sequence[Counted], which: Which) -> ConversationPanel:
    by_kind: dict[tuple[Channel, Status], int] = {}
    by_step: dict[int, int] = {}
    for c in counted:
        channel, _, status = c.option.partition("/")
        kind = Channel(channel), Status(status)
        by_kind[kind] = by_kind.get(kind, 0) + c.count
        by_step[c.step] = by_step.get(c.step, 0) + c.count
    starts = period.starts
    return ConversationPanel(
        count=sum(by_kind.values()),
        where=which.all(),
        channels=tuple(_channel(channel, by_kind, which) for channel in Channel),
        statuses=_statuses(None, by_kind, which),
        trend=tuple(
            ConversationPoint(first=first, last=starts[step + 1] - timedelta(days=1), count=by_step.get(step, 0))
            for step, first in enumerate(starts[:-1])
        ),
    )


def _channel(channel: Channel, by_kind: Mapping[tuple[Channel, Status], int], which: Which) -> ChannelCount:
    statuses = _statuses(channel, by_kind, which)
    where = which.of_dimension(Dimension.CHANNEL, channel.value)
    return ChannelCount(channel=channel, count=sum(s.count for s in statuses), where=where, statuses=statuses)


def _statuses(
    channel: Channel | None, by_kind: Mapping[tuple[Channel, Status], int], which: Which
) -> tuple[StatusCount, ...]:
    """Those that any conversation has."""
    wanted = tuple(Channel) if channel is None else (channel,)
    counts = {status: sum(by_kind.get((c, status), 0) for c in wanted) for status in Status}
    return tuple(
        StatusCount(status=s, count=n, where=which.of_status(s.value, channel)) for s, n in counts.items() if n
    )
