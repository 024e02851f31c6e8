"""Threads for tests of joining: their parts, and what is in the end known of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from domain.arrivals import Arrival
from domain.conversation import Conversation
from domain.intake import ConversationIn
from services.accept_conversation import AcceptConversation
from services.read_events import ReadEvents
from services.readers import Readers
from services.receive import ReceiveArrivals
from services.receive_events import ReceiveEvents
from services.sources import Sources
from storage.content import open_content_store
from storage.crypto import MasterKeys
from storage.postgres.database import PostgresDatabase
from storage.postgres.tenant_keys import PostgresDataKeys
from storage.protocols import ContentStore, ConversationFilter, Page, Tenant
from tests.support.readers import TestReaders, letter
from tests.support.stack import DatabaseUrls
from tests.support.stages import AwayOrchestrator
from tests.support.storage import START, make_tenant


@dataclass
class Desk:
    """What receives, over a real database and content store. Temporal is away: entries stay pending."""

    database: PostgresDatabase
    content: ContentStore
    accept: AcceptConversation
    receive: ReceiveArrivals
    readers: TestReaders
    events: ReceiveEvents
    sources: Sources
    owner_url: str
    folder: Path

    async def tenant(self) -> Tenant:
        return await make_tenant(self.owner_url)

    async def standing(self, tenant_id: str) -> list[Conversation]:
        """Every conversation that is not a part of another one."""
        async with self.database.tenant_tx(tenant_id) as tx:
            return list(await tx.conversations.list(ConversationFilter(), Page(limit=200)))

    async def get(self, tenant_id: str, conversation_id: str) -> Conversation:
        async with self.database.tenant_tx(tenant_id) as tx:
            return await tx.conversations.get(conversation_id)

    async def body(self, conversation: Conversation) -> ConversationIn:
        assert conversation.content_key is not None
        return ConversationIn.model_validate_json(
            await self.content.get(conversation.tenant_id, conversation.content_key)
        )

    async def thread(self, tenant_id: str) -> dict[str, Any]:
        """The one thread there is, as everything that reads it sees it."""
        [conversation] = await self.standing(tenant_id)
        body = await self.body(conversation)
        return {
            "messages": [(m.id, m.author, m.at, m.text) for m in body.messages or ()],
            "people": sorted((p.id, p.role, p.name) for p in conversation.participants),
            "started": conversation.started_at,
            "closed": conversation.closed,
            "hash": conversation.content_hash,
        }


@asynccontextmanager
async def desk(database: DatabaseUrls, folder: Path, *, readers: Readers | None = None) -> AsyncIterator[Desk]:
    """`readers` in the place of those tests have."""
    connected = await PostgresDatabase.connect(database.app, database.platform, pool_max=12)
    try:
        keys = PostgresDataKeys(connected, MasterKeys(bytes(range(32))))
        content = open_content_store(folder.as_uri(), keys)
        accept = AcceptConversation(connected, content, AwayOrchestrator())
        receive = ReceiveArrivals(connected, accept)
        of_tests = TestReaders()
        read = ReadEvents(readers or of_tests)
        events = ReceiveEvents(connected, content, read, receive)
        sources = Sources(connected, readers or of_tests, read)
        yield Desk(connected, content, accept, receive, of_tests, events, sources, database.owner, folder)
    finally:
        await connected.close()


def stamp(minute: int) -> str:
    at: datetime = START + timedelta(minutes=minute)
    return at.isoformat()


def mail(number: int, *answers: int, **more: Any) -> dict[str, Any]:
    """Mail `number` of a thread, a minute apart; whom it answers, the root first."""
    return {
        "id": f"<m{number}@example.com>",
        "answers": [f"<m{n}@example.com>" for n in answers],
        "from": "c" if number % 2 else "a",
        "role": "customer" if number % 2 else "agent",
        "at": stamp(number),
        "text": f"This is mail {number}.",
        **more,
    }


def arrivals(mails: Sequence[dict[str, Any]]) -> list[Arrival]:
    return [letter(one) for one in mails]
