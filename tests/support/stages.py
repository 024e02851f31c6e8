"""The real stages on a real database and content store, called in order without a workflow: for tests of activities."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.testing import ActivityEnvironment

from activities.analyze import AnalyzeActivity
from activities.conclude import ConcludeActivity
from activities.ingest import IngestActivity
from activities.normalize import NormalizeActivity
from activities.persist import PersistActivity
from activities.plan import PlanActivity
from activities.transcribe import TranscribeActivity
from domain.contracts import AnalyzeRequest, PersistResult, PlanRequest, PlanResult, RunRef
from domain.conversation import Conversation
from domain.errors import Unavailable
from domain.intake import ConversationIn
from domain.values import FieldValue
from engines.audio.decode import Decoder
from infra.settings import default_config_dir
from infra.temporal.policies import install
from services.accept_conversation import Acceptance, AcceptConversation
from services.ports import RunInspection
from services.pull_audio import AudioPuller
from storage.content import open_content_store
from storage.crypto import MasterKeys
from storage.postgres.database import PostgresDatabase
from storage.postgres.tenant_keys import PostgresDataKeys
from storage.protocols import ContentStore, Database, RunEntry
from tests.support.instant import InstantEngines, InstantLanguages, InstantRedactor
from tests.support.stack import DatabaseUrls


class AwayOrchestrator:
    """Temporal that does not answer: every start stays pending."""

    async def start(self, entry: RunEntry, conversation: Conversation) -> str:
        raise Unavailable("Temporal is away")

    async def inspect(self, run: RunRef) -> RunInspection:
        raise Unavailable("Temporal is away")

    async def wait(self, run: RunRef, timeout_seconds: float) -> bool:
        return False

    async def cancel(self, run: RunRef, reason: str) -> None:
        raise Unavailable("Temporal is away")

    async def ping(self) -> None:
        raise Unavailable("Temporal is away")

    def link(self, run: RunRef, temporal_run_id: str | None = None) -> str | None:
        return None


@dataclass
class Stages:
    """Everything the stages are made of, and the stages."""

    database: Database
    content: ContentStore
    engines: InstantEngines
    accept: AcceptConversation
    environment: ActivityEnvironment

    async def hand_in(self, tenant_id: str, intake: ConversationIn) -> Acceptance:
        return await self.accept.accept(tenant_id, intake)

    async def ingest(self, run: RunRef) -> str | None:
        decoder = Decoder()
        puller = AudioPuller(self.content, allowed_hosts=(), max_bytes=1 << 20)
        stage = IngestActivity(self.database, self.content, decoder, puller, max_audio_minutes=30)
        return (await self.environment.run(stage.ingest, run)).transcription

    async def transcribe(self, run: RunRef) -> int:
        stage = TranscribeActivity(self.database, self.content, Decoder(), self.engines, max_audio_minutes=30)
        return (await self.environment.run(stage.transcribe, run)).segments

    async def normalize(self, run: RunRef) -> int:
        stage = NormalizeActivity(self.database, self.content, InstantRedactor(), InstantLanguages())
        return (await self.environment.run(stage.normalize, run)).turns

    async def plan(self, run: RunRef) -> PlanResult:
        return await self.environment.run(PlanActivity(self.database).plan, PlanRequest(run=run))

    async def analyze(self, run: RunRef, planned: PlanResult) -> None:
        stage = AnalyzeActivity(self.database, self.engines)
        for batch in planned.batches:
            await self.environment.run(stage.analyze, AnalyzeRequest(run=run, batch=batch))

    async def persist(self, run: RunRef) -> PersistResult:
        return await self.environment.run(PersistActivity(self.database).persist, run)

    @property
    def conclude(self) -> ConcludeActivity:
        return ConcludeActivity(self.database)

    async def whole_way(self, run: RunRef) -> PersistResult:
        """Every stage, in order."""
        if await self.ingest(run) is not None:
            await self.transcribe(run)
        await self.normalize(run)
        await self.analyze(run, await self.plan(run))
        return await self.persist(run)

    async def values(self, run: RunRef) -> dict[str, FieldValue]:
        async with self.database.tenant_tx(run.tenant_id) as tx:
            return {v.field_key: v for v in await tx.values.current(run.conversation_id)}


@asynccontextmanager
async def stages(urls: DatabaseUrls, folder: Path) -> AsyncIterator[Stages]:
    """The stages with instant engines, Temporal away, and the policies of temporal-config."""
    install(default_config_dir())
    database = await PostgresDatabase.connect(urls.app, urls.platform)
    try:
        keys = PostgresDataKeys(database, MasterKeys(bytes(range(32))))
        content = open_content_store(folder.as_uri(), keys)
        yield Stages(
            database=database,
            content=content,
            engines=InstantEngines(),
            accept=AcceptConversation(database, content, AwayOrchestrator()),
            environment=ActivityEnvironment(),
        )
    finally:
        await database.close()
