"""Threads that settle, on the real server, with the real workflow, stages and storage: what is analysed, and when."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.analyze import AnalyzeActivity
from activities.conclude import ConcludeActivity
from activities.ingest import IngestActivity
from activities.normalize import NormalizeActivity
from activities.persist import PersistActivity
from activities.plan import PlanActivity
from domain.clock import utc_now
from domain.contracts import QueueKind, ReconcileRequest, task_queue
from domain.conversation import Conversation, Status
from domain.mapping import Format
from domain.sources import NewSource
from engines.audio.decode import Decoder
from infra.readers import FormatReaders
from infra.temporal.orchestrator import TemporalOrchestrator
from services.accept_conversation import AcceptConversation
from services.pull_audio import AudioPuller
from services.read_events import ReadEvents
from services.receive import ReceiveArrivals
from services.receive_events import ReceiveEvents
from services.reconcile import Reconciler
from services.sources import Sources
from storage.content import open_content_store
from storage.crypto import MasterKeys
from storage.postgres.database import PostgresDatabase
from storage.postgres.tenant_keys import PostgresDataKeys
from storage.protocols import ConversationFilter, Page, RunEntry, Tenant
from tests.services.test_forms_as_they_come import ticket
from tests.support.instant import InstantEngines, InstantLanguageModel, InstantLanguages, InstantRedactor
from tests.support.provisioned import install_library, provision
from tests.support.stack import DatabaseUrls
from tests.support.workflows import BOUND, World, until
from workflows.conversation import ConversationWorkflow

SETTLE = timedelta(minutes=30)


@dataclass
class Platform:
    """Everything but the API: raw events in, runs on Temporal, values out."""

    database: PostgresDatabase
    tenant: Tenant
    events: ReceiveEvents
    reconciler: Reconciler
    model: InstantLanguageModel

    async def send(self, body: bytes) -> None:
        receipt = await self.events.accept(self.tenant.id, "desk", body, "application/json")
        assert receipt.event.state == "received", receipt.event

    async def conversation(self) -> Conversation:
        async with self.database.tenant_tx(self.tenant.id) as tx:
            [found] = await tx.conversations.list(ConversationFilter(), Page())
        return found

    async def entries(self) -> list[RunEntry]:
        conversation = await self.conversation()
        async with self.database.tenant_tx(self.tenant.id) as tx:
            return [e for e in await tx.runs.list(conversation.id) if e.run.revision == conversation.revision]

    async def reaches(self, status: Status, revision: int, reason: str | None = None) -> Conversation:
        async def reached() -> bool:
            now = await self.conversation()
            return (now.status, now.revision, now.status_reason) == (status, revision, reason)

        await until(reached, f"revision {revision} is {status}")
        return await self.conversation()

    async def waits(self, revision: int) -> RunEntry:
        """The entry of a revision that has parked for quiet."""
        await self.reaches(Status.PARKED, revision, "settling")
        [first, waiting] = await self.entries()
        assert (waiting.state, waiting.reason) == ("pending", "settling")
        assert waiting.not_before == first.created_at + SETTLE
        return waiting

    async def time_passes(self, entry: RunEntry) -> None:
        """It has been quiet for as long as the source asks."""
        async with self.database.tenant_tx(self.tenant.id) as tx:
            await tx.runs.postpone(entry.run, utc_now())
        await self.reconcile()

    async def reconcile(self) -> int:
        return (await self.reconciler.round(ReconcileRequest(grace=0, stale=3600))).started


@pytest.fixture
async def platform(
    database: DatabaseUrls, client: Client, world: World, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    await install_library(database.owner)
    db = await PostgresDatabase.connect(database.app, database.platform, pool_max=8)
    content = open_content_store(
        tmp_path_factory.mktemp("content").as_uri(), PostgresDataKeys(db, MasterKeys(bytes(32)))
    )
    model = InstantLanguageModel()
    engines = InstantEngines(model)
    orchestrator = TemporalOrchestrator(client, ui_url="http://ui.test/", task_queue=world.queue)
    accept = AcceptConversation(db, content, orchestrator)
    readers = FormatReaders()
    read = ReadEvents(readers)
    events = ReceiveEvents(db, content, read, ReceiveArrivals(db, accept))
    tenant = await provision(db, f"settling-{world.queue[-6:]}")
    new = NewSource(slug="desk", format=Format.JSON, preset="zendesk", settle_minutes=30)
    await Sources(db, readers, read).create(tenant.id, new, actor="test", origin=None)
    puller = AudioPuller(content, allowed_hosts=(), max_bytes=1)
    ours: list[Any] = [
        IngestActivity(db, content, Decoder(), puller, max_audio_minutes=1).ingest,
        NormalizeActivity(db, content, InstantRedactor(), InstantLanguages()).normalize,
        PlanActivity(db).plan,
        PersistActivity(db).persist,
        ConcludeActivity(db).conclude,
    ]
    offline = task_queue(QueueKind.LANGUAGE_MODEL, "offline")
    async with (
        Worker(client, task_queue=world.queue, activities=ours, workflows=[ConversationWorkflow], build_id="test"),
        Worker(client, task_queue=offline, activities=[AnalyzeActivity(db, engines).analyze], build_id="test"),
    ):
        yield Platform(db, tenant, events, Reconciler(db, orchestrator, events=events), model)
    await db.close()


async def test_a_thread_is_analysed_once_it_is_quiet_or_closed_and_again_when_reopened(platform: Platform) -> None:
    await platform.send(ticket("open", "My parcel has not arrived, where is it?"))
    first = await platform.waits(1)
    assert await platform.reconcile() == 0  # not before it is time
    await platform.send(ticket("open", "My parcel has not arrived, where is it?", "We are looking for it."))
    second = await platform.waits(2)
    assert first.not_before is not None
    assert second.not_before is not None
    assert second.not_before > first.not_before  # the wait began anew
    assert platform.model.requests == []  # a reply does not bill the thread
    async with platform.database.tenant_tx(platform.tenant.id) as tx:
        assert (await tx.runs.get(first.run)).state == "closed"

    await platform.time_passes(second)
    await platform.reaches(Status.COMPLETED, 2)
    paid = len(platform.model.requests)
    assert paid > 0

    # Solved, with nothing new said: nothing is analysed again.
    await platform.send(ticket("solved", "My parcel has not arrived, where is it?", "We are looking for it."))
    conversation = await platform.conversation()
    assert (conversation.closed, conversation.revision) == (True, 2)

    # A comment after it was solved opens it: a revision, and the wait.
    said = ("My parcel has not arrived, where is it?", "We are looking for it.", "I want my money back please.")
    await platform.send(ticket("open", *said))
    await platform.waits(3)
    settled = len(platform.model.requests)

    # Solved while it waits: that ends the wait at once, without the reconciler.
    await platform.send(ticket("solved", *said))
    await platform.reaches(Status.COMPLETED, 3)
    assert len(platform.model.requests) > settled
    [_, analysed] = await platform.entries()
    assert analysed.state == "closed"


async def test_that_it_is_closed_while_its_run_is_on_the_way(platform: Platform) -> None:
    """Whichever comes first, the park or the news, the thread is analysed without waiting."""
    await asyncio.wait_for(
        asyncio.gather(
            platform.send(ticket("open", "My parcel has not arrived.")),
            _soon(platform, ticket("solved", "My parcel has not arrived.")),
        ),
        BOUND,
    )

    async def analysed() -> bool:
        await platform.reconcile()
        return (await platform.conversation()).status is Status.COMPLETED

    await until(analysed, "it is analysed")
    assert (await platform.conversation()).revision == 1


async def _soon(platform: Platform, body: bytes) -> None:
    async def there() -> bool:
        async with platform.database.tenant_tx(platform.tenant.id) as tx:
            return bool(await tx.conversations.list(ConversationFilter(), Page()))

    await until(there, "the conversation is there")
    await platform.send(body)


async def test_the_reconciler_reads_events_whose_reader_died(platform: Platform) -> None:
    class Dies(BaseException):
        pass

    async def die(*_: Any, **__: Any) -> Any:
        raise Dies

    work, platform.events._work = platform.events._work, die  # type: ignore[method-assign]
    with pytest.raises(Dies):
        await platform.send(ticket("solved", "My parcel has not arrived."))
    platform.events._work = work  # type: ignore[method-assign]
    request = ReconcileRequest(grace=0, stale=3600)
    assert (await platform.reconciler.round(request)).events == 0  # somebody may still be at it
    async with platform.database.tenant_tx(platform.tenant.id) as tx:
        await tx.session.execute(
            "update source_event set claimed_until = now() where tenant_id = $1", platform.tenant.id
        )
    assert (await platform.reconciler.round(request)).events == 1
    assert (await platform.reconciler.round(request)).events == 0
    await platform.reaches(Status.COMPLETED, 1)
