"""`parley tenants`, `parley tasks`, `parley keys`: setting up tenants and handing out keys, over the API."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli import output
from cli.commands import Json, TenantOption, client_of
from storage.api_keys import SCOPES

tenants = typer.Typer(help="The tenants a key may act on, and their engines.", no_args_is_help=True)
tasks = typer.Typer(help="AI Tasks: what there is, and what runs for a tenant.", no_args_is_help=True)
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


@tenants.command("create")
def create_tenant(
    slug: Annotated[str, typer.Argument(help="Short name, lower case.", show_default=False)],
    name: Annotated[str, typer.Option(help="As people read it.", show_default=False)],
    time_zone: Annotated[str, typer.Option(help="IANA name.")] = "UTC",
    languages: Annotated[str, typer.Option(help="Tags with commas, the first is the main one.")] = "en",
    conversations: Annotated[int, typer.Option(help="A month, at most; warned at four fifths.")] = 10_000,
    audio_minutes: Annotated[int, typer.Option(help="A month, at most.")] = 10_000,
    requests: Annotated[int, typer.Option(help="To engines, a month, at most.")] = 100_000,
    tokens: Annotated[int, typer.Option(help="A month, at most.")] = 100_000_000,
    cost_usd: Annotated[float, typer.Option(help="US dollars a month, at most.")] = 100.0,
    audio_days: Annotated[int, typer.Option(help="Audio is kept so long.")] = 90,
    text_days: Annotated[int, typer.Option(help="Transcripts and threads are kept so long.")] = 365,
    insight_days: Annotated[int, typer.Option(help="Values are kept so long.")] = 730,
) -> None:
    """Make a tenant. No limit is unlimited and nothing is kept for ever: say what you want, or take these.

    Examples:

        parley tenants create acme --name "Acme Ltd" --time-zone Europe/Berlin --languages de,en

        parley tasks activate csat sentiment summary --tenant acme
    """
    stops = {
        "conversations": conversations,
        "audio_minutes": audio_minutes,
        "requests": requests,
        "tokens": tokens,
        "cost_usd": cost_usd,
    }
    body = {
        "slug": slug,
        "name": name,
        "time_zone": time_zone,
        "languages": _tags(languages),
        "limits": {kind: {"warn_at": stop * 0.8, "stop_at": stop} for kind, stop in stops.items()},
        "retention": {"audio_days": audio_days, "text_days": text_days, "insight_days": insight_days},
    }
    with client_of(None) as client:
        output.print_json(client.request("POST", "/v1/platform/tenants", json=body))


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
    allowed_engines: Annotated[str | None, typer.Option(help="Names with commas; `any` for every engine.")] = None,
    allowed_regions: Annotated[
        str | None, typer.Option(help="Where engines outside may be, with commas; `any` for everywhere.")
    ] = None,
) -> None:
    """Change a tenant. In force for runs that begin from now on.

    Examples:

        parley tenants set demo --transcription deepgram --language-model gemini

        parley tenants set demo --languages en,es --external-languages es

        parley tenants set demo --allowed-regions europe-west4,eu
    """
    given = {
        "transcription": transcription,
        "language_model": language_model,
        "time_zone": time_zone,
        "languages": _tags(languages),
        "external_languages": _tags(external_languages),
    }
    change: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name, listed in (("allowed_engines", allowed_engines), ("allowed_regions", allowed_regions)):
        if listed is not None:
            change[name] = None if listed == "any" else _tags(listed)
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


@tasks.command("list")
def list_tasks(tenant: TenantOption = None, json_: Json = False) -> None:
    """The AI Tasks the tenant sees, and which of them run for it.

    Examples:

        parley tasks list --tenant acme
    """
    with client_of(tenant) as client:
        found = client.request("GET", "/v1/tasks")["items"]
    if json_:
        for task in found:
            output.print_json(task)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("task", "", "fields", "purpose"):
        table.add_column(column, overflow="fold")
    for task in found:
        version = task["active"] or task["newest"] or {"fields": [], "purpose": ""}
        state = Text("active", "green") if task["active"] else Text("off", "dim")
        table.add_row(task["slug"], state, ", ".join(version["fields"]), Text(version["purpose"]))
    output.out.print(table)


@tasks.command("activate")
def activate_tasks(
    slugs: Annotated[list[str], typer.Argument(help="Tasks by name.", show_default=False)], tenant: TenantOption = None
) -> None:
    """Let tasks run for the tenant, in their newest published version.

    Examples:

        parley tasks activate csat sentiment summary --tenant acme
    """
    with client_of(tenant) as client:
        for slug in slugs:
            client.request("POST", f"/v1/tasks/{slug}/activation", json={})
            output.out.print(f"{slug} runs from now on", highlight=False)


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.add_typer(tenants, name="tenants")
    app.add_typer(keys, name="keys")
    app.add_typer(tasks, name="tasks")
