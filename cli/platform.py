"""`parley tenants` and `parley keys`: setting up tenants and handing out keys, over the API."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli import output
from cli.commands import Json, TenantOption, client_of
from storage.api_keys import SCOPES

tenants = typer.Typer(help="The tenants a key may act on, and their engines.", no_args_is_help=True)
keys = typer.Typer(help="API keys for connectors and people.", no_args_is_help=True)


@tenants.command("list")
def list_tenants(json_: Json = False) -> None:
    """Every tenant the key may act on.

    Examples:

        parley tenants list
    """
    with client_of(None) as client:
        found = client.request("GET", "/v1/platform/tenants")["items"]
    if json_:
        for tenant in found:
            output.print_json(tenant)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("tenant", "name", "time zone", "languages", "transcription", "language model", "id"):
        table.add_column(column, overflow="fold")
    for tenant in found:
        table.add_row(
            tenant["slug"],
            Text(tenant["name"]),
            tenant["time_zone"],
            ", ".join(tenant["languages"]),
            tenant["transcription"] or "nearest",
            tenant["language_model"] or "nearest",
            tenant["id"],
        )
    output.out.print(table)


@tenants.command("set")
def set_tenant(
    tenant: Annotated[str, typer.Argument(help="Slug or id.", show_default=False)],
    transcription: Annotated[str | None, typer.Option(help="Engine of calls.", show_default=False)] = None,
    language_model: Annotated[str | None, typer.Option(help="Engine of AI Tasks.", show_default=False)] = None,
    languages: Annotated[str | None, typer.Option(help="Tags with commas, the first is the main one.")] = None,
    external_languages: Annotated[
        str | None, typer.Option(help="Languages without name detection whose text may leave the premises.")
    ] = None,
    time_zone: Annotated[str | None, typer.Option(help="IANA name.", show_default=False)] = None,
) -> None:
    """Change a tenant. In force for runs that begin from now on.

    Examples:

        parley tenants set demo --transcription deepgram --language-model gemini

        parley tenants set demo --languages en,es --external-languages es
    """
    given = {
        "transcription": transcription,
        "language_model": language_model,
        "time_zone": time_zone,
        "languages": _tags(languages),
        "external_languages": _tags(external_languages),
    }
    change: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with client_of(None) as client:
        changed = client.request("PATCH", f"/v1/platform/tenants/{client.tenant_id(tenant)}", json=change)
    output.print_json(changed)


def _tags(text: str | None) -> list[str] | None:
    return None if text is None else [tag.strip() for tag in text.split(",") if tag.strip()]


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Who will use it.", show_default=False)],
    scopes: Annotated[str, typer.Option(help=f"With commas: {', '.join(SCOPES)}.")] = "ingest,read",
    tenant: TenantOption = None,
) -> None:
    """Make an API key of a tenant. It is shown this once; only its hash is kept.

    Examples:

        parley keys create crm --scopes ingest --tenant demo

        export PARLEY_API_KEY=$(parley keys create me --scopes ingest,read,operate -t demo)
    """
    with client_of(tenant) as client:
        body = {"name": name, "scopes": [s.strip() for s in scopes.split(",")], "tenant_id": client.acts_on()}
        issued = client.request("POST", "/v1/platform/api-keys", json=body)
    print(issued["key"])


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.add_typer(tenants, name="tenants")
    app.add_typer(keys, name="keys")
