"""Worker processes: ready when they poll, orderly when told to stop, replaceable when killed."""

import asyncio
import base64
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from temporalio.client import Client

from domain.contracts import CONVERSATIONS_QUEUE, Outcome
from infra.embedded.process import free_port
from infra.settings import default_config_dir
from tests.support import stack
from tests.support.stack import ROOT, TemporalServer
from tests.support.workflows import BOUND, TEST_KEYS, Script, World, connect, until

ROLES = """
[roles.conversations]
hosts = ["search-indexer", "rollup-folder", "reconciler-schedule"]
[[roles.conversations.queues]]
queue = "conversations"
workflows = ["ConversationWorkflow", "ReconcileWorkflow"]
activities = ["ingest", "normalize", "plan", "persist", "conclude", "reconcile"]

[roles.engine]
[[roles.engine.queues]]
queue = "language-model"
kind = "process-test"
activities = ["analyze"]
"""


@dataclass
class Workers:
    """Worker processes of one test, and the folder they tell it things in."""

    folder: Path
    address: str
    environment: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *roles: str, **more: str) -> subprocess.Popen[bytes]:
        ready = self.folder / f"ready-{len(self.running)}"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "TEMPORAL_"))},
            "PARLEY_PROFILE": "embedded",
            "PARLEY_TEMPORAL_ADDRESS": self.address,
            "PARLEY_CODEC_KEY": "env:TEST_CODEC_KEY",
            "TEST_CODEC_KEY": base64.b64encode(TEST_KEYS.current).decode(),
            "PARLEY_CONFIG_DIR": str(self.folder / "config"),
            "PARLEY_READY_FILE": str(ready),
            **self.environment,
            **more,
        }
        command = [sys.executable, "-m", "tests.support.worker_main", str(self.folder), *roles]
        with (self.folder / f"log-{len(self.running)}").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.running.append(process)
        return process

    async def ready(self, number: int = 0) -> None:
        def there() -> bool:
            assert self.running[number].poll() is None, self.log(number)
            return (self.folder / f"ready-{number}").exists()

        await until(there, "the worker is ready")

    def log(self, number: int = 0) -> str:
        return (self.folder / f"log-{number}").read_text()

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def count(self, what: str) -> int:
        return sum(call[0] == what for call in self.calls())

    async def end(self, process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> int:
        process.send_signal(how)
        return await asyncio.to_thread(process.wait, BOUND)


@pytest.fixture
def workers(tmp_path: Path, temporal_server: TemporalServer) -> Iterator[Workers]:
    shutil.copytree(default_config_dir(), tmp_path / "config")
    (tmp_path / "config" / "workers.toml").write_text(ROLES)
    workers = Workers(tmp_path, temporal_server.address)
    yield workers
    for process in workers.running:
        process.kill()
        process.wait()


@pytest.fixture
def here(client: Client) -> World:
    """Starts runs on the product's own queue."""
    return World(client, Script(kind="process-test"), queue=CONVERSATIONS_QUEUE)


async def test_a_worker_told_to_stop_ends_what_it_began(workers: Workers, here: World) -> None:
    process = workers.start("conversations", "engine")
    await workers.ready()
    assert (await here.outcome()).outcome is Outcome.COMPLETED
    await until(lambda: workers.count("reconcile-done") > 0, "the schedule's first round")
    (workers.folder / "hold").touch()
    handle = await here.start()
    await until(lambda: workers.count("ingest") == 2, "ingest runs")
    process.send_signal(signal.SIGTERM)
    await until(lambda: "stopping" in workers.log(), "the worker heard it")
    (workers.folder / "hold").unlink()
    assert await asyncio.to_thread(process.wait, BOUND) == 0, workers.log()
    assert workers.count("ingest-done") == 2
    assert workers.count("indexer-done") == workers.count("folder-done") == 1
    assert workers.calls()[-1] == ["closed"]
    assert not (workers.folder / "ready-0").exists()
    workers.start("conversations", "engine")
    assert (await asyncio.wait_for(handle.result(), BOUND)).outcome is Outcome.COMPLETED
    assert workers.count("ingest") == 2  # what it had ended was not done again


async def test_killed_workers_are_replaced_and_every_run_completes(workers: Workers, here: World) -> None:
    first = workers.start("conversations", "engine")
    await workers.ready()
    handles = [await here.start() for _ in range(30)]
    await until(lambda: workers.count("persist-done") >= 5, "some runs are through")
    await workers.end(first, signal.SIGKILL)
    workers.start("conversations", "engine")
    outcomes = await asyncio.wait_for(asyncio.gather(*(handle.result() for handle in handles)), 60)
    assert {outcome.outcome for outcome in outcomes} == {Outcome.COMPLETED}


async def test_a_worker_may_start_before_temporal(workers: Workers) -> None:
    port = free_port()
    workers.address = f"127.0.0.1:{port}"
    process = workers.start("conversations", "engine")
    await until(lambda: "trying again" in workers.log(), "the worker looks for Temporal")
    with stack.temporal_server(grpc_port=port):
        await workers.ready()
        client = await connect(workers.address, "default")
        world = World(client, Script(kind="process-test"), queue=CONVERSATIONS_QUEUE)
        assert (await world.outcome()).outcome is Outcome.COMPLETED
        assert await workers.end(process) == 0, workers.log()


async def test_a_worker_without_temporal_can_be_stopped(workers: Workers) -> None:
    workers.address = f"127.0.0.1:{free_port()}"
    process = workers.start("engine")
    await until(lambda: "trying again" in workers.log(), "the worker looks for Temporal")
    assert await workers.end(process) == 0, workers.log()


async def test_versioned_workers_pin_a_run_to_their_build(workers: Workers) -> None:
    with stack.temporal_server() as server:  # a versioned queue stays versioned: a server of its own
        workers.address = server.address
        workers.environment = {"PARLEY_WORKER_DEPLOYMENT": "parley", "PARLEY_WORKER_BUILD_ID": "one"}
        workers.start("conversations", "engine")
        await workers.ready()
        client = await connect(server.address, "default")
        world = World(client, Script(kind="process-test"), queue=CONVERSATIONS_QUEUE)
        handle = await world.start()
        assert (await asyncio.wait_for(handle.result(), BOUND)).outcome is Outcome.COMPLETED
        info = (await handle.describe()).raw_description.workflow_execution_info.versioning_info
        assert info.behavior == 1  # pinned
        assert info.deployment_version.build_id == "one"
        await workers.end(workers.running[0])


@pytest.mark.parametrize(("arguments", "complaint"), [(["nope"], "there is no role nope"), ([], "required")])
def test_a_wrong_role_is_told(workers: Workers, arguments: list[str], complaint: str) -> None:
    environment = {**os.environ, "PARLEY_PROFILE": "embedded"}
    ended = subprocess.run(
        [sys.executable, "-m", "workers", *arguments], cwd=ROOT, env=environment, capture_output=True, timeout=BOUND,
        check=False, text=True,
    )  # fmt: skip
    assert ended.returncode == 2
    assert complaint in ended.stderr
