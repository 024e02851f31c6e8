"""`parley status` and `parley down` as a person or a script sees them."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from domain.clock import utc_now
from infra.embedded.process import ProcessId
from infra.embedded.state import ProcessRecord, ProcessState, SearchRecord, StackRecord, StackState, StateFolder

run = CliRunner()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "state"))
    folder = StateFolder.at(tmp_path / "state")
    folder.create()
    me = ProcessId.of(os.getpid())
    assert me is not None
    folder.write_record(
        StackRecord(
            state=StackState.READY,
            supervisor_pid=me.pid,
            supervisor_started=me.started,
            updated=utc_now(),
            processes=(
                ProcessRecord(name="postgres", state=ProcessState.READY, pid=me.pid, log=folder.log("postgres")),
                ProcessRecord(name="api", state=ProcessState.RESTARTING, restarts=3, log=folder.log("api")),
            ),
            addresses={"api": "http://127.0.0.1:8420", "temporal_ui": "http://127.0.0.1:8233"},
            search=SearchRecord(backend="postgres", reason="no Meilisearch: none on PATH"),
        )
    )
    return folder


def test_status_shows_processes_addresses_and_why_this_search(state: StateFolder) -> None:
    outcome = run.invoke(app, ["status"])
    assert outcome.exit_code == 3  # one process is not ready
    for part in ("postgres", "restarting", "http://127.0.0.1:8420", "http://127.0.0.1:8233", "no Meilisearch"):
        assert part in outcome.stdout


def test_status_is_machine_readable(state: StateFolder) -> None:
    shown = json.loads(run.invoke(app, ["status", "--json"]).stdout)
    assert shown["state"] == "ready"
    assert shown["processes"][1] == {
        "name": "api",
        "state": "restarting",
        "pid": None,
        "started": None,
        "restarts": 3,
        "address": None,
        "log": str(state.log("api")),
        "note": None,
    }


def test_status_of_nothing(tmp_path: Path) -> None:
    outcome = run.invoke(app, ["status", "--home", str(tmp_path / "none")])
    assert outcome.exit_code == 3
    assert "parley up" in outcome.stdout
    assert json.loads(run.invoke(app, ["status", "--json", "--home", str(tmp_path / "none")]).stdout) == {
        "state": "stopped"
    }


def test_down_of_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    outcome = run.invoke(app, ["down", "--wipe", "--home", str(tmp_path)])
    assert outcome.exit_code == 1
    assert "not a state folder" in outcome.output
    assert (tmp_path / "thesis.txt").exists()
