"""The stages with the starter tasks on a provider of Gemini's wire format, through the real adapter and SDK."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from temporalio import activity

from domain.contracts import PersistResult, PlanResult, RunRef
from domain.conversation import Stage
from domain.engine import EngineCall, EngineConfig, EngineFamily, EngineLimits
from domain.errors import EngineError
from domain.ids import derived_id
from domain.intake import ConversationIn
from domain.ledger import TaskRun
from engines.language_models.registry import build
from services import starter_library
from storage.protocols import Tenant
from tests.support.gemini_server import gemini_server
from tests.support.model_provider import ModelProvider
from tests.support.provisioned import change_tasks, install_library, provision
from tests.support.stack import DatabaseUrls
from tests.support.stages import Stages, stages

MOST_TRIES = 6
"""As `[analyze]` of temporal-config/policies.toml."""

AT_ONCE = 4
"""Requests the engine takes side by side: what the activity does without a limit."""

COMPLAINT = "my parcel has still not arrived and I want my money back, this is terrible"
TASKS = ("churn-risk", "contact-reason", "csat", "next-actions", "sentiment", "summary")
FIELDS = {"churn_reason", "churn_risk", "contact_reason", "csat", "next_actions", "sentiment", "summary"}


def chat(name: str = "chat-1", said: tuple[str, ...] = (COMPLAINT,), **changes: Any) -> ConversationIn:
    base = {
        "external_id": name,
        "channel": "chat",
        "participants": [{"id": "c", "role": "customer"}, {"id": "a", "role": "agent"}],
        "messages": [
            {"author": "c" if n % 2 == 0 else "a", "at": f"2026-11-02T09:{n // 60:02}:{n % 60:02}Z", "text": text}
            for n, text in enumerate(said)
        ],
    }
    return ConversationIn.model_validate(base | changes)


def long_chat(name: str = "long-1", messages: int = 200) -> ConversationIn:
    """About 35 tokens a message; no two alike."""
    said = tuple(
        f"Message {n}: my parcel number {n * 7} was due on day {n} and it has still not arrived, I am tired of waiting."
        for n in range(messages)
    )
    return chat(name, said)


@dataclass
class World:
    """One tenant with the starter tasks, and the provider they are asked of."""

    stages: Stages
    tenant: Tenant
    provider: ModelProvider

    async def planned(self, intake: ConversationIn) -> tuple[RunRef, PlanResult]:
        """A conversation that has come as far as analyze."""
        acceptance = await self.stages.hand_in(self.tenant.id, intake)
        assert acceptance.entry is not None
        run = acceptance.entry.run
        await self.stages.ingest(run)
        await self.stages.normalize(run)
        return run, await self.stages.plan(run)

    def attempt(self, number: int) -> None:
        info = vars(self.stages.environment.info) | {"attempt": number}
        self.stages.environment.info = activity.Info(**info)

    async def analyzed(self, run: RunRef, planned: PlanResult, *, tries: int = MOST_TRIES) -> int:
        """analyze as Temporal runs it: tried again while it fails. Answers how many tries it took."""
        for number in range(1, tries + 1):
            self.attempt(number)
            try:
                await self.stages.analyze(run, planned)
            except EngineError as error:
                if not error.retryable or number == MOST_TRIES:
                    raise  # the last try leaves nothing to Temporal
                continue
            self.attempt(1)
            return number
        return tries

    async def whole_way(self, intake: ConversationIn) -> tuple[RunRef, PersistResult]:
        run, planned = await self.planned(intake)
        await self.analyzed(run, planned)
        return run, await self.stages.persist(run)

    async def again(self, run: RunRef) -> RunRef:
        """The next entry, at plan: what a re-drive makes of it."""
        async with self.stages.database.tenant_tx(self.tenant.id) as tx:
            conversation = await tx.conversations.get(run.conversation_id)
            entry = await tx.runs.enter(
                run.conversation_id,
                run.revision,
                enter_at=Stage.PLAN,
                lane=run.lane,
                channel=conversation.channel,
                reason="redriven",
            )
        return entry.run

    async def ledger(self, run: RunRef) -> dict[str, TaskRun]:
        async with self.stages.database.tenant_tx(self.tenant.id) as tx:
            return {row.task_slug: row for row in await tx.ledger.of_entry(run)}

    async def calls(self, run: RunRef) -> list[EngineCall]:
        async with self.stages.database.tenant_tx(self.tenant.id) as tx:
            return list(await tx.ledger.calls_of(run.conversation_id))

    async def change_tasks(self, **changes: object) -> None:
        await change_tasks(self.stages.database, self.tenant, **changes)


def gemini_at(url: str, **changes: Any) -> EngineConfig:
    base = {
        "id": derived_id("engine", "offline"),
        "name": "offline",
        "family": EngineFamily.LANGUAGE_MODEL,
        "kind": "gemini",
        "model": "gemini-2.0-flash",
        "endpoint": url,
        "limits": EngineLimits(concurrency=AT_ONCE),
        "external": True,
    }
    return EngineConfig(**base | changes)


@asynccontextmanager
async def shared_calls(urls: DatabaseUrls, folder: Path, slug: str) -> AsyncIterator[World]:
    """The stages' engine `offline` is the provider's for as long as this lasts."""
    outside = [
        engine if engine.name != "offline" else engine.model_copy(update={"external": True})
        for engine in starter_library.OFFLINE_ENGINES
    ]
    provider = ModelProvider()
    with gemini_server() as server:
        server.respond = provider
        async with stages(urls, folder) as made:
            await install_library(urls.owner, outside)
            try:
                made.engines.model = build(gemini_at(server.url), SecretStr("key"))
                tenant = await provision(made.database, slug)
                yield World(made, tenant, provider)
            finally:
                provider.open.set()
                await install_library(
                    urls.owner, starter_library.OFFLINE_ENGINES
                )  # no hosted one, that would be as near
