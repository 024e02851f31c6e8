"""`python -m bench.bare`: the baseline of `accept_vs_start`, FastAPI with one route that starts the empty workflow.

The client and its plugin, uvicorn's settings and the id policies are the product's; there is nothing else.
"""

import sys

import uvicorn
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from api.__main__ import server_config
from bench.noop import EMPTY_WORKFLOW
from domain.contracts import CONVERSATIONS_QUEUE
from domain.ids import new_id
from infra.settings import Settings, load_settings
from infra.temporal.client import Connection, connect
from infra.temporal.process import run_to_end


def create_app(client: Client) -> FastAPI:
    """One route; whatever body comes is not looked at."""
    app = FastAPI()

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {}

    @app.post("/start", status_code=202)
    async def start() -> dict[str, str]:
        handle = await client.start_workflow(
            EMPTY_WORKFLOW,
            CONVERSATIONS_QUEUE,
            id=f"empty/{new_id()}",
            task_queue=CONVERSATIONS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        )
        return {"id": handle.id}

    return app


async def serve(settings: Settings) -> None:
    client = await connect(Connection.from_settings(settings, identity="bench-bare"))
    await uvicorn.Server(server_config(settings, create_app(client))).serve()


def main() -> int:
    run_to_end(serve(load_settings()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
