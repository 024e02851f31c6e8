"""Conversations with words in a real database, for tests of indexing and searching."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from domain.conversation import Conversation
from domain.fields import CustomField
from domain.search import DocumentRef, Refusal, SearchDocument, SearchPage, SearchQuery, read_words
from domain.turns import Turn
from services.index_documents import IndexerSettings
from services.leadership import Leadership
from storage.postgres.database import PostgresDatabase
from storage.postgres.provisioning import Provisioning
from storage.protocols import Tenant
from storage.search.port import SearchIndex
from storage.search.postgres import PostgresSearch
from tests.support.search_cases import turn
from tests.support.storage import accept_in, new_conversation, rendition, value

QUICK = IndexerSettings(
    idle_seconds=0.02, follower_seconds=0.05, away_seconds=0.02, away_most_seconds=0.1, ttl_seconds=3.0
)


async def converse(
    db: PostgresDatabase,
    tenant: Tenant,
    texts: Sequence[str],
    *,
    fields: Sequence[tuple[CustomField, Any]] = (),
    dirty: bool = True,
    **changes: Any,
) -> Conversation:
    """A conversation with these redacted turns and values, marked for the index."""
    async with db.tenant_tx(tenant.id) as tx:
        conversation = await accept_in(tx, new_conversation(**changes))
        await tx.renditions.put(rendition(conversation, turns=turns(texts)))
        if fields:
            for field, _ in fields:
                await tx.catalog.put_field(field)
            await tx.values.put([value(tenant, conversation, field, content) for field, content in fields])
        if dirty:
            await tx.outbox.search_dirty(conversation.id)
    return conversation


def turns(texts: Sequence[str]) -> tuple[Turn, ...]:
    return tuple(turn(number, text) for number, text in enumerate(texts, 1))


async def mark(db: PostgresDatabase, tenant: Tenant, *conversation_ids: str) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        for conversation_id in conversation_ids:
            await tx.outbox.search_dirty(conversation_id)


async def make_due(db: PostgresDatabase, tenant: Tenant, conversation_id: str) -> None:
    """As if the time of a deferral had passed."""
    async with db.tenant_tx(tenant.id) as tx:
        await tx.session.execute(
            "update search_outbox set due_at = now() - interval '1 s' where tenant_id = $1 and conversation_id = $2",
            tenant.id,
            conversation_id,
        )


async def forget(owner_url: str, conversation: Conversation) -> None:
    """Deletes the conversation's rows, as an erasure does."""
    async with Provisioning.connect(owner_url) as provisioning:
        session = provisioning._session
        await session.execute("select set_config('parley.tenant_id', $1, false)", conversation.tenant_id)
        await session.execute(
            "delete from conversation where tenant_id = $1 and id = $2", conversation.tenant_id, conversation.id
        )


async def leading(db: PostgresDatabase, holder: str = "test") -> Leadership:
    """A lease that is held now."""
    leadership = Leadership(db.platform, f"lead-{holder}", holder, 30.0)
    assert await leadership.renew()
    return leadership


async def found(index: SearchIndex, tenant: Tenant, text: str = "") -> set[str]:
    page: SearchPage = await index.search(SearchQuery(tenant.id, read_words(text), limit=200))
    return {hit.id for hit in page.hits}


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not await true():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.02)


class Picky(PostgresSearch):
    """A real index that refuses documents with a certain word, and can be away."""

    def __init__(self, database: PostgresDatabase, refuses: str = "") -> None:
        super().__init__(database)
        self.refuses = refuses
        self.away: Exception | None = None
        self.writes: list[list[str]] = []

    async def index(self, documents: Sequence[SearchDocument]) -> Sequence[Refusal]:
        if self.away is not None:
            raise self.away
        self.writes.append([document.id for document in documents])
        bad = [d for d in documents if self.refuses and any(self.refuses in t.words for t in d.turns)]
        taken = await super().index([d for d in documents if d not in bad])
        return [*taken, *(Refusal(DocumentRef(d.tenant_id, d.id), "too picky") for d in bad)]
