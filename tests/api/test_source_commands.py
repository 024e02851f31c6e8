"""`parley source` and `parley dead-letters` against the real API, with the readers that ship."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from infra.readers import FormatReaders
from tests.services.test_forms_as_they_come import email, ticket
from tests.support.api_server import ApiServer, api_server, api_settings
from tests.support.stack import DatabaseUrls, TemporalServer

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def api(
    database: DatabaseUrls, temporal_server: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    settings = api_settings(database, tmp_path_factory.mktemp("api"), temporal_address=temporal_server.address)
    with api_server(settings, database, readers=FormatReaders()) as server:
        yield server


@pytest.fixture
def parley(api: ApiServer, request: pytest.FixtureRequest) -> Run:
    """The command line of a tenant of its own."""
    tenant = api.tenant(request.node.name.replace("_", "-")[:60].strip("-"))
    environment = {"PARLEY_URL": api.url, "PARLEY_API_KEY": tenant.key, "PARLEY_TENANT": "", "COLUMNS": "200"}

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    run.post = lambda path, body: api.client(tenant.key).post(path, content=body)  # type: ignore[attr-defined]
    return run


def test_a_source_is_made_tried_out_and_mended(parley: Run, tmp_path: Path) -> None:
    mapping, event = tmp_path / "mapping.json", tmp_path / "event.json"
    right = {
        "external_id": "ticket.id",
        "channel": "ticket",
        "messages": [{"each": "comments", "author": "author_id", "text": "plain_body", "at": "created_at"}],
        "metadata": {"status": "ticket.status"},
    }
    mapping.write_text(json.dumps({**right, "external_id": "tickets.id"}))
    event.write_bytes(ticket("open", "Where is it?"))
    options = ("--format", "json", "--mapping", str(mapping), "--settle-minutes", "30")
    assert "json" in parley("source", "create", "desk", "--name", "Help desk", *options).output
    tried = parley("source", "test", str(event), "--source", "desk", code=1)
    assert "external_id" in tried.output
    assert "1 failed" in tried.output

    dead = parley.post("/v1/sources/desk/events", event.read_bytes()).json()  # type: ignore[attr-defined]
    assert dead["state"] == "dead_lettered"
    assert "event of desk" in parley("dead-letters", "list", "--source", "desk").output
    [listed] = parley("dead-letters", "list", "--source", "desk", "--json").output.splitlines()
    assert json.loads(listed)["id"] == dead["dead_letter_id"]
    assert parley("dead-letters", "body", dead["dead_letter_id"]).stdout_bytes == event.read_bytes()
    [seen] = parley("source", "list", "--json").output.splitlines()
    assert "external_id" in json.loads(seen)["health"]["last_error"]["detail"]
    assert "desk" in parley("source", "list").output

    mapping.write_text(json.dumps(right))
    parley("source", "set", "desk", "--mapping", str(mapping), "--clear", "name")
    tried = parley("source", "test", str(event), "-s", "desk")
    assert "ticket 4711, 1 messages" in tried.output
    assert '"status": "open"' in tried.output
    assert "1 received, 0 failed again" in parley("dead-letters", "redrive", "--source", "desk").output
    assert "nothing was given up" in parley("dead-letters", "list").output
    shown = json.loads(parley("source", "show", "desk", "--json").output)
    assert (shown["name"], shown["settle_minutes"], shown["health"]["events"]["received"]) == (None, 30, 1)
    assert "1 received, 0 waiting, 0 failed" in parley("source", "show", "desk").output


def test_one_dead_letter_is_redriven(parley: Run, tmp_path: Path) -> None:
    parley("source", "create", "mail", "--format", "email")
    dead = parley.post("/v1/sources/mail/events", b"no email at all").json()  # type: ignore[attr-defined]
    again = parley("dead-letters", "redrive", dead["dead_letter_id"]).output
    assert "dead_lettered" in again
    assert "body" in again
    parley("dead-letters", "redrive", code=1)
    message = tmp_path / "message.eml"
    message.write_bytes(email(1))
    assert "This is what mail 1 says." in parley("source", "test", str(message), "-s", "mail").output
    assert parley("source", "show", "nobody", code=1).output


def test_what_is_wrong_is_told(parley: Run, tmp_path: Path) -> None:
    broken = tmp_path / "mapping.json"
    broken.write_text("{")
    assert (
        "cannot be read as JSON"
        in parley("source", "create", "x", "--format", "json", "--mapping", str(broken), code=1).output
    )
    assert "preset" in parley("source", "create", "x", "--format", "json", "--preset", "nobody", code=1).output
    assert "there are no sources yet" in parley("source", "list").output
