"""`parley users`: over the API, with the password from standard input and never from an argument."""

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.support.api_server import ApiServer

PASSWORD = "long enough for a test"


@pytest.fixture
def parley(api: ApiServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PARLEY_URL", api.url)
    monkeypatch.setenv("PARLEY_API_KEY", api.tenant("commands").key)
    monkeypatch.setenv("PARLEY_TENANT", "")

    def run(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, ["users", *arguments], input=given)

    return run


def test_an_account_from_its_making_to_its_end(parley, api: ApiServer) -> None:
    tenant = api.tenant("commands").id
    named = ("--tenant", tenant)
    made = parley("create", "Ada@x.example", "--name", "Ada", "--role", "analyst", *named, given=f"{PASSWORD}\n")
    assert made.exit_code == 0, made.output
    assert "ada@x.example may sign in as analyst" in made.output
    listed = parley("list", *named)
    assert "analyst" in listed.output
    for command in ("disable", "enable"):
        assert parley(command, "ADA@x.example", *named).exit_code == 0
    assert parley("set-password", "ada@x.example", *named, given="another password\n").exit_code == 0
    told = parley("list", "--json", *named)
    assert '"state": "active"' in told.output
    everything = made.output + listed.output + told.output
    assert PASSWORD not in everything
    assert "another password" not in everything


def test_what_goes_wrong_is_told(parley, api: ApiServer) -> None:
    named = ("--tenant", api.tenant("commands").id)
    weak = parley("create", "b@x.example", "--name", "B", *named, given="short\n")
    assert weak.exit_code == 1
    assert "has at least 12 characters" in weak.output
    absent = parley("disable", "nobody@x.example", *named)
    assert absent.exit_code == 1
    assert "there is no account nobody@x.example" in absent.output
    operator = parley("create", "c@x.example", "--name", "C", "--role", "operator", *named, given=f"{PASSWORD}\n")
    assert operator.exit_code == 1
    assert "may not give" in operator.output


def test_no_command_takes_a_password_as_an_argument() -> None:
    import typer

    group = typer.main.get_command(app).commands["users"]  # type: ignore[attr-defined]
    for name, command in group.commands.items():
        for parameter in command.params:
            assert "password" not in parameter.name, name
