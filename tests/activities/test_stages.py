"""The stages on real storage: what each leaves behind, what a repeat changes, and who may write."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from temporalio import activity

from activities.normalize import NormalizeActivity
from domain.contracts import BACKPRESSURE_REASON, CANCELLED_REASON, SETTLING_REASON, ConcludeRequest, Conclusion, RunRef
from domain.conversation import Stage, Status
from domain.errors import EngineAnswerTruncated, EngineQuotaExhausted, EngineUnavailable, Superseded
from domain.intake import ConversationIn
from domain.ledger import Reason, RunState
from domain.values import EvidenceState
from engines.protocols import AnswerRequest, ModelAnswer, Progress
from services import starter_library
from storage.protocols import AcceptOutcome, Page, Tenant
from tests.support.instant import InstantLanguageModel, InstantLanguages, InstantRedactor, known, some_value
from tests.support.provisioned import change_tasks, install_library, provision
from tests.support.stack import DatabaseUrls
from tests.support.stages import Stages, stages


@pytest.fixture
async def world(database: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Stages]:
    async with stages(database, tmp_path / "content") as made:
        yield made


@pytest.fixture
async def tenant(world: Stages, database: DatabaseUrls, request: pytest.FixtureRequest) -> Tenant:
    await install_library(database.owner)
    return await provision(world.database, f"t{abs(hash(request.node.nodeid))}")


def chat(**changes) -> ConversationIn:
    said = changes.pop("said", ["my parcel has still not arrived and I want my money back, this is terrible"])
    base = {
        "external_id": "chat-1",
        "channel": "chat",
        "participants": [{"id": "c", "role": "customer"}, {"id": "a", "role": "agent"}],
        "messages": [{"author": "c", "at": f"2026-11-02T09:3{n}:00Z", "text": text} for n, text in enumerate(said)],
    }
    return ConversationIn.model_validate(base | changes)


async def accepted(world: Stages, tenant: Tenant, **changes) -> RunRef:
    acceptance = await world.hand_in(tenant.id, chat(**changes))
    assert acceptance.entry is not None
    return acceptance.entry.run


async def test_a_chat_ends_completed_with_every_field_answered(world, tenant):
    world.engines.model = InstantLanguageModel(known(some_value))
    run = await accepted(world, tenant)
    result = await world.whole_way(run)
    assert (result.status, result.values) == (Status.COMPLETED, 7)
    values = await world.values(run)
    assert {v.evidence_state for v in values.values()} == {EvidenceState.VERIFIED}
    assert values["csat"].evidence[0].quote in (chat().messages or ())[0].text
    async with world.database.tenant_tx(tenant.id) as tx:
        conversation = await tx.conversations.get(run.conversation_id)
        assert conversation.status is Status.COMPLETED
        assert [s.name for s in conversation.stages] == [
            Stage.INGEST, Stage.NORMALIZE, Stage.PLAN, Stage.ANALYZE, Stage.PERSIST,
        ]  # fmt: skip
    assert run.conversation_id in {d.conversation_id for d in await world.database.platform.dirty(1000)}


async def test_the_whole_way_twice_stores_everything_once(world, tenant):
    run = await accepted(world, tenant)
    await world.whole_way(run)
    asked = len(world.engines.model.requests)
    values = await world.values(run)
    await world.whole_way(run)
    assert await world.values(run) == values
    assert len(world.engines.model.requests) == asked


async def test_a_persist_whose_answer_was_lost_counts_nothing_twice(world, tenant, database):
    world.engines.model = InstantLanguageModel(known(some_value))
    run = await accepted(world, tenant)
    first = await world.whole_way(run)
    before = await _rollups(database, tenant)
    assert await world.persist(run) == first
    assert before == await _rollups(database, tenant) > 0


async def _rollups(database: DatabaseUrls, tenant: Tenant) -> int:
    connection = await asyncpg.connect(database.admin)
    try:
        found = await connection.fetchval("select count(*) from rollup_delta where tenant_id = $1", tenant.id)
        return int(found)
    finally:
        await connection.close()


async def test_parking_twice_enters_once(world, tenant):
    run = await accepted(world, tenant)
    await world.ingest(run)
    request = ConcludeRequest(run=run, conclusion=Conclusion.PARKED, stage=Stage.NORMALIZE, reason=BACKPRESSURE_REASON)
    for _ in range(2):
        await world.environment.run(world.conclude.conclude, request)
    async with world.database.tenant_tx(tenant.id) as tx:
        assert [e.state for e in await tx.runs.list(run.conversation_id)] == ["closed", "pending"]


async def test_the_same_content_again_changes_nothing_and_new_messages_make_a_revision(world, tenant):
    first = await world.hand_in(tenant.id, chat())
    again = await world.hand_in(tenant.id, chat(metadata={"x": 1}))
    more = await world.hand_in(tenant.id, chat(said=["my parcel has not arrived", "hello? is anybody there"]))
    assert [a.outcome for a in (first, again, more)] == [
        AcceptOutcome.CREATED, AcceptOutcome.UNCHANGED, AcceptOutcome.REVISED,
    ]  # fmt: skip
    assert again.entry is None
    assert more.conversation.revision == 2
    assert first.entry is not None
    with pytest.raises(Superseded):
        await world.ingest(first.entry.run)


async def test_an_older_run_may_not_persist_over_a_newer_revision(world, tenant):
    world.engines.model = InstantLanguageModel(known(some_value))
    run = await accepted(world, tenant)
    await world.ingest(run)
    await world.normalize(run)
    await world.analyze(run, await world.plan(run))
    await world.hand_in(tenant.id, chat(said=["another first message of the customer", "and a second one"]))
    with pytest.raises(Superseded):
        await world.persist(run)
    assert await world.values(run) == {}


async def test_one_task_in_trouble_is_not_anothers(world, tenant):
    await change_tasks(world.database, tenant, fuse=False)
    world.engines.model = InstantLanguageModel(known(some_value), faults=[EngineAnswerTruncated("cut off")])
    run = await accepted(world, tenant)
    result = await world.whole_way(run)
    assert result.status is Status.COMPLETED_WITH_GAPS
    async with world.database.tenant_tx(tenant.id) as tx:
        rows = await tx.ledger.of_entry(run)
        letters = await tx.dead_letters.list(open_only=True, page=Page())
    failed = [r for r in rows if r.state is RunState.FAILED]
    assert [r.reason for r in failed] == [Reason.ANSWER_TRUNCATED]
    assert sum(r.state is RunState.RAN for r in rows) == 5
    assert [(letter.stage, letter.conversation_id) for letter in letters] == [(Stage.ANALYZE, run.conversation_id)]


async def test_a_malformed_answer_is_repaired_once(world, tenant):
    await change_tasks(world.database, tenant, fuse=False)
    answers = iter(["<html>busy</html>"])
    good = known(some_value)
    world.engines.model = InstantLanguageModel(lambda request: next(answers, None) or good(request))
    run = await accepted(world, tenant)
    assert (await world.whole_way(run)).status is Status.COMPLETED
    assert len(world.engines.model.requests) == 7
    repaired = [r for r in world.engines.model.requests if r.tasks[0].repair]
    assert len(repaired) == 1


async def test_a_used_up_quota_parks_and_comes_back(world, tenant):
    await change_tasks(world.database, tenant, fuse=False)
    world.engines.model = InstantLanguageModel(faults=[EngineQuotaExhausted("daily quota")])
    run = await accepted(world, tenant)
    assert (await world.whole_way(run)).status is Status.COMPLETED_WITH_GAPS
    async with world.database.tenant_tx(tenant.id) as tx:
        entries = await tx.runs.list(run.conversation_id)
    assert [(e.enter_at, e.state) for e in entries] == [(Stage.INGEST, "closed"), (Stage.PLAN, "pending")]
    assert entries[1].not_before is not None
    assert len(entries[1].task_ids) == 1


class ThirdIsAway(InstantLanguageModel):
    """Fails the third request it gets, once."""

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        if len(self.requests) == 2:
            self.requests.append(request)
            raise EngineUnavailable("away")
        return await super().answer(request, progress)


async def test_calls_of_an_external_engine_are_not_made_again_after_a_crash(world, database):
    outside = [
        e if e.name != "offline" else e.model_copy(update={"external": True}) for e in starter_library.OFFLINE_ENGINES
    ]
    await install_library(database.owner, outside)
    tenant = await provision(world.database, "external-calls")
    await change_tasks(world.database, tenant, fuse=False)
    try:
        world.engines.model = model = ThirdIsAway()
        run = await accepted(world, tenant)
        await world.ingest(run)
        await world.normalize(run)
        planned = await world.plan(run)
        with pytest.raises(EngineUnavailable):
            await world.analyze(run, planned)
        assert len(model.requests) == 6
        world.environment.info = activity.Info(**{**vars(world.environment.info), "attempt": 2})
        await world.analyze(run, planned)
        assert len(model.requests) == 7
        assert (await world.persist(run)).status is Status.COMPLETED
    finally:
        await install_library(database.owner)


async def test_concluding_leaves_a_dead_letter_and_the_lease(world, tenant):
    run = await accepted(world, tenant)
    await world.ingest(run)
    request = ConcludeRequest(
        run=run, conclusion=Conclusion.FAILED, stage=Stage.NORMALIZE, reason="unavailable", attempts=8
    )
    first = await world.environment.run(world.conclude.conclude, request)
    again = await world.environment.run(world.conclude.conclude, request)
    assert first.dead_letter_id == again.dead_letter_id is not None
    async with world.database.tenant_tx(tenant.id) as tx:
        assert (await tx.conversations.get(run.conversation_id)).status is Status.FAILED
        assert (await tx.runs.get(run)).state == "closed"


async def test_a_cancelled_run_is_parked_and_does_not_come_back(world, tenant):
    run = await accepted(world, tenant)
    await world.ingest(run)
    request = ConcludeRequest(run=run, conclusion=Conclusion.PARKED, stage=Stage.PLAN, reason=CANCELLED_REASON)
    await world.environment.run(world.conclude.conclude, request)
    async with world.database.tenant_tx(tenant.id) as tx:
        conversation = await tx.conversations.get(run.conversation_id)
        assert (conversation.status, conversation.status_reason) == (Status.PARKED, CANCELLED_REASON)
        assert len(await tx.runs.list(run.conversation_id)) == 1


async def test_a_supplied_transcript_needs_no_engine(world, tenant):
    intake = ConversationIn.model_validate(
        {
            "external_id": "call-1",
            "channel": "call",
            "participants": [{"id": "c", "role": "customer"}, {"id": "a", "role": "agent"}],
            "transcript": {
                "segments": [
                    {"speaker": "a", "start_ms": 0, "end_ms": 900, "text": "how can I help you"},
                    {
                        "speaker": "c",
                        "start_ms": 1000,
                        "end_ms": 4000,
                        "text": "I was charged twice for the same order",
                    },
                ]
            },
        }
    )
    acceptance = await world.hand_in(tenant.id, intake)
    assert acceptance.entry is not None
    run = acceptance.entry.run
    assert await world.ingest(run) is None
    assert await world.normalize(run) == 2


async def test_an_open_thread_is_given_its_sources_quiet_before_it_is_analysed(world, tenant):
    async with world.database.tenant_tx(tenant.id) as tx:
        made = await tx.catalog.source("desk")
        await tx.catalog.put_source(made.model_copy(update={"settle_minutes": 30}))
    run = await accepted(world, tenant, source="desk")
    await world.ingest(run)
    normalize = NormalizeActivity(world.database, world.content, InstantRedactor(), InstantLanguages())
    assert not (await world.environment.run(normalize.normalize, run)).settled
    request = ConcludeRequest(run=run, conclusion=Conclusion.PARKED, stage=Stage.PLAN, reason=SETTLING_REASON)
    await world.environment.run(world.conclude.conclude, request)
    async with world.database.tenant_tx(tenant.id) as tx:
        first, waiting = await tx.runs.list(run.conversation_id)
        conversation = await tx.conversations.get(run.conversation_id)
    assert (conversation.status, conversation.status_reason) == (Status.PARKED, SETTLING_REASON)
    assert (waiting.enter_at, waiting.state) == (Stage.PLAN, "pending")
    assert waiting.not_before == first.created_at + timedelta(minutes=30)
    reply = await world.hand_in(tenant.id, chat(source="desk", said=["my parcel is lost", "hello?"], closed=True))
    async with world.database.tenant_tx(tenant.id) as tx:
        assert (await tx.runs.get(waiting.run)).state == "closed"
    assert reply.entry is not None
    await world.ingest(reply.entry.run)
    assert (await world.environment.run(normalize.normalize, reply.entry.run)).settled
