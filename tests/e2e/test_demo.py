"""The README's first command on a fresh folder, and the commands one tries next.

`parley demo` runs once and stops by itself; `parley up` then brings the same state back, and the other commands look at
what the demo left.
"""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from domain.conversation import Channel, Status
from domain.values import EvidenceState, ValueKind
from tests.support.running_stack import (
    Finished,
    RunningStack,
    own_environment,
    run_parley,
    state_home,
    supervised,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DEMO_SECONDS = 800.0
FILES = "my-files"
"""The source of what these tests hand in themselves."""


@dataclass
class Shown:
    """The demo's run and what it wrote; then the stack that runs on what it left."""

    demo: Finished
    report: dict[str, Any]
    stack: RunningStack

    def parley(self, *arguments: str) -> Result:
        """A command as typed in another terminal, in this process: loading the program takes longest."""
        return CliRunner().invoke(app, arguments, env=dict(self.stack.environment), catch_exceptions=False)

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON objects a command prints. Raises AssertionError unless it ends with 0."""
        done = self.parley(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    with state_home("demo") as home:
        environment = own_environment(home)
        demo = run_parley(["demo", "--once"], environment, DEMO_SECONDS)
        assert demo.code == 0, demo.out[-3000:] + demo.err[-3000:]
        report = json.loads((home / "demo-report.json").read_text(encoding="utf-8"))
        with supervised(home, environment) as stack:
            yield Shown(demo, report, stack)


# -- the demo


def test_every_conversation_of_every_channel_completed(shown: Shown) -> None:
    channels = shown.report["channels"]
    assert set(channels) == {channel.value for channel in Channel}
    for counts in channels.values():
        assert counts["ingested"] == counts["completed"] >= 6
        assert counts["with_values"] >= counts["ingested"] - 1  # one is too short to be analysed
    assert shown.report["temporal"]["workflows_completed"] == sum(c["ingested"] for c in channels.values())


def test_the_values_are_many_and_every_quote_is_verified(shown: Shown) -> None:
    assert shown.report["field_values"] >= 60
    known = quoted = verified = 0
    with shown.stack.client(_tenant(shown)) as client:
        for row in client.conversations():
            if row.source == FILES:
                continue
            values = [v for v in client.fields(row.id).effective if v.kind is not ValueKind.UNKNOWN]
            known += len(values)
            quoted += sum(bool(v.evidence) for v in values)
            verified += sum(v.evidence_state is EvidenceState.VERIFIED for v in values)
    assert known == shown.report["field_values"]
    assert quoted == verified == shown.report["values_with_verified_evidence"]


def test_the_search_finds_and_the_seconds_are_written_down(shown: Shown) -> None:
    assert shown.report["search"]["hits"] >= 3
    assert shown.report["search"]["backend"] in ("postgres", "meilisearch")
    assert set(shown.report["seconds"]) == {"setup", "pipeline"}
    assert shown.report["seconds"]["pipeline"] > 0
    assert shown.report["temporal"]["address"]
    assert shown.report["temporal"]["ui"].startswith("http://127.0.0.1:")


def test_the_printed_door_opens_on_the_reports_numbers(shown: Shown) -> None:
    """Counted where rows changed, in the real pipeline; folded by a real worker or not yet."""
    told = {label: _told(shown.demo.out, label) for label in ("dashboard", "sign in as", "password")}
    assert told["password"] not in shown.demo.err
    with shown.stack.client(_tenant(shown)) as client:
        period = {"from": "2026-01-01", "to": "2026-12-31"}
        counted = client.request("GET", "/v1/dashboard", params=period)
        demo = client.request("GET", "/v1/dashboard", params={**period, "source": _demo_sources(counted)})
        address = client.url
    assert demo["conversations"]["count"] == sum(c["ingested"] for c in shown.report["channels"].values())
    assert sum(field["known"] for field in demo["fields"]) == shown.report["field_values"]
    assert sum(field["unknown"] for field in demo["fields"]) == shown.report["unknown_values"]
    page = urlsplit(told["dashboard"])
    with httpx.Client(base_url=address, headers={"Accept": "text/html"}, follow_redirects=True) as visitor:
        door = visitor.get(f"{page.path}?{page.query}")
        form = dict(re.findall(r'name="(form|next|tenant)" value="([^"]*)"', door.text))
        assert form["tenant"] == "demo"
        form["next"] = html.unescape(form["next"])
        opened = visitor.post("/sign-in", data={**form, "email": told["sign in as"], "password": told["password"]})
    assert "<h1>Dashboard</h1>" in opened.text
    assert "No conversations in this period" not in opened.text


def _told(printed: str, label: str) -> str:
    found = re.search(rf"^\s*{label}\s+(\S+)\s*$", printed, re.MULTILINE)
    assert found, printed[-2000:]
    return found[1]


def _demo_sources(counted: dict[str, Any]) -> list[str]:
    return [source for source in counted["choices"]["source"] if source != FILES]


def test_what_is_printed_can_be_read(shown: Shown) -> None:
    told = shown.demo.out
    for channel in Channel:
        assert f"{channel.value}: " in told
    assert "search: refund" in told
    assert "explain: " in told
    assert "every conversation completed" in told
    assert "“" in told
    assert "customer" in told
    assert "Traceback" not in told + shown.demo.err


# -- the stack on what the demo left


def test_doctor_and_status_say_that_all_is_well(shown: Shown) -> None:
    doctor = shown.stack.parley("doctor", "--json")  # this one as a process of its own
    assert doctor.code == 0, doctor.err
    parts = {part["name"]: part["ok"] for part in doctor.json()["parts"]}
    assert parts == dict.fromkeys(parts, True)
    assert {"database", "content store", "temporal", "search index"} <= parts.keys()
    status = shown.parley("status", "--json")
    assert status.exit_code == 0
    record = json.loads(status.stdout)
    assert record["state"] == "ready"
    assert {"postgres", "temporal", "api"} < {process["name"] for process in record["processes"]}
    assert "restarts" in shown.parley("status").stdout


def test_search_by_words_and_by_values(shown: Shown) -> None:
    [found] = shown.lines("search", "refund", "--where", "csat < 3", "--facets", "channel")
    assert found["items"]
    for hit in found["items"]:
        assert _field(shown, hit["conversation"]["id"], "csat") < 3
        for fragment in hit["fragments"]:
            for span in fragment["spans"]:
                assert "refund" in fragment["text"][span["start"] : span["end"]].lower()
    assert sum(value["count"] for value in found["facets"][0]["values"]) == found["total"]
    [calls] = shown.lines("search", "--where", "channel = call and csat >= 1", "--sort", "csat")
    order = [_field(shown, hit["conversation"]["id"], "csat") for hit in calls["items"]]
    assert order == sorted(order)
    assert {hit["conversation"]["channel"] for hit in calls["items"]} == {"call"}
    printed = shown.parley("search", "refund").stdout
    assert "turn " in printed
    assert " found (" in printed


def test_a_filter_that_cannot_be_read_is_told_with_its_place(shown: Shown) -> None:
    refused = shown.parley("search", "refund", "--where", "csat <<< 3")
    assert refused.exit_code == 1
    assert "column 7" in refused.stderr


def test_show_tells_turns_values_and_quotes(shown: Shown) -> None:
    conversation = _one(shown, "call-0001")
    told = shown.parley("show", conversation).stdout
    assert "call-0001" in told
    assert "agent" in told
    assert "“" in told
    [machine] = shown.lines("show", conversation)
    assert machine["status"] == "completed"
    assert {stage["state"] for stage in machine["stages"]} == {"completed"}
    assert "transcribe" in {stage["name"] for stage in machine["stages"]}


def test_explain_tells_why_there_is_nothing(shown: Shown) -> None:
    conversation = _one(shown, "chat-0005")
    told = shown.parley("explain", conversation).stdout
    assert "too_short" in told
    [machine] = shown.lines("explain", conversation)
    assert {field["state"] for field in machine["fields"]} == {"skipped"}


def test_dead_letters_are_none(shown: Shown) -> None:
    assert shown.lines("dead-letters", "list") == []
    assert shown.parley("dead-letters", "list").exit_code == 0


def test_a_file_is_handed_in_once(shown: Shown, tmp_path: Path) -> None:
    body = {
        "source": FILES,
        "external_id": "file-1",
        "channel": "email",
        "participants": [{"id": "c", "role": "customer"}],
        "messages": [{"author": "c", "text": "The kettle I bought from you leaks and I want a refund at once."}],
    }
    file = tmp_path / "mail.json"
    file.write_text(json.dumps(body))
    [first] = shown.lines("ingest", str(file), "--wait", "60")
    assert (first["outcome"], first["status"]) == ("created", Status.COMPLETED)
    [again] = shown.lines("ingest", str(file))
    assert (again["outcome"], again["id"]) == ("unchanged", first["id"])
    file.write_text(json.dumps({**body, "channel": "fax"}))
    refused = shown.parley("ingest", str(file))
    assert refused.exit_code == 1
    assert "channel" in refused.stderr


def test_a_second_stack_on_the_same_folder_is_refused(shown: Shown) -> None:
    second = shown.parley("up")
    assert second.exit_code == 1
    assert "already running" in second.stderr


def _tenant(shown: Shown) -> str:
    return (shown.stack.state.path / "tenant").read_text(encoding="utf-8").strip()


def _one(shown: Shown, external_id: str) -> str:
    with shown.stack.client(_tenant(shown)) as client:
        return next(row.id for row in client.conversations() if row.external_id == external_id)


def _field(shown: Shown, conversation: str, key: str) -> Any:
    with shown.stack.client(_tenant(shown)) as client:
        return next(brief.value for brief in client.conversation(conversation).fields if brief.field == key)
