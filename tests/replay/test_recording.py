"""Histories taken from a server: of nobody afterwards, still replayable, and a change of the code still shows."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError
from typer.testing import CliRunner

from cli.main import app
from domain import policies
from domain.errors import ContentMissing, NotFound
from domain.ids import new_id, new_tenant_id
from infra.temporal.codec import KeyRing, PayloadUnreadable, SealingCodec
from infra.temporal.histories import RECORDING_KEYS, fetch, scrubbed
from infra.temporal.plugin import parley_plugin
from tests.replay.record import HISTORIES
from tests.replay.test_replay import WithoutAnalysis
from tests.support.stack import TemporalServer
from tests.support.workflows import Script, World, connect, use_policies
from workflows.conversation import ConversationWorkflow

SECRET_KEYS = KeyRing(bytes(range(64, 96)))
PLANTED = "Zebedee said zanzibar"


@pytest.fixture(autouse=True)
def fast_policies() -> Iterator[None]:
    use_policies()
    yield
    policies.use({})


async def failed_run(server: TemporalServer) -> tuple[World, str]:
    """A run with words in its failure, sealed with keys of its own; and its id."""
    world = World(await connect(server.address, server.namespace, keys=SECRET_KEYS), Script())
    world.script.on("normalize", ContentMissing(PLANTED))
    async with world.workers():
        handle = await world.start()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    return world, handle.id


def everything_in(history: WorkflowHistory, keys: KeyRing) -> str:
    """All of it as text, opened."""
    codec = SealingCodec(keys)
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if "data" in value and "metadata" in value:
                from google.protobuf.json_format import ParseDict
                from temporalio.api.common.v1 import Payload

                found.append(codec.open_all([ParseDict(value, Payload())])[0].data.decode("utf-8", "replace"))
            for key, inner in value.items():
                found.append(key)
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        else:
            found.append(str(value))

    walk(json.loads(history.to_json()))
    return "\n".join(found)


async def test_a_recorded_history_is_nobodys_and_replays(temporal_server: TemporalServer) -> None:
    world, workflow_id = await failed_run(temporal_server)
    taken = await fetch(world.client, workflow_id)
    whole = everything_in(taken, SECRET_KEYS)
    conversation = workflow_id.split("/")[2]
    for known in (PLANTED, world.tenant_id, conversation, '"api"', world.client.identity):
        assert known in whole, known

    kept = scrubbed(taken, SECRET_KEYS)

    text = everything_in(kept, RECORDING_KEYS)
    for known in (PLANTED, "Zebedee", world.tenant_id, conversation, '"api"', "_tracer-data"):
        assert known not in text, known
        assert known not in kept.to_json()
    assert base64.b64encode(SECRET_KEYS.current).decode() not in text
    assert "content_missing" in text  # what decided the run's way is still there
    assert len(kept.events) == len(taken.events)
    replayer = Replayer(workflows=[ConversationWorkflow], plugins=[parley_plugin(RECORDING_KEYS)], build_id="test")
    await replayer.replay_workflow(WorkflowHistory.from_json("kept", kept.to_json()))
    changed = Replayer(workflows=[WithoutAnalysis], plugins=[parley_plugin(RECORDING_KEYS)], build_id="test")
    with pytest.raises(NondeterminismError):
        await changed.replay_workflow(kept)


async def test_the_same_id_is_the_same_other_id_throughout(temporal_server: TemporalServer) -> None:
    world, workflow_id = await failed_run(temporal_server)
    kept = scrubbed(await fetch(world.client, workflow_id), SECRET_KEYS)
    tenant, conversation = kept.workflow_id.split("/")[1:3]
    text = everything_in(kept, RECORDING_KEYS)
    assert text.count(tenant) >= 3
    assert text.count(conversation) >= 3


async def test_what_cannot_be_recorded_says_why(temporal_server: TemporalServer) -> None:
    world, workflow_id = await failed_run(temporal_server)
    with pytest.raises(NotFound, match="no such run"):
        await fetch(world.client, f"conversation/{new_tenant_id()}/{new_id()}/1/1")
    with pytest.raises(PayloadUnreadable, match="no key"):
        scrubbed(await fetch(world.client, workflow_id), RECORDING_KEYS)


def test_the_command_says_which_history_breaks(tmp_path: Path) -> None:
    policies.use({})  # as a process of its own: the shipped ones
    good = HISTORIES / "chat.json"
    bad = tmp_path / "renamed.json"
    bad.write_text(good.read_text(encoding="utf-8").replace('"normalize"', '"polish"'), encoding="utf-8")
    fine = CliRunner().invoke(app, ["history", "replay", str(good)])
    assert (fine.exit_code, "replays" in fine.output) == (0, True)
    broken = CliRunner().invoke(app, ["history", "replay", str(good), str(bad)])
    assert broken.exit_code == 1
    assert "breaks" in broken.output
    assert "polish" in broken.output
    nothing = tmp_path / "nothing.json"
    nothing.write_text("[]", encoding="utf-8")
    refused = CliRunner().invoke(app, ["history", "replay", str(nothing)])
    assert refused.exit_code == 1
    assert "no recorded history" in " ".join(refused.output.split())
