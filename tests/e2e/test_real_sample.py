"""Real data in the forms it lies there, handed in with `parley ingest`: every file and every row is answered for.

What was said is other people's, so it is looked at in place and shown nowhere.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from api.schemas.conversations import ConversationOut
from bench.real_calls import sample_data
from cli.client import ParleyClient
from cli.ingest.sorting import files_of
from domain.conversation import Channel, Role, Stage, Status
from tests.support.formats import sample
from tests.support.running_stack import RunningStack, running_stack, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PATIENCE = 1200.0
TASKS = ("csat", "sentiment")

SOURCES: dict[str, dict[str, Any]] = {
    "recorder": {"preset": "harpervalley"},
    "support-mail": {"format": "email", "channel": "email"},
    "complaints": {"preset": "cfpb"},
    "shop-chat": {"preset": "abcd"},
    "airline-chat": {"preset": "multidogo"},
    "coffee-bot": {"preset": "taskmaster"},
}
HANDED = {
    "recorder": ("voice",),
    "support-mail": ("email", "NOTICE.md", "LICENSES"),
    "complaints": ("tickets",),
    "shop-chat": ("chat/abcd_sample.json",),
    "airline-chat": ("chat/multidogo_40_customer_turns.json",),
    "coffee-bot": ("chat/taskmaster4_30.json",),
}
CHANNELS = {
    "recorder": (Channel.CALL, 4),
    "support-mail": (Channel.EMAIL, 9),
    "complaints": (Channel.TICKET, 40),
    "shop-chat": (Channel.CHAT, 3),
    "airline-chat": (Channel.CHAT, 40),
    "coffee-bot": (Channel.CHAT, 30),
}
"""What all conversations of a source are, and how many there are."""

Lines = list[dict[str, Any]]


@dataclass
class Handed:
    """What each command told, and what became of it."""

    stack: RunningStack
    tenant: str
    client: ParleyClient
    told: dict[str, str] = field(default_factory=dict)
    reports: dict[str, Lines] = field(default_factory=dict)

    def lines(self, source: str, outcome: str) -> Lines:
        return [line for line in self.reports[source] if line["outcome"] == outcome]


def hand_in(stack: RunningStack, tenant: str, source: str, report: Path, *files: Path) -> tuple[str, Lines]:
    """One command over files of one source, all there are unless some are given: what it prints, and its report.
    Raises AssertionError unless it ends with 0."""
    given = [str(file) for file in files or [sample_data() / path for path in HANDED[source]]]
    command = ("ingest", *given, "--source", source, "--tenant", tenant, "--report", str(report))
    done = stack.parley(*command, timeout=PATIENCE)
    assert done.code == 0, done.out + done.err
    return done.out, [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handed]:
    sample("NOTICE.md")
    reports = tmp_path_factory.mktemp("reports")
    with running_stack("real-sample") as stack:
        tenant = stack.new_tenant("real-sample", {task: {} for task in TASKS})
        with stack.client(tenant) as client:
            found = Handed(stack, tenant, client)
            for source, settings in SOURCES.items():
                client.create_source({"slug": source, **settings})
                told, lines = hand_in(stack, tenant, source, reports / f"{source}.ndjson")
                found.told[source], found.reports[source] = told, lines
            yield found


def test_every_file_is_accounted_for(handed: Handed) -> None:
    """By its name: as a row, as what it is a part of, or with the reason why it is passed over."""
    named = Counter(line["file"] for lines in handed.reports.values() for line in lines)
    calls = {line["file"] for line in handed.lines("recorder", "created")}
    assert named.keys() - calls == {file.name for file in files_of([sample_data()])}
    for lines in handed.reports.values():
        for line in lines:
            assert line["conversation"] or line["reason"]


@pytest.mark.parametrize("source", SOURCES)
def test_every_row_is_accepted(handed: Handed, source: str) -> None:
    _, count = CHANNELS[source]
    created = handed.lines(source, "created")
    assert handed.lines(source, "failed") == []
    assert len(created) == len({line["conversation"] for line in created}) == count
    assert f"{count} rows, {count} created" in handed.told[source]


def test_every_conversation_is_of_its_sources_channel(handed: Handed) -> None:
    found = Counter((row.source, row.channel) for row in handed.client.conversations())
    assert found == {(source, channel): count for source, (channel, count) in CHANNELS.items()}


def test_files_of_many_name_each_row(handed: Handed) -> None:
    for source in ("complaints", "shop-chat", "airline-chat", "coffee-bot"):
        _, count = CHANNELS[source]
        assert [line["row"] for line in handed.lines(source, "created")] == list(range(1, count + 1))


def test_a_call_is_all_of_its_files(handed: Handed) -> None:
    for line in handed.lines("recorder", "created"):
        call = line["file"]
        parts = [part for part in handed.lines("recorder", "part") if part["conversation"] == line["conversation"]]
        assert {part["file"]: part["reason"] for part in parts} == {
            f"{call}.agent.wav": f"audio of the call {call}",
            f"{call}.caller.wav": f"audio of the call {call}",
            f"{call}.metadata.json": f"side-car of the call {call}",
            f"{call}.transcript.json": f"transcript of the call {call}",
        }
        shown = handed.client.conversation(line["conversation"])
        assert (shown.external_id, {person.role for person in shown.participants}) == (
            call, {Role.AGENT, Role.CUSTOMER},
        )  # fmt: skip


def test_what_is_no_conversation_is_told_with_the_reason(handed: Handed) -> None:
    skipped = {line["file"]: line["reason"] for line in handed.lines("support-mail", "skipped")}
    fragment = skipped.pop("iphone_reply_text")
    assert "does not begin as an email" in fragment
    licenses = {file.name for file in files_of([sample_data() / "LICENSES"])}
    assert skipped == dict.fromkeys({"NOTICE.md", *licenses}, "is of no kind that is read")
    assert not [line for source in SOURCES if source != "support-mail" for line in handed.lines(source, "skipped")]


def test_conversations_end_completed(handed: Handed) -> None:
    found: Counter[tuple[str, Status]] = Counter()

    def over() -> bool:
        found.clear()
        found.update((row.source, row.status) for row in handed.client.conversations())
        return not any(status in (Status.RECEIVED, Status.PROCESSING) for _, status in found)

    until(over, PATIENCE, lambda: str(found))
    assert found == {(source, Status.COMPLETED): count for source, (_, count) in CHANNELS.items()}


def test_calls_are_heard_and_analysed(handed: Handed) -> None:
    for line in handed.lines("recorder", "created"):
        call = line["conversation"]
        shown = until_completed(handed.client, call)
        assert Stage.TRANSCRIBE in {stage.name for stage in shown.stages}
        assert {turn.role for turn in handed.client.words(call).turns} == {Role.AGENT, Role.CUSTOMER}
        assert {value.field for value in handed.client.fields(call).effective} >= {"sentiment"}


@pytest.mark.parametrize("source", ["recorder", "support-mail", "complaints"])
def test_handed_in_again_nothing_changes(handed: Handed, source: str, tmp_path: Path) -> None:
    told, lines = hand_in(handed.stack, handed.tenant, source, tmp_path / "report.ndjson")
    _, count = CHANNELS[source]
    assert f"{count} rows, {count} unchanged" in told
    before = {line["conversation"] for line in handed.lines(source, "created")}
    assert {line["conversation"] for line in lines if line["outcome"] == "unchanged"} == before
    for line in handed.lines(source, "created")[:1]:
        assert handed.client.conversation(line["conversation"]).revision == 1


def test_an_export_that_comes_again_changes_facts_only(handed: Handed, tmp_path: Path) -> None:
    """The same complaint, answered in the meantime."""
    file = sample("tickets/cfpb_40.csv")
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    rows[7]["Company response to consumer"] = "Closed with relief"
    changed = tmp_path / file.name
    with changed.open("w", encoding="utf-8", newline="") as opened:
        table = csv.DictWriter(opened, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    told, lines = hand_in(handed.stack, handed.tenant, "complaints", tmp_path / "report.ndjson", changed)
    assert "40 rows, 40 unchanged" in told
    shown = until_completed(handed.client, lines[7]["conversation"])
    assert (shown.external_id, shown.revision) == (rows[7]["Complaint ID"], 1)
    assert shown.metadata["company_response"] == "Closed with relief"


def until_completed(client: ParleyClient, conversation_id: str) -> ConversationOut:
    until(lambda: client.conversation(conversation_id).status is Status.COMPLETED, PATIENCE)
    return client.conversation(conversation_id)
