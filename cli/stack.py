"""`parley up`, `parley down`, `parley status`: the embedded stack on this machine."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from infra.embedded import control
from infra.embedded.errors import StackError
from infra.embedded.stack import StackOptions
from infra.embedded.state import ProcessState, StackRecord, StackState, StateFolder

_STYLES = {
    ProcessState.READY: "green",
    ProcessState.STARTING: "yellow",
    ProcessState.WAITING: "dim",
    ProcessState.RESTARTING: "yellow",
    ProcessState.STOPPED: "dim",
    ProcessState.FAILED: "red",
}
_ADDRESSES = (
    ("API", "api"),
    ("API docs", "api_docs"),
    ("API metrics", "api_metrics"),
    ("Temporal UI", "temporal_ui"),
)
_NOT_RUNNING = 3  # as service managers answer for a stopped service

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the state; PARLEY_HOME, else .parley.", show_default=False),
]


def up(
    home: Home = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running in the background.")] = False,
) -> None:
    """Start Postgres, Temporal, search, workers and API on this machine.

    Runs until Ctrl-C. Ports that are taken are replaced and told; `parley status` shows what runs where.

    Examples:

        parley up

        parley up --detach && parley status
    """
    options = _options(home)
    console = Console(stderr=True)
    try:
        if detach:
            record = control.start_detached(StateFolder.at(options.home), _plain(console))
            Console().print(_addresses(record))
            return
        asyncio.run(_foreground(console, options))
    except StackError as error:
        _fail(console, error)


def down(
    home: Home = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove all data, keys and logs as well.")] = False,
) -> None:
    """Stop the stack; with --wipe also remove everything it stored.

    Examples:

        parley down

        parley down --wipe
    """
    options = _options(home)
    console = Console(stderr=True)
    try:
        ran = control.down(StateFolder.at(options.home), _plain(console), wipe=wipe)
    except StackError as error:
        _fail(console, error)
    else:
        console.print("stopped" if ran else "nothing was running")


def status(
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Show all of the stack: processes, what each stage and engine did in the last fifteen minutes, queues, what
    waits, is parked or was given up, and addresses. Exit code 0 when everything is ready, else 3.

    Examples:

        parley status

        watch -c parley status

        parley status --json | jq '.lately.stages[] | {stage, done, failed, p95}'
    """
    from cli import status as seen  # loads the API's client, which the other commands of this module do not need

    options = _options(home)
    state = StateFolder.at(options.home)
    record = control.current(state)
    found = seen.look(record, state) if record is not None else None
    if as_json:
        payload = record.model_dump(mode="json") if record else {"state": "stopped"}
        payload |= found.model_dump(mode="json") if found else {}
        sys.stdout.write(f"{json.dumps(payload, indent=2)}\n")
    elif record is None:
        Console().print(f"nothing has run in {state.path}: start it with `parley up`")
    else:
        console = Console()
        console.print(_overview(record, details=seen.shown(found, console) if found else None))
    if record is None or not _all_ready(record):
        raise typer.Exit(_NOT_RUNNING)


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (up, down, status):
        app.command()(command)


async def _foreground(console: Console, options: StackOptions) -> None:
    if not console.is_terminal:
        told: dict[str, ProcessState] = {}

        def changes(record: StackRecord) -> None:
            for process in record.processes:
                if told.get(process.name) is not process.state:
                    told[process.name] = process.state
                    note = f" ({process.note})" if process.note else ""
                    console.print(f"{process.name}: {process.state.value}{note}", markup=False, highlight=False)

        await control.serve(options, _plain(console), changes, ready=lambda record: console.print(_addresses(record)))
        return
    with Live(Text("starting"), console=console, refresh_per_second=8, transient=False) as live:
        await control.serve(
            options, _plain(live.console), lambda record: live.update(_overview(record, hint="Ctrl-C stops"))
        )


def _plain(console: Console) -> control.Tell:
    return lambda line: console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def _overview(record: StackRecord, hint: str = "", details: RenderableType | None = None) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("process", "state", "pid", "restarts", "address"):
        table.add_column(column, no_wrap=True)
    table.add_column("", overflow="fold")
    for process in record.processes:
        table.add_row(
            process.name,
            Text(process.state.value, _STYLES[process.state]),
            str(process.pid or ""),
            str(process.restarts or ""),
            process.address or "",
            Text(process.note or "", "dim"),
        )
    head = Text.assemble(("Parley ", "bold"), record.state.value, (f"  {hint}" if hint else "", "dim"))
    parts: list[RenderableType] = [head, table]
    if record.error:
        parts.append(Text(record.error, "red"))
    if details is not None:
        parts += [Text(), details]
    parts.append(_addresses(record))
    return Group(*parts)


def _addresses(record: StackRecord) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    if record.state is StackState.READY:
        for label, name in _ADDRESSES:
            if address := record.addresses.get(name):
                table.add_row(label, address)
    if record.search is not None:
        table.add_row("Search", Text(f"{record.search.backend}: {record.search.reason}", "dim"))
    return table


def _all_ready(record: StackRecord) -> bool:
    return record.state is StackState.READY and all(process.state is ProcessState.READY for process in record.processes)


def _options(home: Path | None) -> StackOptions:
    given = {"PARLEY_HOME": str(home)} if home is not None else {}
    try:
        return StackOptions.from_environment({**os.environ, **given})
    except StackError as error:
        _fail(Console(stderr=True), error)


def _fail(console: Console, error: StackError) -> NoReturn:
    console.print(Text(error.message, "red"), soft_wrap=True)
    raise typer.Exit(1)
