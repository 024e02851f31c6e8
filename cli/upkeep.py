"""`parley migrate` and `parley doctor`: the commands that look at the installation itself."""

import json
import os
from typing import Annotated, Any

import httpx
import typer
from rich.table import Table
from rich.text import Text

from cli import output
from cli.connection import NotConnected, connect
from domain.errors import ParleyError
from infra.embedded.stack import StackOptions
from infra.embedded.state import StateFolder

_TIMEOUT = 10.0


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether something is to be done; exit 3 if so.")
    ] = False,
) -> None:
    """Bring the database up to date: schema, starter library, engines. Safe to run twice and side by side.

    Uses PARLEY_MIGRATION_DATABASE_URL (the owner's), else the embedded stack's.

    Examples:

        parley migrate

        parley migrate --check || echo "not up to date"
    """
    from infra.migrate import bring_up_to_date  # the migrations' libraries take long to load
    from storage.migrate import pending

    try:
        url = _owner_url()
        if check:
            at, newest = pending(url)
            output.out.print(f"at revision {at or 'none'}, newest is {newest}", highlight=False)
            raise typer.Exit(0 if at == newest else 3)
        output.out.print(f"the database is at revision {bring_up_to_date(url)}", highlight=False)
    except ParleyError as error:
        output.fail(error)


def _owner_url() -> str:
    from storage.migrate import URL_VARIABLE, owner_url

    if os.environ.get(URL_VARIABLE):
        return owner_url()
    state = StateFolder.at(StackOptions.from_environment().home)
    file = state.secret_file("database-url.owner")
    if not file.exists():
        raise NotConnected(f"set {URL_VARIABLE} to the database owner's URL")
    return file.read_text(encoding="utf-8").strip()


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Is every part Parley stands on well? Exit code 0 when it is, 1 when something does not answer.

    Examples:

        parley doctor

        parley doctor --json | jq '.parts[] | select(.ok | not)'
    """
    try:
        connection = connect()
        headers = {"Authorization": f"Bearer {connection.key.get_secret_value()}"}
        report = httpx.get(f"{connection.url}/readyz", headers=headers, timeout=_TIMEOUT).json()
    except ParleyError as error:
        output.fail(error)
    except (httpx.HTTPError, ValueError) as error:
        output.fail(NotConnected(f"the API does not answer: {type(error).__name__}"))
    if as_json:
        print(json.dumps(report))
    else:
        output.out.print(_parts(report))
    if not all(part["ok"] for part in report.get("parts", [])):
        raise typer.Exit(1)


def _parts(report: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("part", "", "ms", "seen"):
        table.add_column(column, overflow="fold")
    for part in report.get("parts", []):
        verdict = Text("well", "green") if part["ok"] else Text("away" if part["essential"] else "degraded", "red")
        table.add_row(part["name"], verdict, f"{part['milliseconds']:.0f}", Text(part.get("detail") or ""))
    return table


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (migrate, doctor):
        app.command()(command)
