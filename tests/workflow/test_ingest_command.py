"""`parley ingest` and `parley imports` as typed, against the API with a worker that reads."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.support.import_ground import PATIENCE, Ground, Sender, until
from tests.support.rows import chat_row, ndjson
from tests.support.stack import ROOT
from tests.unit.test_ingest_sorting import wav

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
async def reading(ground: Ground) -> Ground:
    """With one worker for all of these tests."""
    ground.start_worker()
    await ground.ready()
    return ground


@pytest.fixture
def sender(reading: Ground, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    """The tenant that commands act on."""
    tenant = reading.api.tenant(request.node.name.replace("_", "-").removeprefix("test-")[:60].strip("-"))
    for name, value in {"URL": reading.api.url, "API_KEY": tenant.key, "TENANT": ""}.items():
        monkeypatch.setenv(f"PARLEY_{name}", value)
    monkeypatch.setenv("COLUMNS", "160")
    with reading.api.client(tenant.key) as client:
        yield Sender(reading, tenant, client)
    reading.let_go()


async def parley(*arguments: str) -> Result:
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments))


def lines(finished: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in finished.stdout.splitlines()]


def conversations(sender: Sender) -> list[dict[str, Any]]:
    return list(sender.client.get("/v1/conversations", params={"limit": 200}).json()["items"])


async def test_a_file_of_many_goes_in_and_every_bad_row_is_told(sender: Sender, tmp_path: Path) -> None:
    file, report = tmp_path / "march.ndjson", tmp_path / "report.csv"
    file.write_bytes(ndjson([chat_row("1"), b"{", chat_row("2", channel="fax"), chat_row("3")]))
    done = await parley("ingest", str(file), "--source", "crm", "--report", str(report))
    assert done.exit_code == 1, done.stderr
    assert "4 rows, 2 created, 2 failed" in done.stdout
    assert "march.ndjson row 2: row: is not JSON" in done.stderr
    assert "march.ndjson row 3: channel: " in done.stderr
    told = report.read_text().splitlines()
    assert [line.split(",")[1:3] for line in told[1:]] == [
        ["1", "created"], ["2", "failed"], ["3", "failed"], ["4", "created"],
    ]  # fmt: skip
    assert {c["source"] for c in conversations(sender)} == {"crm"}
    file.write_bytes(ndjson([chat_row("1"), chat_row("3")]))
    again = await parley("ingest", str(file), "--source", "crm")
    assert (again.exit_code, "2 unchanged" in again.stdout) == (0, True)


async def test_a_folder_of_recordings(sender: Sender, tmp_path: Path) -> None:
    for call in ("c1", "c2"):
        (tmp_path / f"{call}.agent.wav").write_bytes(wav(1))
        (tmp_path / f"{call}.caller.wav").write_bytes(wav(1) + b"\0" * int(call[1]))
    (tmp_path / "c1.json").write_text('{"id": "call-1"}')
    (tmp_path / "c2.xml").write_text("<call><id>call-2</id></call>")
    (tmp_path / "c3.wav").write_bytes(b"PK\x03\x04 this is no audio")
    done = await parley("ingest", str(tmp_path), "--source", "recorder", "--json")
    [imported] = lines(done)
    assert (imported["format"], imported["rows"]["created"], imported["rows"]["failed"]) == ("recording", 2, 0)
    assert done.exit_code == 1
    assert "c3.wav" in done.stderr
    assert {(c["external_id"], c["channel"]) for c in conversations(sender)} == {("call-1", "call"), ("call-2", "call")}
    ground = sender.ground
    uploads = ground.rows("select count(*) from upload where tenant_id = %s", sender.tenant.id)
    await parley("ingest", str(tmp_path), "--source", "recorder")
    assert ground.rows("select count(*) from upload where tenant_id = %s", sender.tenant.id) in (
        uploads, [(uploads[0][0] * 2,)],  # the hour may have changed in between
    )  # fmt: skip
    assert len(conversations(sender)) == 2


async def test_a_conversation_and_the_audio_it_names(sender: Sender, tmp_path: Path) -> None:
    call = {"external_id": "1", "channel": "call", "audio": [{"file": "a.wav", "channels": ["agent", "customer"]}]}
    (tmp_path / "a.json").write_text(json.dumps(call))
    (tmp_path / "a.wav").write_bytes(wav(2))
    report = tmp_path / "told.ndjson"
    done = await parley("ingest", str(tmp_path / "a.json"), "--report", str(report))
    assert done.exit_code == 0, done.stderr
    [single, audio] = [json.loads(line) for line in report.read_text().splitlines()]
    assert (single["outcome"], audio["outcome"], audio["file"]) == ("created", "part", "a.wav")
    assert (audio["conversation"], audio["reason"]) == (single["conversation"], "audio of the call a.json")


async def test_many_files_of_one_conversation_each(sender: Sender, tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number:02}.json").write_text(json.dumps(chat_row(f"{number}")))
    (tmp_path / "bad.json").write_text(json.dumps(chat_row("x", channel="fax")))
    done = await parley("ingest", str(tmp_path))
    assert done.exit_code == 1
    assert "61 rows, 60 created, 1 failed" in done.stdout
    assert "bad.json row 61: channel" in done.stderr
    few = await parley("ingest", str(tmp_path / "01.json"), str(tmp_path / "02.json"), "--json")
    assert [answer["outcome"] for answer in lines(few)] == ["unchanged", "unchanged"]


async def test_a_dry_run_of_everything(sender: Sender, tmp_path: Path) -> None:
    assert sender.client.post("/v1/tasks/csat/activation").status_code == 200
    (tmp_path / "one.json").write_text(json.dumps(chat_row("1")))
    (tmp_path / "many.ndjson").write_bytes(ndjson([chat_row("2"), chat_row("3")]))
    done = await parley("ingest", str(tmp_path), "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "1 rows, would be 1 created" in done.stdout
    assert "2 rows, would be 2 created" in done.stdout
    assert "to analyse: 2 conversations" in done.stdout
    assert "cost: about $0.00, by 1 active tasks" in done.stdout
    assert conversations(sender) == []


async def test_nothing_to_hand_in(sender: Sender, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    done = await parley("ingest", str(tmp_path))
    assert done.exit_code == 1
    assert "notes.txt: is of no kind that is read" in " ".join(done.stderr.split())
    assert "nothing in it" in done.stderr


async def test_ctrl_c_ends_the_watching_and_the_rest_is_by_id(sender: Sender, tmp_path: Path) -> None:
    ground = sender.ground
    ground.hold()
    file = tmp_path / "long.ndjson"
    file.write_bytes(ndjson([chat_row(f"{n}") for n in range(600)]))
    watching = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "ingest", str(file), "--source", "crm"],
        cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        await ground.held()
        watching.send_signal(signal.SIGINT)
        _, said = await asyncio.to_thread(watching.communicate, timeout=PATIENCE)
    finally:
        watching.kill()
    assert watching.returncode == 130, said
    assert "the import goes on: parley imports show " in said
    import_id = said.split("parley imports show ")[1].split()[0]
    paused = await parley("imports", "pause", import_id, "--json")
    assert lines(paused)[0]["state"] == "paused"
    ground.let_go()
    resumed = await parley("imports", "resume", import_id)
    assert "waiting" in resumed.stdout or "running" in resumed.stdout
    await sender.until_state(import_id, "completed")
    shown = await parley("imports", "show", import_id)
    assert "completed  600 rows, 600 created" in shown.stdout
    assert "analysis: 600 waiting" in shown.stdout
    listed = await parley("imports", "list")
    assert import_id[:8] in listed.stdout
    refused = await parley("imports", "cancel", import_id)
    assert (refused.exit_code, "the import is completed" in refused.stderr) == (1, True)


async def test_the_failed_rows_of_an_import(sender: Sender) -> None:
    import_id = sender.hand_in(ndjson([chat_row("1"), b"{"]), source="crm", name="x.ndjson")
    await until(lambda: sender.shown(import_id)["state"] == "completed", "it is read")
    shown = await parley("imports", "show", import_id, "--failed")
    assert "x.ndjson row 2: row: is not JSON" in shown.stdout
    found, bad = lines(await parley("imports", "show", import_id, "--failed", "--json"))
    assert (found["rows"]["failed"], bad["number"]) == (1, 2)
