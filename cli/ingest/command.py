"""`parley ingest`: whatever lies there goes in, and every row is answered for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track
from rich.text import Text

from cli import output
from cli.client import ApiProblem, ParleyClient
from cli.commands import Json, TenantOption, client_of
from cli.ingest.bodies import Body, bodies_of, conversations, parts_of
from cli.ingest.follow import follow
from cli.ingest.report import Line, Report, estimate, lines_of, summary
from cli.ingest.sorting import Sorting, audio_place, files_of, sort_out, unread
from domain.errors import InvalidInput, ParleyError
from domain.imports import ImportState
from domain.mapping import Format

MOST_SINGLES = 50
"""Conversations in files of their own are handed in one by one up to so many; more go in as one import."""

_LONGEST_WAIT = 60
Files = Annotated[list[Path], typer.Argument(help="Files, or folders of them.", exists=True, show_default=False)]
SourceOption = Annotated[
    str | None, typer.Option("--source", "-s", help="The source all of it is of.", show_default=False)
]
FormatOption = Annotated[
    Format | None, typer.Option("--format", help="What JSON is, when it is not canonical.", show_default=False)
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Write what became of every row: NDJSON, or CSV.", show_default=False)
]


def ingest(
    files: Files,
    source: SourceOption = None,
    format_: FormatOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, store nothing, estimate.")] = False,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for the analysis to end.", min=0)] = 0,
    report: ReportOption = None,
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """Hand conversations in: files and folders, in whatever form they lie there.

    JSON conversations (the body of `POST /v1/conversations`; a call names its audio as `{"file": "call.wav"}`),
    NDJSON, CSV, emails (`.eml`, `.mbox`), a sender's own JSON (with `--source`, whose mapping reads it), and audio with
    side-cars (JSON, XML or CSV of the same name; `c1.agent.wav` and `c1.caller.wav` are one call).

    Handing the same in again changes nothing. Files of many rows are read by the service at its own pace: Ctrl-C ends
    the watching, not the import. Exit code 1 when any row failed.

    Examples:

        parley ingest chat.json

        parley ingest inbox/ --wait 30

        parley ingest tickets.csv --source helpdesk --dry-run

        parley ingest /recorder/2026-11-13/ --source recorder --report report.csv
    """
    found = sort_out(files_of(files), format_)
    with Report(report) as told, client_of(tenant) as client:
        bodies = bodies_of(found, format_, lambda file: _audio(client, file, told))
        if dry_run or len(found.singles) > MOST_SINGLES:
            bodies.insert(0, conversations("conversations", _canonical(client, found, source, told)))
        else:
            _one_by_one(client, found.singles, source, wait, told, json_=json_)
        for body in bodies:
            _import(client, body, source, dry_run=dry_run, wait=wait, told=told, json_=json_)
        for path, error in found.problems:
            told.failed(path.name, error.message)
        for path in found.unknown:
            told.skipped(path.name, unread(path))
            output.err.print(Text(f"{path}: {unread(path)}", "yellow"))
        told.show_bad()
    if not told.handed:
        output.fail(InvalidInput("there is nothing in it to hand in"))
    if told.bad:
        raise typer.Exit(1)


def _audio(client: ParleyClient, file: Path, told: Report) -> str | None:
    try:
        return client.upload(file)
    except ApiProblem as problem:
        told.failed(file.name, problem.message)
        return None


# -- conversations in files of their own -------------------------------------------------------------------


def _one_by_one(
    client: ParleyClient, singles: list[Path], source: str | None, wait: float, told: Report, *, json_: bool
) -> None:
    for file in track(singles, "handing in", console=output.err, disable=json_ or len(singles) < 2):
        try:
            body = _body(file, source, client)
            answer = client.start(body, wait=min(wait, _LONGEST_WAIT))
        except ParleyError as error:
            told.failed(str(file), error.message)
            continue
        told.add(Line(str(file), 0, answer.outcome, answer.id))
        for part in parts_of(file, body):
            told.add(Line(part.file, 0, "part", answer.id, reason=part.of(file.name)))
        if json_:
            output.as_json(answer)
        else:
            output.out.print(f"{answer.outcome:>9}  {answer.status.value:<19}  {answer.id}  {file}", highlight=False)


def _canonical(
    client: ParleyClient, found: Sorting, source: str | None, told: Report
) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in found.singles:
        try:
            yield file, _body(file, source, client)
        except (InvalidInput, ApiProblem) as error:
            told.failed(file.name, error.message)


def _body(file: Path, source: str | None, client: ParleyClient) -> dict[str, Any]:
    body = json.loads(file.read_text(encoding="utf-8-sig"))
    if source is not None:
        body.setdefault("source", source)
    audio = body.get("audio")
    if isinstance(audio, list):
        body["audio"] = [_uploaded(item, file, client) for item in audio]
    return dict(body)


def _uploaded(item: Any, single: Path, client: ParleyClient) -> Any:
    """The entry with its local file uploaded. A file is looked for beside the JSON and one folder above it."""
    if not isinstance(item, dict) or "file" not in item:
        return item
    audio = audio_place(single, str(item["file"]))
    if audio is None:
        raise InvalidInput.of("audio.file", f"{item['file']} is not there")
    return {"id": client.upload(audio), **{k: v for k, v in item.items() if k != "file"}}


# -- imports ------------------------------------------------------------------------------------------------


def _import(
    client: ParleyClient, body: Body, source: str | None, *, dry_run: bool, wait: float, told: Report, json_: bool
) -> None:
    """Sends, watches, and reports one import."""
    given = {"source": source, "format": body.format.value if body.format else None, "name": body.name}
    params = {name: value for name, value in given.items() if value} | {"dry_run": str(dry_run).lower()}
    import_id = None
    try:
        with body.opened() as (stream, size):
            for part, call in body.left_out:
                told.skipped(part.file, f"{part.of(call)}, which is not handed in without all of its audio")
            if not size:
                return
            import_id = client.hand_in_file(stream, size, body.media_type, params).id
        done = follow(client, import_id, wait=wait, quiet=json_)
    except ParleyError as error:
        goes_on = f"; the import goes on: parley imports show {import_id}" if import_id else ""
        told.failed(body.name, f"{error.message}{goes_on}")
        return
    except KeyboardInterrupt:
        if import_id is not None:
            output.err.print(f"the import goes on: parley imports show {import_id}", highlight=False)
        raise typer.Exit(130) from None
    for row in client.import_rows(import_id, None if told.wants_all else "failed"):
        for line in lines_of(row, body.name, body.names, body.parts):
            told.add(line)
    if done.state is ImportState.FAILED:
        told.failed(body.name, done.detail or done.reason or "")
    told.handed = True
    if json_:
        output.as_json(done)
        return
    output.out.print(f"{body.name}: {summary(done)}  {done.id}", highlight=False)
    for words in estimate(done.estimate) if done.estimate else ():
        output.out.print(f"  {words}", highlight=False)
