"""The one place that builds pools, stores, engines and services from settings.

A process opens what it needs and closes it at its end. Engines and search adapters are imported where they are
built, so that a process loads the libraries of its own role only.
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.ids import new_id
from domain.mapping import Format
from engines.protocols import AudioDecoder, LanguageIdentifier, Redactor
from infra.engine_pool import EnginePool
from infra.readers import FormatReaders
from infra.secrets import resolve, resolve_key
from infra.settings import Settings
from infra.telemetry.pools import pools_shown
from services.accept_conversation import AcceptConversation
from services.accept_many import AcceptMany
from services.backlog import BULK_LIMIT_SECONDS, BacklogLimit, StoredBacklogAge
from services.call_plan import NUMBERS, CallShape
from services.guarded_engines import EngineGuard
from services.import_reading import Reading, Readings
from services.import_rows import ImportRows
from services.observation import Observer
from services.ports import Orchestrator
from services.pull_audio import AudioPuller
from services.read_events import ReadEvents
from services.readers import Readers, reading_of
from services.receive import ReceiveArrivals
from services.receive_events import ReceiveEvents
from storage.content import open_content_store
from storage.crypto import MasterKeys
from storage.postgres.database import PostgresDatabase
from storage.postgres.engine_secrets import PostgresEngineSecrets
from storage.postgres.tenant_keys import PostgresDataKeys
from storage.protocols import ContentStore, Database, Source
from storage.search.port import SearchIndex

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing


@dataclass(frozen=True)
class Storage:
    """What is kept: database, content store, search index, and the engines' secrets."""

    database: PostgresDatabase
    content: ContentStore
    search: SearchIndex
    secrets: PostgresEngineSecrets


@asynccontextmanager
async def open_storage(settings: Settings, process: str) -> AsyncIterator[Storage]:
    """`process` names the connections for whoever looks at the database.

    Raises Unavailable (the database does not answer), SecretUnavailable, InvalidInput (the content store's URL).
    """
    database = await PostgresDatabase.connect(
        settings.database_url.get_secret_value(),
        settings.platform_database_url.get_secret_value(),
        pool_min=settings.database_pool_min,
        pool_max=settings.database_pool_max,
        platform_pool_max=settings.platform_pool_max,
        timeout_seconds=settings.database_timeout_seconds,
        application_name=f"parley {process}",
    )
    try:
        master_keys = MasterKeys(resolve_key(settings.master_key))
        keys = PostgresDataKeys(database, master_keys)
        secrets = PostgresEngineSecrets(database.platform, keys, master_keys)
        content = open_content_store(settings.content_url, keys)
        search = _open_search(settings, database)
        try:
            with pools_shown(database.pools):
                yield Storage(database, content, search, secrets)
        finally:
            await search.close()
    finally:
        await database.close()


def _open_search(settings: Settings, database: PostgresDatabase) -> SearchIndex:
    """Meilisearch where there is one, else Postgres full text."""
    if not settings.meili_url:
        from storage.search.postgres import PostgresSearch

        return PostgresSearch(database)
    from storage.search.meilisearch import MeilisearchSearch

    key = resolve(settings.meili_key).get_secret_value()
    return MeilisearchSearch(settings.meili_url, key, settings.search_index)


def build_engines(settings: Settings, storage: Storage, tracing: "Tracing | None" = None) -> EnginePool:
    """Transcription engines and language models by their configurations, with what all processes share of them."""
    from engines.language_models import registry as language_models
    from engines.transcription import registry as transcription

    guard = EngineGuard(storage.database.engine_gate, f"{socket.gethostname()}:{os.getpid()}:{new_id()}")
    return EnginePool(
        settings.engine_credentials, storage.secrets, guard, transcription.build, language_models.build, tracing
    )


def build_call_shape(settings: Settings) -> CallShape:
    """The thresholds for how the calls of one conversation are cut."""
    return CallShape(**{name: getattr(settings, name) for name in NUMBERS})


def build_decoder() -> AudioDecoder:
    from engines.audio.decode import Decoder

    return Decoder()


def build_redactor() -> Redactor:
    from engines.redaction.redactor import PatternAndNameRedactor

    return PatternAndNameRedactor()


def build_language_identifier() -> LanguageIdentifier:
    from engines.languages.identify import LinguaIdentifier

    return LinguaIdentifier()


def readings(readers: Readers | None = None) -> Readings:
    """Who reads the files of a source, and by which mapping."""
    readers = readers or build_readers()

    def reading(source: Source, form: Format) -> Reading:
        return Reading(*reading_of(readers, source, form))

    return reading


def bulk_limit(database: PostgresDatabase) -> BacklogLimit:
    """Bulk goes on while live traffic is taken up at once."""
    return BacklogLimit(StoredBacklogAge(database), limit_seconds=BULK_LIMIT_SECONDS)


def build_accept(
    settings: Settings, storage: Storage, orchestrator: Orchestrator, observer: Observer | None = None
) -> AcceptConversation:
    return AcceptConversation(
        storage.database,
        storage.content,
        orchestrator,
        audio_url_hosts=settings.audio_url_hosts,
        observer=observer,
    )


def build_import_rows(storage: Storage, accept: AcceptConversation, readings: Readings) -> ImportRows:
    database, content = storage.database, storage.content
    many = AcceptMany(database, content, accept)
    return ImportRows(database, content, many, ReceiveArrivals(database, accept), readings, bulk_limit(database))


def build_audio_puller(settings: Settings, content: ContentStore) -> AudioPuller:
    return AudioPuller(content, allowed_hosts=settings.audio_url_hosts, max_bytes=settings.max_upload_bytes)


def build_readers() -> Readers:
    """The readers of the forms that sources send."""
    return FormatReaders()


def build_events(
    database: Database, content: ContentStore, accept: AcceptConversation, readers: Readers
) -> ReceiveEvents:
    """What receives raw events: in the API when they come, in a worker when the API died over them."""
    return ReceiveEvents(database, content, ReadEvents(readers), ReceiveArrivals(database, accept))
