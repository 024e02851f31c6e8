"""The commands that speak to the service over its API."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli import output
from cli.client import ParleyClient
from cli.connection import connect
from domain.errors import InvalidInput, ParleyError

Json = Annotated[bool, typer.Option("--json", help="Machine-readable: one JSON object a line.")]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", "-t", help="Slug or id; needed with a platform's key.", show_default=False)
]
Conversation = Annotated[str, typer.Argument(help="The conversation's id.", show_default=False)]

dead_letters = typer.Typer(help="What failed for good, and how to enter it again.", no_args_is_help=True)


@contextmanager
def client_of(tenant: str | None) -> Iterator[ParleyClient]:
    """A connected client; what goes wrong is told, and ends the command with 1."""
    try:
        with ParleyClient(connect(tenant)) as client:
            yield client
    except ParleyError as error:
        output.fail(error)


def show(conversation: Conversation, tenant: TenantOption = None, json_: Json = False) -> None:
    """Show a conversation: what was said, and every value with the words it rests on.

    Examples:

        parley show 0b6f…

        parley show 0b6f… --json | jq .fields
    """
    with client_of(tenant) as client:
        found = client.conversation(conversation)
        if json_:
            output.as_json(found)
            return
        output.out.print(output.conversation_head(found))
        if found.searchable or any(s.name == "normalize" and s.state == "completed" for s in found.stages):
            output.out.print(Padding(output.turns(client.words(conversation)), (1, 0, 1, 2)))
        output.out.print(Padding(output.values(client.fields(conversation).effective), (0, 0, 0, 2)))
        for skipped in found.skipped:
            output.out.print(Text(f"  skipped {skipped.task}: {skipped.words}", "dim"))


def explain(conversation: Conversation, tenant: TenantOption = None, json_: Json = False) -> None:
    """Why is this empty, or stuck? Stage, tries, last error, next try, and the rule that decided.

    Examples:

        parley explain 0b6f…
    """
    with client_of(tenant) as client:
        found = client.explain(conversation)
        if json_:
            output.as_json(found)
        else:
            output.out.print(output.explanation(found))


def search(
    query: Annotated[str, typer.Argument(help='Words, "quoted phrases", -without.')] = "",
    where: Annotated[str | None, typer.Option("--where", "-w", help="A filter; see docs/filters.md.")] = None,
    facets: Annotated[str, typer.Option("--facets", "-f", help="Names to count values of, with commas.")] = "",
    sort: Annotated[str | None, typer.Option("--sort", "-s", help="A name, -name for descending.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200)] = 10,
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """Search conversations by words, metadata and values.

    Examples:

        parley search refund

        parley search 'refund' --where 'csat < 3 and channel = call'

        parley search --where "meta.plan = 'gold'" --facets sentiment,channel --sort csat
    """
    body: dict[str, Any] = {"query": query, "limit": limit}
    body |= {"where": where} if where else {}
    body |= {"sort": sort} if sort else {}
    body |= {"facets": [f.strip() for f in facets.split(",") if f.strip()]} if facets else {}
    with client_of(tenant) as client:
        found = client.search(body)
    if json_:
        output.as_json(found)
        return
    for hit in found.items:
        output.out.print(output.hit(hit))
    for facet in found.facets:
        counts = ", ".join(f"{v.value} {v.count}" for v in facet.values)
        output.out.print(Text.assemble((f"{facet.name}: ", "bold"), counts))
    about = "about " if found.total_is_estimate else ""
    output.out.print(Text(f"{about}{found.total} found ({found.backend})", "dim"))
    for note in found.notes:
        output.out.print(Text(f"note: {note}", "dim"))


def rerun(
    conversation: Conversation,
    task: Annotated[list[str] | None, typer.Option("--task", help="Only this task; may be given again.")] = None,
    from_stage: Annotated[str, typer.Option("--from", help="plan, normalize or ingest.")] = "plan",
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """Run a conversation again. What has not changed is not paid for again.

    Examples:

        parley rerun 0b6f…

        parley rerun 0b6f… --task csat
    """
    with client_of(tenant) as client:
        entered = client.rerun(conversation, task or [], from_stage)
    if json_:
        output.as_json(entered)
    else:
        output.out.print(f"entry {entered.entry} begins at {entered.enter_at.value}", highlight=False)


@dead_letters.command("list")
def list_dead_letters(
    all_: Annotated[bool, typer.Option("--all", help="Also those that were entered again.")] = False,
    source: Annotated[str | None, typer.Option("--source", help="Only events of this source.")] = None,
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """What was given up, newest first: runs of conversations, and events that could not be read.

    Examples:

        parley dead-letters list

        parley dead-letters list --source zendesk

        parley dead-letters list --all --json | jq .error_type
    """
    with client_of(tenant) as client:
        found = list(client.dead_letters(all_of_them=all_, source=source))
    if json_:
        output.as_json(found)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("dead letter", "stage", "why", "tries", "last", "about"):
        table.add_column(column, overflow="fold")
    for letter in found:
        why = Text(letter.error_type + (f": {letter.detail}" if letter.detail else ""))
        last = f"{letter.last_at:%Y-%m-%d %H:%M}"
        about = letter.conversation_id or f"event of {letter.source}"
        table.add_row(letter.id, letter.stage.value, why, str(letter.attempts), last, about)
    output.out.print(table if found else Text("nothing was given up", "green"))


@dead_letters.command()
def redrive(
    dead_letter: Annotated[str | None, typer.Argument(help="The dead letter's id.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option("--source", help="All open ones about events of this source.")] = None,
    tenant: TenantOption = None,
    json_: Json = False,
) -> None:
    """Enter the conversation again at the stage that failed; read an event again, as its source is configured now.

    Examples:

        parley dead-letters redrive 5c1e…

        parley dead-letters redrive --source zendesk
    """
    if (dead_letter is None) == (source is None):
        output.fail(InvalidInput("give a dead letter's id, or --source"))
    with client_of(tenant) as client:
        if source is not None:
            _redrive_source(client, source, json_=json_)
            return
        entered = client.redrive(str(dead_letter))
    if json_:
        output.as_json(entered)
    elif entered.event is not None:
        output.out.print(output.event(entered.event))
    else:
        output.out.print(f"entry {entered.entry} begins at {entered.enter_at.value}", highlight=False)


def _redrive_source(client: ParleyClient, source: str, *, json_: bool) -> None:
    """Call by call, until none is left that was not tried."""
    received = failed = 0
    while True:
        done = client.redrive_source(source)
        received, failed = received + done.received, failed + done.failed
        if done.remaining == 0 or done.received == 0:
            break
    if json_:
        output.as_json(done.model_copy(update={"received": received, "failed": failed}))
    else:
        output.out.print(f"{received} received, {failed} failed again, {done.remaining} not tried", highlight=False)


@dead_letters.command()
def body(
    dead_letter: Annotated[str, typer.Argument(help="The dead letter's id.", show_default=False)],
    tenant: TenantOption = None,
) -> None:
    """Write the raw body of an event that could not be read to standard output. Every look is on the audit trail.

    Examples:

        parley dead-letters body 5c1e… > event.json

        parley source test event.json --source zendesk
    """
    with client_of(tenant) as client:
        sys.stdout.buffer.write(client.dead_letter_body(dead_letter))


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (search, show, explain, rerun):
        app.command()(command)
    app.add_typer(dead_letters, name="dead-letters")
