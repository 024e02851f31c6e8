"""Builds what the API needs, from settings: the other half of `infra.wiring`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio.runtime import Runtime

from infra.secrets import resolve_key
from infra.settings import Settings
from infra.telemetry.observer import ProcessObserver
from infra.temporal.client import Connection, connect
from infra.temporal.orchestrator import TemporalOrchestrator
from infra.temporal.queues import TemporalQueues, task_queues
from infra.wiring import Storage, build_accept, build_engines, build_events, build_readers, open_storage
from services.authenticate import Authenticate
from services.backlog import BacklogLimit, StoredBacklogAge
from services.catalogue import Catalogue
from services.correct_conversation import CorrectConversation
from services.dashboard import ReadDashboard
from services.dead_letters import ReadDeadLetters
from services.explain import Explain
from services.facade import ApiCaps, ApiServices
from services.idempotency import Idempotency
from services.imports import Imports
from services.listen import ListenToCall
from services.manage_engines import ManageEngines
from services.observation import Observer
from services.passwords import Passwords
from services.platform_status import ReadPlatformStatus
from services.ports import Orchestrator, QueueInspector
from services.provision import Provision
from services.read_conversation import ReadConversation
from services.read_events import ReadEvents
from services.readers import Readers
from services.readiness import Probe, Readiness
from services.rerun import Reenter
from services.search import SearchConversations
from services.sign_in import SessionRules, SignIn
from services.sources import Sources
from services.uploads import Uploads, UploadTokens
from services.users import ManageUsers

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing


@asynccontextmanager
async def open_api_services(
    settings: Settings,
    *,
    tracing: "Tracing | None" = None,
    runtime: Runtime | None = None,
    readers: Readers | None = None,
) -> AsyncIterator[ApiServices]:
    """The API's services. Temporal may be away: its client connects with the first call.

    Raises Unavailable when the database does not answer.
    """
    connection = Connection.from_settings(settings, identity="parley-api", tracing=tracing)
    client = await connect(connection, lazy=True, runtime=runtime)
    orchestrator = TemporalOrchestrator(client, ui_url=settings.temporal_ui_url, tracing=tracing)
    queues = TemporalQueues(client, task_queues(settings.config_dir))
    async with open_storage(settings, "api") as storage:
        yield build_api_services(settings, storage, orchestrator, queues, ProcessObserver(tracing), readers)


def build_api_services(
    settings: Settings,
    storage: Storage,
    orchestrator: TemporalOrchestrator,
    queues: QueueInspector,
    observer: Observer,
    readers: Readers | None = None,
) -> ApiServices:
    """The use cases on storage that is open. `readers` in the place of those of `engines.formats`."""
    database, content = storage.database, storage.content
    accept = build_accept(settings, storage, orchestrator, observer)
    readers = readers or build_readers()
    master_key = resolve_key(settings.master_key)
    tokens, passwords = UploadTokens(master_key), Passwords()
    rules = SessionRules(
        idle=timedelta(minutes=settings.session_idle_minutes), most=timedelta(hours=settings.session_hours)
    )
    return ApiServices(
        authenticate=Authenticate(database),
        accept=accept,
        correct=CorrectConversation(database, orchestrator),
        read=ReadConversation(database, content),
        explain=Explain(database, orchestrator),
        reenter=Reenter(database, orchestrator),
        uploads=Uploads(database, content, tokens, max_bytes=settings.max_upload_bytes),
        imports=Imports(database, content, orchestrator, max_bytes=settings.max_import_bytes),
        search=SearchConversations(database, storage.search),
        dashboard=ReadDashboard(database),
        listen=ListenToCall(database, content),
        sign_in=SignIn(database, passwords, master_key, rules=rules),
        users=ManageUsers(database, passwords),
        dead_letters=ReadDeadLetters(database),
        catalogue=Catalogue(database),
        sources=Sources(database, readers, ReadEvents(readers)),
        events=build_events(database, content, accept, readers),
        provision=Provision(database),
        engines=ManageEngines(
            database,
            storage.secrets,
            database.engine_gate,
            build_engines(settings, storage),
            hosts=settings.engine_hosts,
        ),
        idempotency=Idempotency(database),
        backlog=BacklogLimit(StoredBacklogAge(database)),
        readiness=Readiness(_probes(storage, orchestrator)),
        platform_status=ReadPlatformStatus(database, queues),
        orchestrator=orchestrator,
        caps=ApiCaps(public_url=settings.public_url, max_body_bytes=settings.max_body_bytes),
    )


def _probes(storage: Storage, orchestrator: Orchestrator) -> tuple[Probe, ...]:
    async def search() -> str:
        health = await storage.search.health()
        return f"{storage.search.backend}, {health.documents} documents"

    async def lag() -> str:
        return f"oldest change waits {await storage.database.platform.search_lag_seconds():.0f} s"

    return (
        Probe("database", True, storage.database.ping),
        Probe("content store", True, storage.content.ping),
        Probe("temporal", False, orchestrator.ping),
        Probe("search index", False, search),
        Probe("search lag", False, lag),
    )
