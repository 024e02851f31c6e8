"""Conversations, documents and indexes for the search port's contract suite."""

import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx

from domain.conversation import Channel, Conversation, MetadataValue, Participant, Role, Status
from domain.fields import FieldScalar
from domain.filters import parse
from domain.filters.schema import FilterSchema
from domain.filters.tree import Filter
from domain.ids import derived_id, new_id
from domain.search import SearchDocument
from domain.tenants import Limit, NewTenant, Retention, TenantLimits
from domain.turns import Turn
from domain.values import FieldValue, ValueKind
from infra.embedded.process import free_port
from storage.postgres.database import PostgresDatabase
from storage.postgres.provisioning import Provisioning
from storage.search.meilisearch import MeilisearchSearch
from storage.search.port import SearchIndex
from storage.search.postgres import PostgresSearch
from tests.support.filter_cases import FIELDS, NOW, ZONE
from tests.support.stack import DatabaseUrls, scratch_folder

START = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
SCHEMA = FilterSchema.of(FIELDS)


def where(text: str) -> Filter:
    return parse(text, SCHEMA, now=NOW, zone=ZONE)


def turn(number: int, text: str) -> Turn:
    role = Role.CUSTOMER if number % 2 else Role.AGENT
    return Turn(number=number, role=role, participant_id=role.value, text=text)


def conversation(tenant_id: str, identity: str, **changes: object) -> Conversation:
    """A chat of the tenant; `changes` are fields of Conversation."""
    started = changes.pop("started_at", START)
    assert isinstance(started, datetime)
    metadata: dict[str, MetadataValue] = {}
    plain = Conversation(
        tenant_id=tenant_id,
        id=identity,
        source="api",
        external_id=identity,
        channel=Channel.CHAT,
        revision=1,
        status=Status.COMPLETED,
        searchable=True,
        started_at=started,
        received_at=started + timedelta(minutes=1),
        metadata=metadata,
        participants=(Participant(id="ag-1", role=Role.AGENT),),
        created_at=started,
        updated_at=started,
    )
    return plain.model_copy(update=changes)


def value(tenant_id: str, conversation_id: str, key: str, known: FieldScalar | None) -> FieldValue:
    return FieldValue(
        id=new_id(),
        tenant_id=tenant_id,
        conversation_id=conversation_id,
        revision=1,
        subject_id=conversation_id,
        field_id=derived_id("test-field", key),
        field_key=key,
        kind=ValueKind.UNKNOWN if known is None else ValueKind.STATED,
        value=known,
        created_at=START,
    )


def document(
    tenant_id: str,
    texts: str | Sequence[str] = (),
    *,
    identity: str | None = None,
    fields: dict[str, FieldScalar | None] | None = None,
    **changes: object,
) -> SearchDocument:
    """texts: of the turns. fields: values of Custom Fields, None for unknown."""
    identity = identity or new_id()
    spoken = [texts] if isinstance(texts, str) else texts
    return SearchDocument.of(
        conversation(tenant_id, identity, **changes),
        [turn(number, text) for number, text in enumerate(spoken, 1)],
        [value(tenant_id, identity, key, known) for key, known in (fields or {}).items()],
    )


# -- the adapters -------------------------------------------------------------------------------------------


@dataclass
class Ground:
    """An index under test and two tenants that exist."""

    index: SearchIndex
    tenants: tuple[str, str]
    tenants_must_exist: bool = True

    async def clear(self) -> None:
        """Nothing of the tenants is in the index."""
        if self.tenants_must_exist:
            for tenant in self.tenants:
                await self.index.delete_tenant(tenant)
        else:
            self.tenants = uuid4().hex, uuid4().hex


@asynccontextmanager
async def postgres_ground(urls: DatabaseUrls) -> AsyncIterator[Ground]:
    database = await PostgresDatabase.connect(urls.app, urls.platform)
    try:
        async with Provisioning.connect(urls.owner) as provisioning:
            tenants = [await provisioning.create_tenant(_new_tenant()) for _ in range(2)]
        index = PostgresSearch(database)
        await index.prepare()
        yield Ground(index, (tenants[0].id, tenants[1].id))
    finally:
        await database.close()


def _new_tenant() -> NewTenant:
    limit = Limit(warn_at=1e6, stop_at=1e6)
    slug = f"t-{uuid4().hex[:12]}"
    return NewTenant(
        slug=slug,
        name=slug,
        time_zone="Europe/Berlin",
        languages=("en",),
        retention=Retention(audio_days=1, text_days=1, insight_days=1),
        limits=TenantLimits(conversations=limit, audio_minutes=limit, requests=limit, tokens=limit, cost_usd=limit),
    )


@dataclass(frozen=True)
class MeiliServer:
    url: str
    key: str


MEILI_ABSENT = "no Meilisearch: set MEILI_URL (and MEILI_MASTER_KEY), or put a `meilisearch` binary on PATH"


def meili_is_there() -> bool:
    return bool(os.environ.get("MEILI_URL") or shutil.which("meilisearch"))


@contextmanager
def meili_server() -> Iterator[MeiliServer]:
    """The server MEILI_URL names, or one of our own for the session."""
    if url := os.environ.get("MEILI_URL"):
        yield MeiliServer(url, os.environ.get("MEILI_MASTER_KEY", ""))
        return
    binary = shutil.which("meilisearch")
    assert binary is not None, MEILI_ABSENT
    with scratch_folder("meilisearch") as folder:
        key, address = uuid4().hex, f"127.0.0.1:{free_port()}"
        log = (folder / "log").open("wb")
        process = subprocess.Popen(
            [binary, "--http-addr", address, "--db-path", str(folder / "data"), "--no-analytics"],
            cwd=folder,
            env={**os.environ, "MEILI_MASTER_KEY": key, "MEILI_ENV": "production"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_healthy(f"http://{address}", process, folder / "log")
            yield MeiliServer(f"http://{address}", key)
        finally:
            process.kill()
            process.wait(10)
            log.close()


def _wait_healthy(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 30
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < until, log.read_text()[-2000:]
        try:
            if httpx.get(f"{url}/health", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)


@asynccontextmanager
async def meili_ground(server: MeiliServer) -> AsyncIterator[Ground]:
    """An index of its own on the server, removed at the end."""
    index = MeilisearchSearch(server.url, server.key, f"test-{uuid4().hex[:12]}")
    try:
        await index.prepare()
        yield Ground(index, (uuid4().hex, uuid4().hex), tenants_must_exist=False)
    finally:
        await index.remove()
        await index.close()
