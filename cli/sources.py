"""`parley source`: how each connector's own form is to be taken, over the API."""

import json
import mimetypes
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from api.schemas.sources import SourceOut, TriedItemOut, TriedOut
from cli import output
from cli.commands import Json, TenantOption, client_of
from domain.conversation import Channel
from domain.errors import InvalidInput, ParleyError
from domain.mapping import Format

sources = typer.Typer(
    help="Connectors: what they send, how it is read, and how they fare.", no_args_is_help=True, name="source"
)

Name = Annotated[str, typer.Argument(help="The source's slug, or its id.", show_default=False)]
Label = Annotated[str | None, typer.Option("--name", help="As people read it.", show_default=False)]
FormatOption = Annotated[Format | None, typer.Option("--format", help="What it sends.", show_default=False)]
MappingOption = Annotated[
    Path | None, typer.Option("--mapping", help="JSON file with the mapping.", show_default=False, exists=True)
]
PresetOption = Annotated[str | None, typer.Option("--preset", help="A mapping that ships.", show_default=False)]
ChannelOption = Annotated[
    Channel | None, typer.Option("--channel", help="What all of its conversations are.", show_default=False)
]
ZoneOption = Annotated[
    str | None, typer.Option("--time-zone", help="Of stamps without offset; an IANA name.", show_default=False)
]
SettleOption = Annotated[
    int | None,
    typer.Option("--settle-minutes", help="Quiet minutes before a thread is analysed.", min=0, show_default=False),
]
DedupeOption = Annotated[
    str | None,
    typer.Option("--dedupe-key", help="JMESPath: what makes an event the same one.", show_default=False),
]


@sources.command("list")
def list_sources(tenant: TenantOption = None, json_: Json = False) -> None:
    """Every source, when it was last seen, and its events of the last 24 hours.

    Examples:

        parley source list
    """
    with client_of(tenant) as client:
        found = client.sources()
    if json_:
        output.as_json(found)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("source", "format", "channel", "last seen", "received", "waiting", "failed", "last error"):
        table.add_column(column, overflow="fold")
    for source in found:
        counts, error = source.health.events, source.health.last_error
        table.add_row(
            source.slug,
            source.format.value,
            source.channel.value if source.channel else "any",
            f"{source.health.last_seen_at:%Y-%m-%d %H:%M}" if source.health.last_seen_at else "never",
            str(counts.received),
            str(counts.accepted),
            Text(str(counts.dead_lettered), "red" if counts.dead_lettered else ""),
            Text(f"{error.at:%Y-%m-%d %H:%M} {error.detail or error.type}" if error else ""),
        )
    output.out.print(table if found else Text("there are no sources yet", "dim"))


@sources.command("create")
def create_source(
    slug: Annotated[str, typer.Argument(help="Short name, lower case.", show_default=False)],
    name: Label = None,
    format_: FormatOption = None,
    mapping: MappingOption = None,
    preset: PresetOption = None,
    channel: ChannelOption = None,
    time_zone: ZoneOption = None,
    settle_minutes: SettleOption = None,
    dedupe_key: DedupeOption = None,
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """Say how a connector's own form is to be taken.

    Examples:

        parley source create support-mail --format email --channel email --settle-minutes 60

        parley source create helpdesk --format json --mapping helpdesk.json --dedupe-key 'event.id'
    """
    body = {"slug": slug} | _settings(name, format_, mapping, preset, channel, time_zone, settle_minutes, dedupe_key)
    with client_of(tenant) as client:
        _show(client.create_source(body), json_=json_)


@sources.command("set")
def set_source(
    source: Name,
    name: Label = None,
    format_: FormatOption = None,
    mapping: MappingOption = None,
    preset: PresetOption = None,
    channel: ChannelOption = None,
    time_zone: ZoneOption = None,
    settle_minutes: SettleOption = None,
    dedupe_key: DedupeOption = None,
    clear: Annotated[list[str] | None, typer.Option("--clear", help="A setting to take away, e.g. channel.")] = None,
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """Change a source. In force for what comes from now on, and for what is re-driven.

    Examples:

        parley source set helpdesk --mapping helpdesk.json

        parley source set helpdesk --settle-minutes 30 --clear dedupe_key
    """
    change = _settings(name, format_, mapping, preset, channel, time_zone, settle_minutes, dedupe_key)
    change |= {setting.replace("-", "_"): None for setting in clear or ()}
    with client_of(tenant) as client:
        _show(client.change_source(source, change), json_=json_)


@sources.command("show")
def show_source(source: Name, tenant: TenantOption = None, json_: Json = False) -> None:
    """A source: its settings, and how it fares.

    Examples:

        parley source show helpdesk

        parley source show helpdesk --json | jq .mapping > helpdesk.json
    """
    with client_of(tenant) as client:
        _show(client.source(source), json_=json_)


@sources.command("test")
def try_source(
    file: Annotated[Path, typer.Argument(help="What the source sends.", exists=True, dir_okay=False)],
    source: Annotated[str, typer.Option("--source", "-s", help="The source's slug, or its id.", show_default=False)],
    media_type: Annotated[str | None, typer.Option(help="Of the file; by its name unless given.")] = None,
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """Show what a source makes of a file, and what is wrong with it. Nothing is stored. Ends with 1 when something is.

    Examples:

        parley source test event.json --source helpdesk

        parley source test message.eml --source support-mail --json | jq '.items[].errors'
    """
    kind = media_type or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with client_of(tenant) as client:
        tried = client.test_source(source, file.read_bytes(), kind)
    if json_:
        output.as_json(tried)
    else:
        output.out.print(_tried(tried))
    if tried.failed:
        raise typer.Exit(1)


def _settings(
    name: str | None,
    format_: Format | None,
    mapping: Path | None,
    preset: str | None,
    channel: Channel | None,
    time_zone: str | None,
    settle_minutes: int | None,
    dedupe_key: str | None,
) -> dict[str, Any]:
    given = {
        "name": name,
        "format": format_,
        "mapping": _mapping(mapping) if mapping else None,
        "preset": preset,
        "channel": channel,
        "time_zone": time_zone,
        "settle_minutes": settle_minutes,
        "dedupe_key": dedupe_key,
    }
    return {setting: value for setting, value in given.items() if value is not None}


def _mapping(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problem: ParleyError = InvalidInput(f"{file} cannot be read as JSON: {error}")
        output.fail(problem)


def _show(source: SourceOut, *, json_: bool) -> None:
    if json_:
        output.as_json(source)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    shown = source.model_dump(mode="json", exclude={"health", "mapping"}, exclude_none=True)
    for setting, value in shown.items():
        table.add_row(setting.replace("_", " "), Text(str(value)))
    if source.mapping is not None:
        table.add_row("mapping", Text(source.mapping.model_dump_json(indent=2, exclude_defaults=True)))
    health = source.health
    table.add_row("last seen", f"{health.last_seen_at:%Y-%m-%d %H:%M}" if health.last_seen_at else "never")
    counts = health.events
    table.add_row(
        "last 24 hours", f"{counts.received} received, {counts.accepted} waiting, {counts.dead_lettered} failed"
    )
    if health.last_error is not None:
        table.add_row("last error", Text(f"{health.last_error.at:%Y-%m-%d %H:%M} {health.last_error.detail}", "red"))
    output.out.print(table)


def _tried(tried: TriedOut) -> RenderableType:
    parts: list[RenderableType] = []
    for item in tried.items:
        parts += _item(item)
    if tried.items_total > len(tried.items):
        parts.append(Text(f"… and {tried.items_total - len(tried.items)} more items", "dim"))
    style = "red" if tried.failed else "green"
    parts.append(Text(f"{tried.items_total} items: {tried.conversations} conversations, {tried.failed} failed", style))
    return Group(*parts)


def _item(item: TriedItemOut) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for arrival in item.arrivals:
        intake = arrival.conversation
        head = f"item {item.position}: {intake.channel.value} {intake.external_id}"
        adds = ", joins a thread" if arrival.adds or arrival.links else ""
        lines.append(Text(f"{head}, {len(intake.messages or ())} messages{adds}"))
        people = {p.id: p for p in intake.participants}
        for message in (intake.messages or ())[:5]:
            who = people[message.author]
            text = " ".join(message.text.split())[:100]
            lines.append(Text(f"  {message.at or '(no time)'} {who.role.value} {who.name or who.id}: {text}"))
        if intake.metadata:
            lines.append(Text(f"  metadata {json.dumps(intake.metadata, ensure_ascii=False)}", "dim"))
        lines += [Text(f"  note: {note.detail}", "dim") for note in arrival.notes]
    if not item.arrivals and not item.errors:
        lines.append(Text(f"item {item.position}: passed over", "dim"))
    lines += [Text(f"item {item.position}: {error.field}: {error.reason}", "red") for error in item.errors]
    return lines


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.add_typer(sources)
