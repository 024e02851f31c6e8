"""The demo's conversations as senders really send them: a mailbox, two help desks, a spreadsheet, a call recorder.

Each has a source of its own, whose mapping reads its form. The help desks' payloads go in as raw events, one by one;
the mailbox, the spreadsheet and the recordings as imports. The mailbox's files lie in another order than they were
written.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.client import ApiProblem, ParleyClient
from cli.demo.corpus import FOLDER
from cli.ingest.bodies import Body, bodies_of
from cli.ingest.follow import follow
from cli.ingest.sorting import files_of, sort_out
from domain.errors import InvalidInput
from domain.import_formats import media_type_of
from domain.imports import ImportState
from domain.mapping import Format

VENDORS = FOLDER / "vendors"

SOURCES: tuple[dict[str, Any], ...] = (
    {
        "slug": "mailbox",
        "name": "Shared mailbox",
        "format": "email",
        "channel": "email",
        "time_zone": "Europe/London",
        "mapping": {"own_addresses": ["brookside.example"]},
    },
    {"slug": "zendesk", "name": "Zendesk", "format": "json", "preset": "zendesk"},
    {"slug": "intercom", "name": "Intercom", "format": "json", "preset": "intercom"},
    {
        "slug": "hotel",
        "name": "Hotel desk, exported",
        "format": "table",
        "channel": "ticket",
        "time_zone": "Europe/London",
        "mapping": {
            "external_id": '"Ticket ID"',
            "started_at": "Created",
            "metadata": {"priority": "Priority", "product": "Product", "state": "Status"},
            "messages": [
                {
                    "each": "@",
                    "author": "Requester",
                    "role": "customer",
                    "at": "Created",
                    "subject": "Subject",
                    "text": "Description",
                }
            ],
            "time_formats": ["%Y-%m-%d %H:%M"],
            "closed": "`true`",
        },
    },
    {
        "slug": "recorder",
        "name": "Call recorder",
        "format": "recording",
        "channel": "call",
        "mapping": {
            "external_id": "callId",
            "started_at": "started",
            "direction": {"value": "direction"},
            "queue": "skill",
            "participants": [
                {"each": "agent", "id": "id", "name": "text", "role": "agent"},
                {"each": "customer", "id": "id", "role": "customer"},
            ],
            "audio": {"role": {"value": "suffix"}},
        },
    },
)
ONE_BY_ONE = ("zendesk", "intercom")
AS_IMPORTS = ("mailbox", "hotel", "recorder")


def set_up(client: ParleyClient) -> None:
    """The sources; those that exist already are left as they are."""
    for source in SOURCES:
        try:
            client.create_source(source)
        except ApiProblem as problem:
            if problem.status != 409:
                raise


def hand_in(client: ParleyClient) -> list[str]:
    """Ids of the conversations that came of everything, each once. Raises InvalidInput when something was refused."""
    ids = [*_events(client), *_imports(client)]
    return list(dict.fromkeys(ids))


def _events(client: ParleyClient) -> Iterator[str]:
    for source in ONE_BY_ONE:
        for file in sorted((VENDORS / source).iterdir()):
            receipt = client.send_event(source, file.read_bytes(), media_type_of(file.name))
            for item in receipt.items:
                if item.conversation_id is None:
                    reasons = "; ".join(f"{error.field}: {error.reason}" for error in item.errors)
                    raise InvalidInput(f"{file.name} was not taken: {reasons or receipt.state.value}")
                yield item.conversation_id


def _imports(client: ParleyClient) -> Iterator[str]:
    for source in AS_IMPORTS:
        for body in _bodies(client, VENDORS / source):
            yield from _imported(client, source, body)


def _bodies(client: ParleyClient, folder: Path) -> list[Body]:
    return bodies_of(sort_out(files_of([folder])), None, client.upload)


def _imported(client: ParleyClient, source: str, body: Body) -> Iterator[str]:
    form = body.format or (Format.TABLE if body.media_type == "text/csv" else None)
    params = {"source": source, "name": body.name, **({"format": form.value} if form else {})}
    with body.opened() as (stream, size):
        import_id = client.hand_in_file(stream, size, body.media_type, params).id
    if follow(client, import_id, wait=0, quiet=True).state is not ImportState.COMPLETED:
        raise InvalidInput(f"{body.name} could not be read")
    for row in client.import_rows(import_id):
        if row.conversation_id is None:
            raise InvalidInput(f"row {row.number} of {body.name} was not taken: {row.code}")
        yield row.conversation_id
