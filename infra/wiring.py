"""The one place that builds pools, stores, engines and services from settings.

A process opens what it needs and closes it at its end. Engines and search adapters are imported where they are
built, so that a process loads the libraries of its own role only.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from domain.errors import InvalidInput
from domain.mapping import Format
from engines.protocols import AudioDecoder, LanguageIdentifier, Redactor
from infra.engine_pool import EnginePool
from infra.secrets import resolve, resolve_key
from infra.settings import Settings
from services.accept_conversation import AcceptConversation
from services.accept_many import AcceptMany
from services.backlog import BULK_LIMIT_SECONDS, BacklogLimit, StoredBacklogAge
from services.import_reading import Reading, Readings
from services.import_rows import ImportRows
from services.ports import Orchestrator
from services.pull_audio import AudioPuller
from services.receive import ReceiveArrivals
from storage.content import open_content_store
from storage.crypto import MasterKeys
from storage.postgres.database import PostgresDatabase
from storage.postgres.tenant_keys import PostgresDataKeys
from storage.protocols import ContentStore, Source
from storage.search.port import SearchIndex


@dataclass(frozen=True)
class Storage:
    """What is kept: database, content store, search index."""

    database: PostgresDatabase
    content: ContentStore
    search: SearchIndex


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
        keys = PostgresDataKeys(database, MasterKeys(resolve_key(settings.master_key)))
        content = open_content_store(settings.content_url, keys)
        search = _open_search(settings, database)
        try:
            yield Storage(database, content, search)
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


def build_engines(settings: Settings) -> EnginePool:
    """Transcription engines and language models by their configurations."""
    from engines.language_models import registry as language_models
    from engines.transcription import registry as transcription

    return EnginePool(settings.engine_credentials, transcription.build, language_models.build)


def build_decoder() -> AudioDecoder:
    from engines.audio.decode import Decoder

    return Decoder()


def build_redactor() -> Redactor:
    from engines.redaction.redactor import PatternAndNameRedactor

    return PatternAndNameRedactor()


def build_language_identifier() -> LanguageIdentifier:
    from engines.languages.identify import LinguaIdentifier

    return LinguaIdentifier()


def reading_of(source: Source, form: Format) -> Reading:
    """Who reads what a source sends, and by which mapping. Raises InvalidInput for a form nobody reads."""
    raise InvalidInput.of("format", f"{form.value} is not read here")


def bulk_limit(database: PostgresDatabase) -> BacklogLimit:
    """Bulk goes on while live traffic is taken up at once."""
    return BacklogLimit(StoredBacklogAge(database), limit_seconds=BULK_LIMIT_SECONDS)


def build_import_rows(
    settings: Settings, storage: Storage, orchestrator: Orchestrator, readings: Readings
) -> ImportRows:
    database, content = storage.database, storage.content
    accept = AcceptConversation(database, content, orchestrator, audio_url_hosts=settings.audio_url_hosts)
    many = AcceptMany(database, content, accept)
    return ImportRows(database, content, many, ReceiveArrivals(database, accept), readings, bulk_limit(database))


def build_audio_puller(settings: Settings, content: ContentStore) -> AudioPuller:
    return AudioPuller(content, allowed_hosts=settings.audio_url_hosts, max_bytes=settings.max_upload_bytes)
