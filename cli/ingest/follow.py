"""Watches imports until their rows are read, and if wanted until what came of them is analysed."""

import time
from collections.abc import Callable

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from api.schemas.imports import ImportOut
from cli import output
from cli.client import ParleyClient
from domain.imports import ImportState

POLL_SECONDS = 0.5


def follow(client: ParleyClient, import_id: str, *, wait: float, quiet: bool) -> ImportOut:
    """Until the rows are read, or the import is paused, cancelled or failed; then up to `wait` seconds longer for the
    analysis of what came of them."""
    with _progress(quiet=quiet) as progress:
        bar = progress.add_task("reading", total=100, told="")

        def reading(found: ImportOut) -> bool:
            progress.update(bar, completed=100 * found.bytes_read / found.size, told=_told(found))
            return found.state in (ImportState.WAITING, ImportState.RUNNING)

        found = _watch(client, import_id, reading, None)
        if found.state is not ImportState.COMPLETED or wait <= 0:
            return found
        whole = found.analysis.waiting + found.analysis.completed + found.analysis.parked + found.analysis.failed
        bar = progress.add_task("analysing", total=whole or 1, told="")

        def analysing(found: ImportOut) -> bool:
            now = found.analysis
            told = f"{now.completed} completed, {now.parked} parked, {now.failed} failed"
            progress.update(bar, completed=whole - now.waiting, told=told)
            return now.waiting > 0

        return _watch(client, import_id, analysing, time.monotonic() + wait)


def _watch(
    client: ParleyClient, import_id: str, goes_on: Callable[[ImportOut], bool], until: float | None
) -> ImportOut:
    while True:
        found = client.import_(import_id)
        if not goes_on(found) or (until is not None and time.monotonic() > until):
            return found
        time.sleep(POLL_SECONDS)


def _told(found: ImportOut) -> str:
    rows = found.rows
    told = f"{rows.created} created, {rows.revised} revised, {rows.unchanged} unchanged, {rows.failed} failed"
    if found.waits:
        return f"{told}; waits: {found.waits}"
    return f"{told}; {found.seconds_left:.0f} s left" if found.seconds_left else told


def _progress(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description:>9}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        console=output.err,
        disable=quiet,
    )
