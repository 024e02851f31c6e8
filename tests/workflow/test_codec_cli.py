"""Temporal's own command line reads sealed histories through the codec endpoint, and nothing without it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import uvicorn
from starlette.requests import Request
from temporalio.client import Client

from domain.errors import Unauthenticated
from infra.embedded.process import free_port
from infra.embedded.temporal_binary import find_binary
from infra.temporal.codec import SealingCodec
from infra.temporal.codec_server import codec_app
from tests.support.workflows import TEST_KEYS, World, until


async def authorize(request: Request) -> None:
    if request.headers.get("authorization") != "Bearer operator":
        raise Unauthenticated("no key")


@asynccontextmanager
async def endpoint() -> AsyncIterator[str]:
    port = free_port()
    app = codec_app(SealingCodec(TEST_KEYS), authorize)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, "the endpoint serves")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


@cache
def _binary() -> Path:
    return find_binary().path


async def first_input(client: Client, workflow_id: str, *arguments: str) -> str:
    """What the command line makes of the run's input."""
    process = await asyncio.create_subprocess_exec(
        str(_binary()), "workflow", "show", "--workflow-id", workflow_id, "--output", "json",
        "--address", client.service_client.config.target_host, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    shown = json.loads(output)
    data = shown["events"][0]["workflowExecutionStartedEventAttributes"]["input"]["payloads"][0]["data"]
    return base64.b64decode(data).decode(errors="replace")


async def test_the_command_line_decodes_for_an_operator(world: World, client: Client) -> None:
    entry = world.entry()
    async with world.workers():
        await (await world.start_entry(entry)).result()
    assert entry.run.conversation_id not in await first_input(client, entry.run.workflow_id)
    async with endpoint() as url:
        opened = await first_input(
            client, entry.run.workflow_id, "--codec-endpoint", url, "--codec-auth", "Bearer operator"
        )
        assert json.loads(opened)["run"]["conversation_id"] == entry.run.conversation_id
