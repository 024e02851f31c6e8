"""`parley engine …`: which engines there are, how they are set up, and whether they answer."""

import getpass
import json
import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli import output
from cli.client import ParleyClient
from cli.commands import Json, TenantOption, client_of
from domain.errors import InvalidInput, ParleyError

engine = typer.Typer(help="Transcription engines and language models.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The engine's name.", show_default=False)]
Given = Annotated[
    list[str] | None,
    typer.Argument(
        help="KEY=VALUE, such as model=gpt-4o-mini, limits.requests_per_minute=500, parameters.top_p=0.9; "
        "a VALUE that is JSON is read as JSON, and null takes a value away.",
        show_default=False,
    ),
]
OfTenant = Annotated[
    str | None,
    typer.Option("--tenant", "-t", help="A tenant's own engine. Without: the level of the key.", show_default=False),
]


@engine.command("list")
def list_engines(tenant: TenantOption = None, json_: Json = False) -> None:
    """The engines a tenant sees, or those of the key's own level.

    Examples:

        parley engine list

        parley engine list --tenant acme
    """
    with client_of(tenant) as client:
        found = client.request("GET", _path(client, tenant))["items"]
    if json_:
        for one in found:
            output.print_json(one)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("engine", "job", "kind", "model", "of", "where", "credentials", "price"):
        table.add_column(column, overflow="fold")
    for one in found:
        where = (one["region"] or "outside") if one["external"] else "on the premises"
        table.add_row(
            one["name"],
            one["family"].replace("_", " "),
            one["kind"],
            Text(one["model"]),
            one["owner"],
            where,
            one["credentials"] or "none",
            Text(one["price"]["version"]),
        )
    output.out.print(table)


@engine.command("show")
def show_engine(name: Name, tenant: TenantOption = None) -> None:
    """Everything about an engine but its secret.

    Examples:

        parley engine show gemini
    """
    with client_of(tenant) as client:
        found = client.request("GET", _path(client, tenant))["items"]
        output.print_json(_named(found, name))


@engine.command("add")
def add_engine(
    name: Name,
    kind: Annotated[str, typer.Option(help="openai_compatible, anthropic, vertex, gemini, deepgram, …")],
    model: Annotated[str, typer.Option(help="As the provider names it; with Azure the deployment.")],
    given: Given = None,
    family: Annotated[str, typer.Option(help="language_model or transcription.")] = "language_model",
    tenant: OfTenant = None,
) -> None:
    """Set an engine up. Its secret is given apart, with `parley engine set-credentials`.

    Examples:

        parley engine add gpt --kind openai_compatible --model gpt-4o-mini limits.requests_per_minute=500

        parley engine add local --kind openai_compatible --model llama endpoint=http://10.0.0.5:8000/v1 external=false
    """
    with client_of(tenant) as client:
        body = {"name": name, "kind": kind, "model": model, "family": family, **_read(given or [], {})}
        output.print_json(client.request("POST", _path(client, tenant), json=body))


@engine.command("set")
def set_engine(name: Name, given: Given = None, tenant: OfTenant = None) -> None:
    """Change an engine. In force for requests that begin from now on.

    Examples:

        parley engine set gemini model=gemini-2.5-flash limits.tokens_per_minute=90000

        parley engine set gemini 'parameters.fallback=["offline"]'
    """
    with client_of(tenant) as client:
        path = _path(client, tenant)
        before = _named(client.request("GET", path)["items"], name)
        body = _read(given or [], before)
        output.print_json(client.request("PATCH", f"{path}/{name}", json=body))


@engine.command("set-credentials")
def set_credentials(name: Name, tenant: OfTenant = None) -> None:
    """Give an engine its secret: asked for, or read from standard input. Running workers use it within seconds.

    Examples:

        parley engine set-credentials gpt

        parley engine set-credentials vertex < service-account.json
    """
    with client_of(tenant) as client:
        path = f"{_path(client, tenant)}/{name}/credentials"
        secret = getpass.getpass(f"secret of {name}: ") if sys.stdin.isatty() else sys.stdin.read()
        client.request("PUT", path, json={"secret": secret.strip()})
    output.out.print(f"{name} has its credentials", highlight=False)


@engine.command("test")
def try_engine(name: Name, tenant: TenantOption = None, json_: Json = False) -> None:
    """Send a real small request and say what was seen. Ends with 1 when nothing answered.

    Examples:

        parley engine test gemini

        parley engine test gpt --tenant acme
    """
    with client_of(tenant) as client:
        found = client.request("POST", f"{_path(client, tenant)}/{name}/test")
    if json_:
        output.print_json(found)
    elif found["ok"]:
        output.out.print(Text(f"{name}: {found['seen']}", "green"))
    else:
        told = found["error"]
        output.err.print(Text(f"{name}: {told['title']}: {told['detail']} (after {found['seconds']:.1f} s)", "red"))
    if not found["ok"]:
        raise typer.Exit(1)


def _path(client: ParleyClient, tenant: str | None) -> str:
    """A tenant's engines, or those of the key's own level."""
    of_tenant = tenant is not None or client.request("GET", "/v1/me")["level"] == "tenant"
    return "/v1/engines" if of_tenant else "/v1/platform/engines"


def _named(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    one = next((one for one in found if one["name"] == name), None)
    if one is None:
        output.fail(
            ParleyError(f"there is no engine {name}; there are {', '.join(e['name'] for e in found) or 'none'}")
        )
    assert one is not None
    return one


def _read(given: list[str], before: dict[str, Any]) -> dict[str, Any]:
    """KEY=VALUE pairs as a body. `limits.x=1` changes one of the limits and keeps the others of `before`."""
    body: dict[str, Any] = {}
    for pair in given:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            output.fail(InvalidInput(f"{pair} is not KEY=VALUE"))
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        outer, dot, inner = key.partition(".")
        if not dot:
            body[outer] = value
            continue
        part = body.setdefault(outer, dict(before.get(outer) or {}))
        if value is None:
            part.pop(inner, None)
        else:
            part[inner] = value
    return body


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.add_typer(engine, name="engine")
