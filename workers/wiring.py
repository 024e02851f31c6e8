"""Builds the activities a worker process serves, and nothing that only other roles need."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from temporalio.client import Client

from activities.analyze import AnalyzeActivity
from activities.conclude import ConcludeActivity
from activities.import_rows import ConcludeImportActivity, ImportRowsActivity
from activities.ingest import IngestActivity
from activities.normalize import NormalizeActivity
from activities.persist import PersistActivity
from activities.plan import PlanActivity
from activities.reconcile import ReconcileActivity
from activities.transcribe import TranscribeActivity
from domain import contracts
from infra import wiring
from infra.engine_pool import EnginePool
from infra.settings import Settings
from infra.telemetry.observer import ProcessObserver
from infra.temporal.orchestrator import TemporalOrchestrator
from infra.wiring import Storage
from services.accept_conversation import AcceptConversation
from services.dispatch import Dispatcher, run_dispatcher
from services.fold_rollups import run_folder
from services.import_starts import ImportStarts
from services.index import run_indexer
from services.reconcile import Reconciler
from workers.serve import Activity

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing


class WorkerWiring:
    """Fulfils `workers.process.Wiring`."""

    def __init__(self, settings: Settings, client: Client, storage: Storage, tracing: "Tracing | None" = None) -> None:
        self._settings = settings
        self._client = client
        self._storage = storage
        self._tracing = tracing
        self._observer = ProcessObserver(tracing)

    def activities(self, names: Collection[str]) -> Mapping[str, Activity]:
        build: Mapping[str, Callable[[], Activity]] = {
            contracts.INGEST.name: self._ingest,
            contracts.TRANSCRIBE.name: self._transcribe,
            contracts.NORMALIZE.name: self._normalize,
            contracts.PLAN.name: self._plan,
            contracts.ANALYZE.name: self._analyze,
            contracts.PERSIST.name: lambda: PersistActivity(self._storage.database).persist,
            contracts.CONCLUDE.name: lambda: ConcludeActivity(self._storage.database).conclude,
            contracts.RECONCILE.name: self._reconcile,
            contracts.IMPORT_ROWS.name: self._import_rows,
            contracts.CONCLUDE_IMPORT.name: lambda: ConcludeImportActivity(self._storage.database).conclude_import,
        }
        return {name: build[name]() for name in names}

    async def run_indexer(self, stop: asyncio.Event) -> None:
        await run_indexer(self._storage.database, self._storage.search, stop, observer=self._observer)

    async def run_folder(self, stop: asyncio.Event) -> None:
        await run_folder(self._storage.database, stop)

    async def run_dispatcher(self, stop: asyncio.Event) -> None:
        database = self._storage.database
        dispatcher = Dispatcher(
            database, self._orchestrator, wiring.bulk_limit(database), open_runs=self._settings.paced_open_runs
        )
        await run_dispatcher(database, dispatcher, stop)

    @cached_property
    def _orchestrator(self) -> TemporalOrchestrator:
        return TemporalOrchestrator(self._client, ui_url=self._settings.temporal_ui_url, tracing=self._tracing)

    @cached_property
    def _engines(self) -> EnginePool:
        return wiring.build_engines(self._settings, self._storage, self._tracing)

    def _ingest(self) -> Activity:
        content = self._storage.content
        return IngestActivity(
            self._storage.database,
            content,
            wiring.build_decoder(),
            wiring.build_audio_puller(self._settings, content),
            max_audio_minutes=self._settings.max_audio_minutes,
        ).ingest

    def _transcribe(self) -> Activity:
        return TranscribeActivity(
            self._storage.database,
            self._storage.content,
            wiring.build_decoder(),
            self._engines,
            max_audio_minutes=self._settings.max_audio_minutes,
        ).transcribe

    def _normalize(self) -> Activity:
        return NormalizeActivity(
            self._storage.database,
            self._storage.content,
            wiring.build_redactor(),
            wiring.build_language_identifier(),
        ).normalize

    def _plan(self) -> Activity:
        shape = wiring.build_call_shape(self._settings)
        return PlanActivity(self._storage.database, shape, self._observer).plan

    def _analyze(self) -> Activity:
        shape = wiring.build_call_shape(self._settings)
        return AnalyzeActivity(self._storage.database, self._engines, shape, self._observer).analyze

    def _reconcile(self) -> Activity:
        database, orchestrator = self._storage.database, self._orchestrator
        events = wiring.build_events(database, self._storage.content, self._accept, wiring.build_readers())
        reconciler = Reconciler(database, orchestrator, events=events)
        return ReconcileActivity(reconciler, ImportStarts(database, orchestrator)).reconcile

    def _import_rows(self) -> Activity:
        rows = wiring.build_import_rows(self._storage, self._accept, wiring.readings())
        return ImportRowsActivity(rows).import_rows

    @cached_property
    def _accept(self) -> AcceptConversation:
        return wiring.build_accept(self._settings, self._storage, self._orchestrator, self._observer)


@asynccontextmanager
async def open_wiring(
    settings: Settings, client: Client, tracing: "Tracing | None" = None
) -> AsyncIterator[WorkerWiring]:
    """Pools and stores of one worker process, closed at the end."""
    async with wiring.open_storage(settings, "worker") as storage:
        yield WorkerWiring(settings, client, storage, tracing)
