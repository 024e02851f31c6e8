"""What was paid for is kept: recorded answers are found by whoever runs next, and held while storage is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities import support
from activities.support import held_while_away, waiting_for_provider
from domain.contracts import PlanResult, RunRef
from domain.conversation import Status
from domain.errors import Superseded, Unavailable
from domain.intake import ConversationIn
from engines.protocols import (
    AnswerRequest,
    CallAudio,
    ModelAnswer,
    Progress,
    TranscriptionAnswer,
    TranscriptionRequest,
)
from services import starter_library
from services.uploads import Uploads, UploadTokens
from storage.protocols import Tenant
from tests.support.audio_files import encode, voice
from tests.support.instant import InstantLanguageModel, InstantTranscription, known, some_value
from tests.support.provisioned import change_tasks, install_library, provision
from tests.support.stack import DatabaseUrls
from tests.support.stages import Stages, stages

EXTERNAL = [
    engine if engine.name != "offline" else engine.model_copy(update={"external": True})
    for engine in starter_library.OFFLINE_ENGINES
]


@pytest.fixture
async def world(database: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Stages]:
    async with stages(database, tmp_path / "content") as made:
        yield made


@pytest.fixture
async def tenant(world: Stages, database: DatabaseUrls, request: pytest.FixtureRequest) -> Tenant:
    await install_library(database.owner, EXTERNAL)
    tenant = await provision(world.database, f"paid-{request.node.name.replace('_', '-')}"[:60].rstrip("-"))
    await change_tasks(world.database, tenant, fuse=False)
    return tenant


async def planned(world: Stages, tenant: Tenant) -> tuple[RunRef, PlanResult]:
    intake = ConversationIn.model_validate(
        {
            "external_id": "chat-1",
            "channel": "chat",
            "participants": [{"id": "c", "role": "customer"}],
            "messages": [{"author": "c", "text": "my parcel has still not arrived and I want my money back"}],
        }
    )
    acceptance = await world.hand_in(tenant.id, intake)
    assert acceptance.entry is not None
    run = acceptance.entry.run
    await world.ingest(run)
    await world.normalize(run)
    return run, await world.plan(run)


class CutShort(InstantLanguageModel):
    """The stage ends in the middle of the third answer, as when its worker is killed: nothing is written after it."""

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        if len(self.requests) == 2:
            self.requests.append(request)
            raise Superseded("the stage ends here")
        return await super().answer(request, progress)


async def test_a_run_that_temporal_forgot_begins_anew_without_paying_again(world: Stages, tenant: Tenant) -> None:
    """Its first try is attempt 1 of entry 1 again."""
    run, batches = await planned(world, tenant)
    world.engines.model = model = CutShort(known(some_value))
    with pytest.raises(Superseded):
        await world.analyze(run, batches)
    assert world.environment.info.attempt == 1
    assert len(model.requests) == 6
    await world.analyze(run, batches)
    assert len(model.requests) == 7
    assert (await world.persist(run)).status is Status.COMPLETED


async def test_whatever_fails_the_answers_under_way_are_waited_for(world: Stages, tenant: Tenant) -> None:
    run, batches = await planned(world, tenant)
    answered = 0

    class Slow(CutShort):
        async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
            nonlocal answered
            given = await super().answer(request, progress)
            await asyncio.sleep(0.2)
            answered += 1
            return given

    world.engines.model = Slow(known(some_value))
    with pytest.raises(Superseded):
        await world.analyze(run, batches)
    assert answered == 5


async def heard(world: Stages, tenant: Tenant) -> RunRef:
    """A call that has come as far as transcribe."""

    async def chunks() -> AsyncIterator[bytes]:
        yield encode(voice(2.0), 8_000)

    uploads = Uploads(world.database, world.content, UploadTokens(bytes(32)), max_bytes=1 << 20)
    upload = await uploads.store(tenant.id, chunks(), field="audio")
    await uploads.register(tenant.id, [upload])
    body = {
        "external_id": "call-1",
        "channel": "call",
        "language": "en",
        "audio": [{"id": upload.id, "role": "customer"}],
    }
    acceptance = await world.hand_in(tenant.id, ConversationIn.model_validate(body))
    assert acceptance.entry is not None
    assert await world.ingest(acceptance.entry.run) is not None
    return acceptance.entry.run


async def test_a_call_that_was_heard_is_not_heard_again(world: Stages, tenant: Tenant) -> None:
    run = await heard(world, tenant)
    world.engines.heard = engine = InstantTranscription()
    first = await world.transcribe(run)
    assert await world.transcribe(run) == first == 1
    assert engine.requests == 1


async def test_a_transcript_is_held_while_the_content_store_is_away(
    world: Stages, tenant: Tenant, tmp_path: Path
) -> None:
    content, elsewhere = tmp_path / "content", tmp_path / "elsewhere"

    class Unmounts(InstantTranscription):
        async def transcribe(
            self, audio: CallAudio, request: TranscriptionRequest, progress: Progress
        ) -> TranscriptionAnswer:
            content.rename(elsewhere)
            asyncio.get_running_loop().call_later(1.5, elsewhere.rename, content)
            return await super().transcribe(audio, request, progress)

    run = await heard(world, tenant)
    world.engines.heard = engine = Unmounts()
    assert await world.transcribe(run) == 1
    assert engine.requests == 1


async def test_an_answer_is_held_while_storage_is_away() -> None:
    tries = 0

    async def work() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Unavailable("away")
        return "kept"

    assert await held_while_away(work) == "kept"
    tries = -100
    with pytest.raises(Unavailable):
        await held_while_away(work, seconds=0.2)


async def test_a_worker_that_waits_for_a_provider_says_that_it_lives(
    world: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "ALIVE_SECONDS", 0.01)
    said = asyncio.Event()
    world.environment.on_heartbeat = lambda *details: said.set()

    async def wait() -> None:
        async with waiting_for_provider():
            await asyncio.wait_for(said.wait(), 20)

    await world.environment.run(wait)
