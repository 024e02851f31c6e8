"""Stores what ships with the product at the operator's level: starter fields and tasks, and the engines at hand.

Storing it again changes nothing; a new prompt is a new published version beside the older ones. Nothing is switched
on for anybody.
"""

from collections.abc import Iterable
from typing import Protocol

from domain.clock import utc_now
from domain.engine import EngineConfig, EngineFamily, EngineLimits, Price
from domain.fields import CustomField
from domain.ids import derived_id
from domain.starter import STARTER_FIELDS, STARTER_TASKS
from domain.tasks import AITask, TaskVersion, VersionState

SHIPPED_BY = "parley"

OFFLINE_ENGINES = (
    EngineConfig(
        id=derived_id("engine", "whisper"),
        name="whisper",
        family=EngineFamily.TRANSCRIPTION,
        kind="whisper",
        model="tiny.en",
        parameters={"languages": ["en"]},
        limits=EngineLimits(concurrency=1),
    ),
    EngineConfig(
        id=derived_id("engine", "offline"),
        name="offline",
        family=EngineFamily.LANGUAGE_MODEL,
        kind="offline",
        model="offline-2",
    ),
)
"""Run on the premises without any key."""

HOSTED_ENGINES = (
    EngineConfig(
        id=derived_id("engine", "deepgram"),
        name="deepgram",
        family=EngineFamily.TRANSCRIPTION,
        kind="deepgram",
        model="nova-3",
        credentials="env:DEEPGRAM_API_KEY",
        limits=EngineLimits(concurrency=8),
        price=Price(audio_per_hour=0.258, version="list 2025-01"),
        external=True,
    ),
    EngineConfig(
        id=derived_id("engine", "gemini"),
        name="gemini",
        family=EngineFamily.LANGUAGE_MODEL,
        kind="gemini",
        model="gemini-2.0-flash",
        credentials="env:GEMINI_API_KEY",
        parameters={"prefix_cache": False},  # of this provider's models those from 2.5 on cache by themselves
        limits=EngineLimits(concurrency=8),
        price=Price(input_per_million=0.10, output_per_million=0.40, cached_per_million=0.025, version="list 2025-02"),
        external=True,
    ),
)
"""Stored too, so that switching to them is setting the key and the tenant's default engine."""


class Configuration(Protocol):
    """The operator's level, for writing: `storage.postgres.provisioning`."""

    async def put_field(self, field: CustomField) -> None: ...
    async def put_task(self, task: AITask) -> None: ...
    async def put_version(self, version: TaskVersion) -> None: ...
    async def put_engine(self, engine: EngineConfig) -> None: ...


async def install(
    configuration: Configuration, engines: Iterable[EngineConfig] = (*OFFLINE_ENGINES, *HOSTED_ENGINES)
) -> None:
    """Repeatable."""
    for engine in engines:
        await configuration.put_engine(engine)
    for field in STARTER_FIELDS:
        await configuration.put_field(field)
    for starter in STARTER_TASKS:
        await configuration.put_task(starter.task)
        await configuration.put_version(
            TaskVersion(
                id=starter.spec.version_id(),
                task_id=starter.task.id,
                spec=starter.spec,
                state=VersionState.PUBLISHED,
                author=SHIPPED_BY,
                reason=starter.reason,
                created_at=utc_now(),
            )
        )
