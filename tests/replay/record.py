"""Records a history of every branch on the real server: `python -m tests.replay.record [BRANCH…]`.

Recorded histories are what runs in production may look like. Record anew only when no run of the old shape can be
alive any more; until then change workflows behind `workflow.patched` and keep the old files (see docs/adr).
"""

import sys
from pathlib import Path

from infra.temporal.process import run_to_end
from tests.replay.branches import BRANCHES, Branch
from tests.support import stack, workflows
from tests.support.workflows import Script, World

HISTORIES = Path(__file__).parent / "histories"


async def record(branch: Branch, address: str, namespace: str) -> None:
    """One branch into its file."""
    client = await workflows.connect(address, namespace)
    world = World(client, Script(kind="recorded"))
    workflows.use_policies()
    branch.prepare(world)
    async with world.workers(imports=True):
        handle = await branch.drive(world)
    history = await handle.fetch_history()
    (HISTORIES / f"{branch.name}.json").write_text(f"{history.to_json()}\n", encoding="utf-8")


async def main(names: list[str]) -> None:
    """The branches named, or all."""
    HISTORIES.mkdir(exist_ok=True)
    with stack.temporal_server() as server:
        for branch in BRANCHES:
            if not names or branch.name in names:
                await record(branch, server.address, server.namespace)
                sys.stderr.write(f"recorded {branch.name}\n")


if __name__ == "__main__":
    run_to_end(main(sys.argv[1:]))
