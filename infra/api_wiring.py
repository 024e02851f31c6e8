"""Builds what the API needs, from settings: the other half of `infra.wiring`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.secrets import resolve_key
from infra.settings import Settings
from infra.temporal.client import Connection, connect
from infra.temporal.orchestrator import TemporalOrchestrator
from infra.wiring import Storage, build_engines, open_storage
from services.accept_conversation import AcceptConversation
from services.authenticate import Authenticate
from services.backlog import BacklogLimit, StoredBacklogAge
from services.catalogue import Catalogue
from services.correct_conversation import CorrectConversation
from services.dead_letters import ReadDeadLetters
from services.explain import Explain
from services.facade import ApiCaps, ApiServices
from services.idempotency import Idempotency
from services.manage_engines import ManageEngines
from services.ports import Orchestrator
from services.provision import Provision
from services.read_conversation import ReadConversation
from services.readiness import Probe, Readiness
from services.rerun import Reenter
from services.search import SearchConversations
from services.uploads import Uploads, UploadTokens


@asynccontextmanager
async def open_api_services(settings: Settings) -> AsyncIterator[ApiServices]:
    """The API's services. Temporal may be away: its client connects with the first call.

    Raises Unavailable when the database does not answer.
    """
    client = await connect(Connection.from_settings(settings, identity="parley-api"), lazy=True)
    orchestrator = TemporalOrchestrator(client, ui_url=settings.temporal_ui_url)
    async with open_storage(settings, "api") as storage:
        yield build_api_services(settings, storage, orchestrator)


def build_api_services(settings: Settings, storage: Storage, orchestrator: Orchestrator) -> ApiServices:
    """The use cases on storage that is open."""
    database, content = storage.database, storage.content
    accept = AcceptConversation(database, content, orchestrator, audio_url_hosts=settings.audio_url_hosts)
    tokens = UploadTokens(resolve_key(settings.master_key))
    return ApiServices(
        authenticate=Authenticate(database),
        accept=accept,
        correct=CorrectConversation(database, orchestrator),
        read=ReadConversation(database, content),
        explain=Explain(database, orchestrator),
        reenter=Reenter(database, orchestrator),
        uploads=Uploads(database, content, tokens, max_bytes=settings.max_upload_bytes),
        search=SearchConversations(database, storage.search),
        dead_letters=ReadDeadLetters(database),
        catalogue=Catalogue(database),
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
