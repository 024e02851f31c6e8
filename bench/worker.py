"""`python -m bench.worker ROLE…`: a worker process as the product starts it, with engines that answer at once.

The roles' queues, slots, pollers and timeouts are the product's (`temporal-config/workers.toml`); what a role hosts
besides (indexer, schedule) is left out. The same workers serve the empty workflow and its activity, so that both sides
of the comparison run in the same processes.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

from temporalio.client import Client

from activities.analyze import AnalyzeActivity
from activities.conclude import ConcludeActivity
from activities.import_rows import ConcludeImportActivity, ImportRowsActivity
from activities.ingest import IngestActivity
from activities.normalize import NormalizeActivity
from activities.persist import PersistActivity
from activities.plan import PlanActivity
from bench.noop import EMPTY_ACTIVITY, EMPTY_WORKFLOW, EmptyWorkflow, empty
from domain import contracts
from infra import wiring
from infra.settings import Settings, load_settings
from infra.temporal.orchestrator import TemporalOrchestrator
from infra.temporal.process import run_to_end
from infra.wiring import Storage
from tests.support.instant import (
    InstantEngines,
    InstantLanguageModel,
    InstantLanguages,
    InstantRedactor,
    known,
    some_value,
)
from workers.process import serve
from workers.roles import WORKFLOWS, QueueSpec, RoleSpec, choose, load_roles
from workers.serve import Activity


class InstantWiring:
    """Fulfils `workers.process.Wiring`: real storage, instant engines."""

    def __init__(self, settings: Settings, client: Client, storage: Storage) -> None:
        self._settings = settings
        self._client = client
        self._storage = storage

    def activities(self, names: Collection[str]) -> Mapping[str, Activity]:
        database, content = self._storage.database, self._storage.content
        build: Mapping[str, Callable[[], Activity]] = {
            contracts.INGEST.name: self._ingest,
            contracts.NORMALIZE.name: lambda: (
                NormalizeActivity(database, content, InstantRedactor(), InstantLanguages()).normalize
            ),
            contracts.PLAN.name: lambda: PlanActivity(database).plan,
            contracts.ANALYZE.name: lambda: (
                AnalyzeActivity(database, InstantEngines(InstantLanguageModel(known(some_value)))).analyze
            ),
            contracts.PERSIST.name: lambda: PersistActivity(database).persist,
            contracts.CONCLUDE.name: lambda: ConcludeActivity(database).conclude,
            contracts.IMPORT_ROWS.name: self._import_rows,
            contracts.CONCLUDE_IMPORT.name: lambda: ConcludeImportActivity(database).conclude_import,
            EMPTY_ACTIVITY: lambda: empty,
        }
        return {name: build[name]() for name in names}

    async def run_indexer(self, stop: asyncio.Event) -> None:
        raise NotImplementedError("no role of the bench hosts the indexer")

    async def run_folder(self, stop: asyncio.Event) -> None:
        raise NotImplementedError("no role of the bench hosts the folder")

    async def run_dispatcher(self, stop: asyncio.Event) -> None:
        raise NotImplementedError("no role of the bench hosts the dispatcher")

    def _import_rows(self) -> Activity:
        accept = wiring.build_accept(self._settings, self._storage, TemporalOrchestrator(self._client))
        return ImportRowsActivity(wiring.build_import_rows(self._storage, accept, wiring.readings())).import_rows

    def _ingest(self) -> Activity:
        content = self._storage.content
        puller = wiring.build_audio_puller(self._settings, content)
        return IngestActivity(
            self._storage.database, content, wiring.build_decoder(), puller, max_audio_minutes=1
        ).ingest


@asynccontextmanager
async def open_wiring(settings: Settings, client: Client) -> AsyncIterator[InstantWiring]:
    async with wiring.open_storage(settings, "worker") as storage:
        yield InstantWiring(settings, client, storage)


def with_baseline(role: RoleSpec) -> RoleSpec:
    """The role's queues with the baseline beside the product's own, for chats only, and nothing hosted."""
    queues = tuple(_with_empty(spec) for spec in role.queues if spec.kind in (None, "offline"))
    return role.model_copy(update={"queues": queues, "hosts": ()})


def _with_empty(spec: QueueSpec) -> QueueSpec:
    own = tuple(name for name in spec.activities if name != contracts.RECONCILE.name)
    workflows = (*spec.workflows, EMPTY_WORKFLOW) if spec.workflows else ()
    return spec.model_copy(update={"workflows": workflows, "activities": (*own, EMPTY_ACTIVITY)})


def main() -> int:
    WORKFLOWS[EMPTY_WORKFLOW] = EmptyWorkflow
    settings = load_settings()
    roles = [with_baseline(role) for role in choose(load_roles(settings.config_dir), sys.argv[1:])]
    run_to_end(serve(settings, roles, open_wiring))
    return 0


if __name__ == "__main__":
    sys.exit(main())
