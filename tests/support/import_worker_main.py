"""The product's worker with the readers of the tests: `python -m tests.support.import_worker_main FOLDER ROLE…`.

While FOLDER/hold exists, line 501 of every file is waited at; FOLDER/held says that it was reached.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

from activities.import_rows import ImportRowsActivity
from infra import wiring
from infra.logs import configure_logs
from infra.settings import Settings, load_settings
from infra.temporal.process import run_to_end
from tests.support.rows import NdjsonReader, held_by_file, readings
from workers.process import serve
from workers.roles import choose, load_roles
from workers.serve import Activity
from workers.wiring import WorkerWiring

HELD_AT = 501


class TestWiring(WorkerWiring):
    """Everything is the product's but for who reads."""

    folder: Path

    def _import_rows(self) -> Activity:
        read = readings(NdjsonReader(held_by_file(self.folder, HELD_AT)))
        rows = wiring.build_import_rows(self._storage, self._accept, read)
        return ImportRowsActivity(rows).import_rows


def main() -> None:
    folder, roles = Path(sys.argv[1]), sys.argv[2:]
    settings = load_settings()
    configure_logs(settings)

    @asynccontextmanager
    async def open_wiring(given: Settings, client: Client) -> AsyncIterator[TestWiring]:
        async with wiring.open_storage(given, "worker") as storage:
            made = TestWiring(given, client, storage)
            made.folder = folder
            yield made

    run_to_end(serve(settings, choose(load_roles(settings.config_dir), roles), open_wiring))


if __name__ == "__main__":
    main()
