"""`parley demo`: the whole service on this machine, shown on some forty conversations."""

import asyncio
import os
import signal
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cli import output
from cli.client import ParleyClient
from cli.connection import Connection, operator_key, remember_tenant
from cli.demo import corpus, pipeline, report, tenant
from domain.errors import ParleyError
from infra.embedded.errors import StackError
from infra.embedded.stack import EmbeddedStack, StackOptions
from infra.embedded.state import StackRecord, StateFolder

REPORT_FILE = "demo-report.json"
_COMPLETED = "WorkflowType = 'ConversationWorkflow' and ExecutionStatus = 'Completed'"


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop when everything is shown; so does ONCE=1, or having no terminal.")
    ] = False,
) -> None:
    """Start everything, hand in the demo's conversations over the public API, and show what came out.

    With a terminal the service stays up until Ctrl-C. The result is also written to `.parley/demo-report.json`.

    Examples:

        parley demo

        parley demo --once
    """
    stay = sys.stdin.isatty() and sys.stdout.isatty() and not once and os.environ.get("ONCE", "") in ("", "0")
    try:
        succeeded = asyncio.run(_demo(stay=stay))
    except StackError as error:
        output.err.print(Text(error.message, "red"))
        raise typer.Exit(1) from None
    except ParleyError as error:
        output.fail(error)
    raise typer.Exit(0 if succeeded else 1)


async def _demo(*, stay: bool) -> bool:
    began = time.monotonic()
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    options = StackOptions.from_environment()

    def tell(line: str) -> None:
        output.err.print(line, style="dim", markup=False, highlight=False)

    async with EmbeddedStack(options, tell) as stack:
        showing = asyncio.create_task(_show(stack.state, stack.record, began))
        stopping = asyncio.create_task(asked.wait())
        await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not showing.done():
            showing.cancel()
            return False
        succeeded = showing.result()
        if stay:
            _invite(stack.record)
            await stopping
        stopping.cancel()
    return succeeded


async def _show(state: StateFolder, record: StackRecord, began: float) -> bool:
    """The client's side, in a thread: it speaks to the service as any other client does."""
    completed_before = await _workflows_completed(record)
    result = await asyncio.to_thread(_work, state, record, began)
    completed = await _workflows_completed(record)
    result = report.DemoResult(**{**vars(result), "workflows_completed": max(completed, completed_before)})
    report.write(state.path / REPORT_FILE, result)
    with ParleyClient(Connection(record.addresses["api"], operator_key(state), _tenant(state))) as client:
        password = await asyncio.to_thread(tenant.viewer, client)
        email, slug = tenant.PERSON["email"], tenant.TENANT["slug"]
        door = (record.addresses["api"], slug, result.conversations, email, password)
        report.show_door(output.out, *door)
        await asyncio.to_thread(report.show, output.out, client, result)
    report.show_door(output.out, *door)  # again where the eye is: what was shown is long
    return result.succeeded


def _tenant(state: StateFolder) -> str:
    return (state.path / "tenant").read_text(encoding="utf-8").strip()


def _work(state: StateFolder, record: StackRecord, began: float) -> report.DemoResult:
    console = Console(stderr=True)
    with ParleyClient(Connection(record.addresses["api"], operator_key(state))) as client:
        remember_tenant(state, tenant.set_up(client))
        ready = time.monotonic()
        conversations = pipeline.run(client, corpus.conversations(), console)
        done = time.monotonic()
        return report.collect(
            client,
            conversations,
            workflows_completed=0,
            addresses=record.addresses,
            setup_seconds=ready - began,
            pipeline_seconds=done - ready,
        )


async def _workflows_completed(record: StackRecord) -> int:
    """Counted by Temporal itself. Visibility follows a moment behind, so the count is asked for until it stands."""
    from temporalio.client import Client  # no other command needs it, and it takes long to load

    client = await Client.connect(
        record.addresses["temporal"], namespace=record.environment["PARLEY_TEMPORAL_NAMESPACE"]
    )
    count, before = -1, -2
    while count != before:
        before = count
        count = (await client.count_workflows(_COMPLETED)).count
        await asyncio.sleep(0.5)
    return count


def _invite(record: StackRecord) -> None:
    for label, name in (("API docs", "api_docs"), ("Temporal UI", "temporal_ui")):
        if address := record.addresses.get(name):
            output.out.print(f"{label:>12}  {address}", highlight=False)
    output.out.print("    try next  parley search 'refund' --where 'csat < 3'   (in another terminal)", highlight=False)
    output.out.print("     to stop  Ctrl-C", highlight=False)
