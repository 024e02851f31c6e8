"""`parley users`: accounts of the people who look at a tenant's pages, over the API."""

import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli import output
from cli.client import ParleyClient
from cli.commands import Json, TenantOption, client_of
from cli.connection import NotConnected
from domain.people import MIN_PASSWORD, UserRole

users = typer.Typer(help="Accounts of people: who may sign in to the pages, and as what.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(help="The account's e-mail address.", show_default=False)]


@users.command("list")
def list_users(tenant: TenantOption = None, json_: Json = False) -> None:
    """The tenant's accounts.

    Examples:

        parley users list --tenant acme
    """
    with client_of(tenant) as client:
        found = client.request("GET", "/v1/users")["items"]
    if json_:
        for user in found:
            output.print_json(user)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("e-mail", "name", "role", "state"):
        table.add_column(column, overflow="fold")
    for user in found:
        state = Text(user["state"], "green" if user["state"] == "active" else "red")
        table.add_row(Text(user["email"]), Text(user["name"]), user["role"], state)
    output.out.print(table if found else Text("nobody can sign in yet: parley users create", "dim"))


@users.command("create")
def create_user(
    email: Address,
    name: Annotated[str, typer.Option(help="As people read it.", show_default=False)],
    role: Annotated[UserRole, typer.Option(help="What they may see and do: see docs/operator-guide.md.")] = (
        UserRole.VIEWER
    ),
    tenant: TenantOption = None,
) -> None:
    """Let somebody sign in. The password is asked for, or read from standard input; it is never an argument.

    Examples:

        parley users create ada@acme.example --name "Ada" --role analyst --tenant acme

        pwgen 20 1 | parley users create ada@acme.example --name "Ada" --tenant acme
    """
    body = {"email": email, "name": name, "role": role.value, "password": _password()}
    with client_of(tenant) as client:
        made = client.request("POST", "/v1/users", json=body)
    output.out.print(f"{made['email']} may sign in as {made['role']}", highlight=False)
    if role is UserRole.SUPERVISOR:
        output.err.print("note: a supervisor sees managed groups only, and there are none yet", style="yellow")


@users.command("set-password")
def set_password(email: Address, tenant: TenantOption = None) -> None:
    """Give an account another password. Whoever is signed in with it is signed out.

    Examples:

        parley users set-password ada@acme.example --tenant acme
    """
    password = _password()
    with client_of(tenant) as client:
        client.request("PUT", f"/v1/users/{_id(client, email)}/password", json={"password": password})
    output.out.print(f"{email} has another password", highlight=False)


@users.command("disable")
def disable_user(email: Address, tenant: TenantOption = None) -> None:
    """Lock an account: nobody signs in with it, and whoever is, is signed out at once. `enable` opens it again.

    Examples:

        parley users disable ada@acme.example --tenant acme
    """
    _set_state(email, tenant, "locked")
    output.out.print(f"{email} may not sign in any more", highlight=False)


@users.command("enable")
def enable_user(email: Address, tenant: TenantOption = None) -> None:
    """Open an account that was disabled.

    Examples:

        parley users enable ada@acme.example --tenant acme
    """
    _set_state(email, tenant, "active")
    output.out.print(f"{email} may sign in again", highlight=False)


def _set_state(email: str, tenant: str | None, state: str) -> None:
    with client_of(tenant) as client:
        client.request("PATCH", f"/v1/users/{_id(client, email)}", json={"state": state})


def _id(client: ParleyClient, email: str) -> str:
    for user in client.request("GET", "/v1/users")["items"]:
        if user["email"] == email.strip().lower():
            return str(user["id"])
    raise NotConnected(f"there is no account {email}")


def _password() -> str:
    """From the terminal, twice and unseen; else the first line of standard input."""
    if sys.stdin.isatty():
        prompt = f"password (at least {MIN_PASSWORD} characters)"
        return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.add_typer(users, name="users")
