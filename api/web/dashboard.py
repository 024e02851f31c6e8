"""The dashboard as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from api.deps import Services
from api.web import charts
from api.web.view import render
from api.web.visitors import Needs, Visitor
from domain.conversation import Channel
from domain.errors import InvalidInput
from domain.fields import Aggregate
from domain.rollups import Dimension
from services.dashboard import Dashboard, DashboardRequest
from services.dashboard_fields import FieldPanel
from services.permissions import Permission

router = APIRouter(include_in_schema=False)

Reader = Annotated[Visitor, Depends(Needs(Permission.EVERY_CONVERSATION))]

_SHORT = 5
"""Up to so many options stand in their own order, each with its count; longer lists begin with the most frequent."""

_RANGES = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year"))


@dataclass(frozen=True)
class Choice:
    """A dimension to narrow by, with what it may be narrowed to."""

    dimension: Dimension
    values: tuple[str, ...]
    chosen: str | None


@dataclass(frozen=True)
class Drawn:
    """A field with its pictures. listed: numbers of its parts in the order they are told, those without any value
    left out; left_out names them. widest: the largest count."""

    panel: FieldPanel
    bar: tuple[charts.Mark, ...]
    line: charts.Line | None
    columns: charts.Columns | None
    listed: tuple[int, ...]
    left_out: tuple[str, ...]
    widest: int


@dataclass(frozen=True)
class Group:
    """Fields that belong together: with pictures, and those that are only counted."""

    name: str
    drawn: tuple[Drawn, ...]
    counted: tuple[FieldPanel, ...]


@router.get("/dashboard")
async def dashboard(request: Request, visitor: Reader, services: Services) -> Response:
    wanted, problem = _request(request.query_params)
    sensitive = visitor.may(Permission.SENSITIVE_FIELDS)
    try:
        found = await services.dashboard.read(visitor.tenant_id, wanted, sensitive=sensitive)
    except InvalidInput as error:
        problem = "; ".join(f"“{p.field}” {p.reason}" for p in error.problems)
        found = await services.dashboard.read(visitor.tenant_id, DashboardRequest(), sensitive=sensitive)
    today = await services.dashboard.today(visitor.tenant_id)
    counted = [panel for panel in found.fields if panel.known or panel.unknown]
    context = {
        "found": found,
        "problem": problem,
        "ranges": _ranges(found, today),
        "choices": _choices(found),
        "narrowed": _narrowed(found),
        "groups": _groups(counted),
        "without": [panel for panel in found.fields if not panel.known and not panel.unknown],
        "arrivals": charts.columns([[point.count] for point in found.conversations.trend]),
        "statuses": charts.shares([s.count for s in found.conversations.statuses]),
        "newest": await services.dashboard.newest(visitor.tenant_id) if not found.conversations.count else None,
        "listed": listed,
        "within": lambda where, first, last: within(found, where, first, last),
        "WIDTH": charts.WIDTH,
        "HEIGHT": charts.HEIGHT,
        "COLOURS": charts.COLOURS,
        "Aggregate": Aggregate,
    }
    return render(request, "dashboard.html", context, person=visitor.person, form=visitor.form)


def listed(where: str | None) -> str | None:
    """The address that lists these conversations."""
    return None if where is None else f"/conversations?{urlencode({'where': where})}"


def within(found: Dashboard, where: str | None, first: date, last: date) -> str | None:
    """The same in a part of the period only."""
    if where is None:
        return None
    whole = f"started between {found.first} and {found.last}"
    return listed(where.replace(whole, f"started between {first} and {last}"))


def _request(query: QueryParams) -> tuple[DashboardRequest, str]:
    """What the address asks for, and what of it cannot be read."""
    days: dict[str, date | None] = {}
    problem = ""
    for name in ("from", "to"):
        text = query.get(name, "").strip()
        try:
            days[name] = date.fromisoformat(text) if text else None
        except ValueError:
            days[name], problem = None, f"“{name}” is not a day; write it as 2026-11-01"
    channels = {channel.value for channel in Channel}
    narrowing: dict[Dimension, tuple[str, ...]] = {}
    for dimension in Dimension:
        # An empty value means “all” in a form; “none” is said by a dash.
        values = tuple("" if v == "-" else v[:200] for v in query.getlist(dimension.value) if v)
        if dimension is Dimension.CHANNEL:
            values = tuple(v for v in values if v in channels)
        if values:
            narrowing[dimension] = values
    return DashboardRequest(first=days["from"], last=days["to"], narrowing=narrowing), problem


def _address(found: Dashboard, first: date, last: date, narrowing: Mapping[Dimension, Sequence[str]]) -> str:
    query = [("from", first.isoformat()), ("to", last.isoformat())]
    query += [(dimension.value, value or "-") for dimension, values in narrowing.items() for value in values]
    return f"/dashboard?{urlencode(query)}"


def _ranges(found: Dashboard, today: date) -> list[tuple[str, str, bool]]:
    """(words, address, whether it is shown)."""
    ranges = []
    for days, words in _RANGES:
        first = today - timedelta(days=days - 1)
        shown = (found.first, found.last) == (first, today)
        ranges.append((words, _address(found, first, today, found.narrowing), shown))
    return ranges


def _choices(found: Dashboard) -> list[Choice]:
    """Dimensions with something to choose. What is chosen is offered, whether it is known or not."""
    choices = []
    for dimension, values in found.choices.items():
        chosen = next(iter(found.narrowing.get(dimension, ())), None)
        offered = tuple(dict.fromkeys([*values, *([chosen] if chosen is not None else [])]))
        if len(offered) > 1 or chosen is not None:
            choices.append(Choice(dimension, offered, chosen))
    return choices


def _narrowed(found: Dashboard) -> list[tuple[Dimension, str, str]]:
    """(dimension, value, address without it)."""
    rows = []
    for dimension, values in found.narrowing.items():
        for value in values:
            rest = {d: tuple(v for v in vs if (d, v) != (dimension, value)) for d, vs in found.narrowing.items()}
            rows.append((dimension, value, _address(found, found.first, found.last, rest)))
    return rows


def _groups(panels: Sequence[FieldPanel]) -> list[Group]:
    """By display group; averages before distributions, short ones before long ones."""
    names = dict.fromkeys(panel.group or "Other fields" for panel in panels)
    groups = []
    for name in names:
        mine = [panel for panel in panels if (panel.group or "Other fields") == name]
        pictured = sorted(
            (panel for panel in mine if panel.shows is not Aggregate.COUNT),
            key=lambda panel: (panel.shows is not Aggregate.AVERAGE, len(panel.parts)),
        )
        counted = tuple(panel for panel in mine if panel.shows is Aggregate.COUNT)
        groups.append(Group(name, tuple(map(_drawn, pictured)), counted))
    return groups


def _drawn(panel: FieldPanel) -> Drawn:
    ids = [part.id for part in panel.parts]
    shows = panel.shows
    order = list(range(len(panel.parts)))
    left_out: tuple[str, ...] = ()
    if shows is Aggregate.DISTRIBUTION and len(order) > _SHORT:
        left_out = tuple(part.label for part in panel.parts if not part.count)
        order = sorted((n for n in order if panel.parts[n].count), key=lambda n: -panel.parts[n].count)
    return Drawn(
        panel=panel,
        bar=charts.shares([part.count for part in panel.parts]),
        line=charts.line([point.average for point in panel.trend], panel.minimum, panel.maximum)
        if shows is Aggregate.AVERAGE
        else None,
        columns=charts.columns([[point.counts.get(id_, 0) for id_ in ids] for point in panel.trend])
        if shows is Aggregate.DISTRIBUTION
        else None,
        listed=tuple(order),
        left_out=left_out,
        widest=max((part.count for part in panel.parts), default=0),
    )
