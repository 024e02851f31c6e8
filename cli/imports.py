"""`parley imports`: what was handed in as files, over the API."""

from typing import Annotated

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from api.schemas.imports import ImportOut
from cli import output
from cli.commands import Json, TenantOption, client_of
from cli.ingest import report

imports = typer.Typer(help="Files of conversations: how far they are, and what became of each row.")

Import = Annotated[str, typer.Argument(help="The import's id.", show_default=False)]


@imports.command("list")
def list_imports(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """Imports, newest first.

    Examples:

        parley imports list

        parley imports list --json | jq .state
    """
    with client_of(tenant) as client:
        found = list(client.imports(limit))
    if json_:
        output.as_json(found)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("import", "source", "state", "rows", "failed", "read", "began", "file"):
        table.add_column(column, overflow="fold")
    for each in found:
        state = f"{each.state.value}{' (dry run)' if each.dry_run else ''}"
        read, began = f"{100 * each.bytes_read / each.size:.0f} %", f"{each.created_at:%Y-%m-%d %H:%M}"
        rows = each.rows
        table.add_row(each.id, each.source, state, str(rows.read), str(rows.failed), read, began, each.name or "")
    output.out.print(table if found else Text("nothing was imported yet", "dim"))


@imports.command()
def show(
    import_: Import,
    failed: Annotated[bool, typer.Option("--failed", help="Also every row that was refused, with its reason.")] = False,
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """How far an import is, what became of its rows, and how far their analysis is.

    Examples:

        parley imports show 5c1e…

        parley imports show 5c1e… --failed --json | jq .problems
    """
    with client_of(tenant) as client:
        found = client.import_(import_)
        bad = list(client.import_rows(import_, state="failed")) if failed else []
    if json_:
        output.as_json([found, *bad])
        return
    _show(found)
    for row in bad:
        for line in report.lines_of(row, found.name or found.source, ()):
            output.out.print(Text(f"  {line.file} row {line.row}: {line.field}: {line.reason}", "red"))


@imports.command()
def pause(import_: Import, tenant: TenantOption = None, json_: Json = False) -> None:
    """Read no more rows for now. What was accepted is analysed all the same.

    Examples:

        parley imports pause 5c1e…
    """
    _change("pause", import_, tenant, json_=json_)


@imports.command()
def resume(import_: Import, tenant: TenantOption = None, json_: Json = False) -> None:
    """Go on after the last row reported: after a pause, or after a failure once its cause is gone.

    Examples:

        parley imports resume 5c1e…
    """
    _change("resume", import_, tenant, json_=json_)


@imports.command()
def cancel(import_: Import, tenant: TenantOption = None, json_: Json = False) -> None:
    """End an import for good. What was accepted stays.

    Examples:

        parley imports cancel 5c1e…
    """
    _change("cancel", import_, tenant, json_=json_)


def _change(verb: str, import_: str, tenant: str | None, *, json_: bool) -> None:
    with client_of(tenant) as client:
        found = client.change_import(import_, verb)
    if json_:
        output.as_json(found)
    else:
        _show(found)


def _show(found: ImportOut) -> None:
    head = Text.assemble((found.name or found.source, "bold"), f"  {report.summary(found)}", (f"  {found.id}", "dim"))
    output.out.print(head)
    told = []
    if found.waits:
        told.append(f"waits: {found.waits}")
    if found.seconds_left:
        told.append(f"about {found.seconds_left:.0f} s left")
    if not found.dry_run:
        now = found.analysis
        told.append(
            f"analysis: {now.waiting} waiting, {now.completed} completed, {now.parked} parked, {now.failed} failed"
        )
    told += report.estimate(found.estimate) if found.estimate else ()
    for line in told:
        output.out.print(Padding(Text(line), (0, 0, 0, 2)))


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.add_typer(imports, name="imports")
