"""A worker process as the product's, with scripted stages: `python -m tests.support.worker_main FOLDER ROLE…`.

Every call is a line in FOLDER/calls. While FOLDER/hold exists, `ingest` waits and heartbeats.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client

from infra.logs import configure_logs
from infra.settings import Settings, load_settings
from infra.temporal.process import run_to_end
from tests.support.workflows import Script, ScriptedStages
from workers.process import serve
from workers.roles import choose, load_roles


class Folder:
    """What the process and the test tell each other."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, line: str) -> None:
        with (self.path / "calls").open("a", encoding="utf-8") as calls:
            calls.write(f"{line}\n")

    async def held(self) -> None:
        while (self.path / "hold").exists():
            activity.heartbeat()
            await asyncio.sleep(0.05)


class NotedScript(Script):
    """A script that notes its calls in the folder."""

    folder: Folder

    async def play(self, argument: Any) -> Any:
        info = activity.info()
        self.folder.note(f"{info.activity_type} {info.workflow_id} {os.getpid()}")
        if info.activity_type == "ingest":
            await self.folder.held()
        result = await super().play(argument)
        self.folder.note(f"{info.activity_type}-done {info.workflow_id} {os.getpid()}")
        return result


class ScriptedWiring:
    """Fulfils `workers.process.Wiring`."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._script = NotedScript(kind="process-test")
        self._script.folder = folder

    def activities(self, names: Collection[str]) -> Mapping[str, Callable[..., Any]]:
        stages = ScriptedStages(self._script)
        return {name: getattr(stages, name) for name in names}

    async def run_indexer(self, stop: asyncio.Event) -> None:
        self._folder.note("indexer")
        await stop.wait()
        self._folder.note("indexer-done")

    async def run_folder(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._folder.note("folder-done")

    async def run_dispatcher(self, stop: asyncio.Event) -> None:
        await stop.wait()


def main() -> None:
    folder, roles = Folder(Path(sys.argv[1])), sys.argv[2:]
    settings = load_settings()
    configure_logs(settings)

    @asynccontextmanager
    async def open_wiring(_: Settings, __: Client) -> AsyncIterator[ScriptedWiring]:
        yield ScriptedWiring(folder)
        folder.note("closed")

    run_to_end(serve(settings, choose(load_roles(settings.config_dir), roles), open_wiring))


if __name__ == "__main__":
    main()
