"""`parley history`: take a run's history as a file that is nobody's, and replay such files on today's code."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli import output
from cli.connection import NotConnected
from domain.errors import InvalidInput, ParleyError
from infra.embedded import control
from infra.embedded.stack import StackOptions
from infra.embedded.state import StateFolder
from infra.settings import Profile, Settings, default_config_dir
from infra.temporal.process import run_to_end

if TYPE_CHECKING:  # Temporal's libraries take long to load
    from temporalio.client import WorkflowHistory

history = typer.Typer(help="Histories of runs: record one, and replay recorded ones on today's code.")


@history.command("record")
def record(
    workflow_id: Annotated[str, typer.Argument(help="As the Temporal Web UI names it.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to; else it is printed.")] = None,
    run_id: Annotated[str | None, typer.Option(help="One of several runs of this id.", show_default=False)] = None,
) -> None:
    """Take a run's history from Temporal, without whose it is: ids are replaced, words and names of machines are gone,
    payloads are sealed with a key that is no secret. Where it is put among tests/replay/histories it is replayed by
    every test run.

    Uses TEMPORAL_ADDRESS and PARLEY_CODEC_KEY, else the embedded stack's.

    Examples:

        parley history record conversation/TENANT/CONVERSATION/1/1 --out settled-twice.json

        parley history record conversation/TENANT/CONVERSATION/1/1 | jq '.events[].eventType'
    """
    try:
        found = run_to_end(_taken(workflow_id, run_id))
        problem = asyncio.run(_problem(found))
    except ParleyError as error:
        output.fail(error)
    text = f"{found.to_json()}\n"
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="utf-8")
    verdict = "it replays on today's code" if problem is None else f"it does not replay on today's code: {problem}"
    output.err.print(Text(f"{len(found.events)} events recorded; {verdict}", "" if problem is None else "yellow"))


@history.command("replay")
def replay(
    files: Annotated[list[Path], typer.Argument(help="Recorded histories, or folders of them.", exists=True)],
) -> None:
    """Replay recorded histories on today's code, and say which steps differ. Exit code 1 when one does.

    Examples:

        parley history replay settled-twice.json

        parley history replay tests/replay/histories
    """
    found = [file for path in files for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    broken = 0
    try:
        histories = [(file, _read(file)) for file in found]
        problems = asyncio.run(_problems([one for _, one in histories]))
    except ParleyError as error:
        output.fail(error)
    for (file, one), problem in zip(histories, problems, strict=True):
        broken += problem is not None
        verdict = Text("replays", "green") if problem is None else Text(f"breaks: {problem}", "red")
        output.out.print(Text.assemble(f"{file}  {len(one.events)} events  ", verdict), soft_wrap=True)
    if broken:
        raise typer.Exit(1)


def _read(file: Path) -> "WorkflowHistory":
    from temporalio.client import WorkflowHistory

    try:
        return WorkflowHistory.from_json(file.stem, file.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InvalidInput(f"{file} is no recorded history: {type(error).__name__}") from None


async def _taken(workflow_id: str, run_id: str | None) -> "WorkflowHistory":
    from infra.temporal.client import Connection, connect, payload_keys
    from infra.temporal.histories import fetch, scrubbed

    settings = _settings()
    client = await connect(Connection.from_settings(settings, identity="parley-history"))
    return scrubbed(await fetch(client, workflow_id, run_id), payload_keys(settings))


def _settings() -> Settings:
    """Where Temporal is and how payloads are sealed: from the environment, else from the stack that runs here."""
    if "PARLEY_CODEC_KEY" in os.environ:
        return Settings(profile=Profile.EMBEDDED)
    running = control.current(StateFolder.at(StackOptions.from_environment().home))
    if running is None or running.supervisor() is None:
        raise NotConnected("nothing runs here: start it with `parley up`, or set TEMPORAL_ADDRESS and PARLEY_CODEC_KEY")
    given = running.environment
    return Settings(
        profile=Profile.EMBEDDED,
        temporal_address=given["PARLEY_TEMPORAL_ADDRESS"],
        temporal_namespace=given["PARLEY_TEMPORAL_NAMESPACE"],
        codec_key=given["PARLEY_CODEC_KEY"],
    )


async def _problem(one: "WorkflowHistory") -> str | None:
    return (await _problems([one]))[0]


async def _problems(histories: "Sequence[WorkflowHistory]") -> list[str | None]:
    """What breaks in each; None for what replays."""
    from temporalio.worker import Replayer

    from infra.temporal import policies
    from infra.temporal.histories import RECORDING_KEYS
    from infra.temporal.plugin import parley_plugin
    from workers.roles import WORKFLOWS
    from workers.serve import BUILD_ID

    policies.install(default_config_dir())
    replayer = Replayer(workflows=list(WORKFLOWS.values()), plugins=[parley_plugin(RECORDING_KEYS)], build_id=BUILD_ID)
    problems: list[str | None] = []
    for one in histories:
        result = await replayer.replay_workflow(one, raise_on_replay_failure=False)
        error = result.replay_failure
        problems.append(None if error is None else str(error).strip().splitlines()[0][:500])
    return problems


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.add_typer(history, name="history")
