"""`parley status`: all of the embedded stack on one screen.

The supervisor's record says which processes run, their metrics ports what they did lately, and the API what waits.
"""

from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from api.schemas.platform import PlatformStatusOut
from cli.connection import operator_key
from cli.figures import Lately, lately
from domain.errors import ParleyError
from infra.embedded.state import StackRecord, StateFolder

_SECONDS = 3.0
_WIDE = 130
"""Columns from which on tables stand side by side."""


class Overview(BaseModel):
    """lately: of the last fifteen minutes; platform: None when the API does not answer."""

    model_config = ConfigDict(frozen=True)

    lately: Lately
    platform: PlatformStatusOut | None


def look(record: StackRecord, state: StateFolder) -> Overview | None:
    """What the stack's processes and its API say; None when nothing runs."""
    if record.supervisor() is None:
        return None
    with httpx.Client(timeout=_SECONDS, trust_env=False) as http:
        pages = {
            process.name: _recent(http, port)
            for process in record.processes
            if (port := record.ports.get(f"metrics_{process.name}")) is not None
        }
        return Overview(lately=lately(pages), platform=_platform(http, record, state))


def _recent(http: httpx.Client, port: int) -> dict[str, Any] | None:
    try:
        answer = http.get(f"http://127.0.0.1:{port}/recent")
        page = answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError):
        return None
    return page if isinstance(page, dict) else None


def _platform(http: httpx.Client, record: StackRecord, state: StateFolder) -> PlatformStatusOut | None:
    address = record.addresses.get("api")
    if address is None:
        return None
    try:
        headers = {"Authorization": f"Bearer {operator_key(state).get_secret_value()}"}
        answer = http.get(f"{address}/v1/platform/status", headers=headers)
        return PlatformStatusOut.model_validate(answer.json()) if answer.is_success else None
    except (ParleyError, OSError, httpx.HTTPError, ValueError):
        return None


def shown(overview: Overview, console: Console) -> RenderableType:
    """The parts below the processes."""
    left: list[RenderableType] = [_stages(overview.lately)]
    right: list[RenderableType] = [*_queues(overview.platform), *_engines(overview.lately)]
    if console.width < _WIDE:
        return Group(*left, *right, _numbers(overview))
    side_by_side = Table.grid(padding=(0, 4))
    side_by_side.add_row(Group(*left), Group(*right))
    return Group(side_by_side, _numbers(overview))


def _stages(found: Lately) -> RenderableType:
    minutes = f"last {found.seconds / 60:.0f} min" if found.seconds >= 90 else f"last {found.seconds:.0f} s"
    table = _table(minutes, "done", "failed", "put off", "retries", "now", "p50", "p95")
    for stage in found.stages:
        table.add_row(
            stage.stage,
            str(stage.done),
            Text(str(stage.failed or ""), "red"),
            str(stage.benign or ""),
            Text(str(stage.retries or ""), "yellow"),
            str(stage.in_flight or ""),
            _seconds(stage.p50),
            _seconds(stage.p95),
        )
    if not found.stages:
        table.add_row(Text("nothing happened", "dim"))
    return table


def _queues(platform: PlatformStatusOut | None) -> list[RenderableType]:
    if platform is None or platform.queues is None:
        who = "the API" if platform is None else "Temporal"
        return [Text(f"queues: {who} does not answer", "yellow")]
    table = _table("queue", "waiting", "oldest", "pollers")
    for queue in platform.queues:
        pollers = queue.workflow_pollers + queue.activity_pollers
        table.add_row(
            queue.task_queue.removeprefix("parley-"),
            str(queue.backlog),
            _seconds(queue.backlog_age_seconds) if queue.backlog else "",
            Text(str(pollers), "" if pollers else "red"),
        )
    return [table]


def _engines(found: Lately) -> list[RenderableType]:
    if not found.engines:
        return []
    table = _table("engine", "calls", "failed", "tokens", "US$", "p50", "p95")
    for engine in found.engines:
        table.add_row(
            engine.engine,
            str(engine.calls),
            Text(str(engine.failed or ""), "red"),
            f"{engine.tokens:,}" if engine.tokens else "",
            f"{engine.cost_usd:.4f}" if engine.cost_usd else "",
            _seconds(engine.p50),
            _seconds(engine.p95),
        )
    return [table]


def _numbers(overview: Overview) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    found = overview.lately
    table.add_row("Accepted", _counts(found.accepted) or Text("none", "dim"))
    table.add_row("Runs ended", _counts(found.runs) or Text("none", "dim"))
    stored = overview.platform.stored if overview.platform is not None else None
    if stored is None:
        who = "the API" if overview.platform is None else "Postgres"
        table.add_row("Waiting", Text(f"{who} does not answer", "yellow"))
    else:
        waiting = f"{stored.backlog.number} conversations not begun"
        waiting += f", the oldest for {_seconds(stored.backlog.age_seconds)}" if stored.backlog.number else ""
        table.add_row("Waiting", f"{waiting}; {stored.due.number} runs to start")
        lag = f"{_seconds(stored.search.age_seconds)} behind" if stored.search.number else "up to date"
        table.add_row("Search lag", f"{lag}, {stored.search.number} changes wait")
        table.add_row(
            "Dead letters", Text(_counts(stored.dead_letters) or "none", "red" if stored.dead_letters else "")
        )
        table.add_row("Parked", Text(_counts(stored.parked) or "none", "yellow" if stored.parked else ""))
    if found.silent:
        table.add_row("No figures", Text(", ".join(found.silent), "yellow"))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, no_wrap=True, justify="right")
    return table


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counted.items())


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
