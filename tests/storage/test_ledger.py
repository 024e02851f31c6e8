"""Task runs, answers and engine calls."""

import asyncio

import pytest

from domain.engine import CallOutcome, EngineCall, Usage
from domain.errors import NotFound
from domain.ids import new_id
from domain.ledger import Reason, RunState
from storage.postgres.database import PostgresDatabase
from storage.protocols import AnswerRecord, Tenant, UsageEvent
from tests.support.storage import START, accept, enter, field, task_run, value


def call(request_hash: str, outcome: CallOutcome = CallOutcome.ANSWERED) -> EngineCall:
    return EngineCall(
        id=new_id(),
        request_hash=request_hash,
        engine="gemini",
        model="flash",
        outcome=outcome,
        usage=Usage(input_tokens=7, output_tokens=3, cached_tokens=2, thinking_tokens=1, audio_ms=9),
        cost_usd=0.0123,
        latency_ms=456,
        answer="{}" if outcome is CallOutcome.ANSWERED else None,
        error_code=None if outcome is CallOutcome.ANSWERED else "engine_timeout",
    )


def usage(of: EngineCall) -> UsageEvent:
    return UsageEvent(
        id=new_id(),
        task_id=None,
        engine=of.engine,
        at=START,
        requests=1,
        input_tokens=7,
        output_tokens=3,
        cached_tokens=2,
        thinking_tokens=1,
        audio_ms=9,
        cost_usd=of.cost_usd,
        price_version="p",
    )


async def test_a_plan_is_made_once(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        run = await enter(tx, conversation)
        planned = [
            task_run(run, task_slug="b", engine="gemini", job_id=new_id(), engine_calls=(new_id(),)),
            task_run(run, task_slug="a", state=RunState.SKIPPED, reason=Reason.FILTERED_OUT, detail="x < 3"),
        ]
        await tx.ledger.plan(planned)
        await tx.ledger.plan([planned[0].model_copy(update={"id": new_id()}), planned[1]])  # a retry, with fresh ids
        await tx.ledger.plan([])
        found = await tx.ledger.of_entry(run)

        assert [r.model_copy(update={"updated_at": None}) for r in found] == [planned[1], planned[0]]
        assert await tx.ledger.get(planned[0].id) == found[1]
        assert await tx.ledger.of_conversation(conversation.id, 1) == found
        with pytest.raises(NotFound):
            await tx.ledger.get(new_id())


async def test_entries_have_plans_of_their_own(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation, task_id = await accept(db, tenant.id), new_id()
    async with db.tenant_tx(tenant.id) as tx:
        first, second = await enter(tx, conversation), await enter(tx, conversation)
        for run in (first, second):
            await tx.ledger.plan([task_run(run, task_id=task_id)])
        assert [r.entry for r in await tx.ledger.of_conversation(conversation.id, 1)] == [2, 1]
        assert len(await tx.ledger.of_entry(first)) == 1


async def test_answers_wait_for_persist(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation, of = await accept(db, tenant.id), field("csat")
    async with db.tenant_tx(tenant.id) as tx:
        run = await enter(tx, conversation)
        good, bad, silent = (task_run(run, task_slug=slug) for slug in ("a", "b", "c"))
        await tx.ledger.plan([good, bad, silent])
    calls = (new_id(), new_id())
    ran = good.model_copy(update={"state": RunState.RAN, "attempts": 2, "engine_calls": calls, "engine": "gemini"})
    failed = bad.model_copy(update={"state": RunState.FAILED, "reason": Reason.ENGINE_TIMEOUT, "detail": "d"})
    values = (value(tenant, conversation, of, 4), value(tenant, conversation, of, None))
    for _ in range(2):  # a retried analyze
        async with db.tenant_tx(tenant.id) as tx:
            records = (AnswerRecord(task_run=ran, values=values), AnswerRecord(task_run=failed, values=()))
            await tx.ledger.record_answers(records)
            await tx.ledger.record_answers([])
    async with db.tenant_tx(tenant.id) as tx:
        answers = await tx.ledger.answers(run)

        assert [a.values for a in answers] == [values, ()]
        assert [a.task_run.model_copy(update={"updated_at": None}) for a in answers] == [ran, failed]
        assert (await tx.ledger.get(silent.id)).state is RunState.PLANNED
    with pytest.raises(NotFound):
        async with db.tenant_tx(tenant.id) as tx:
            await tx.ledger.record_answers([AnswerRecord(task_run=task_run(run), values=())])


async def test_an_answered_call_is_recorded_once(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    calls = [call("the same request") for _ in range(10)]

    async def record(one: EngineCall) -> EngineCall:
        async with db.tenant_tx(tenant.id) as tx:
            return await tx.ledger.record_call(one, conversation.id, [usage(one)])

    recorded = await asyncio.gather(*(record(one) for one in calls))

    assert len({r.id for r in recorded}) == 1
    assert recorded[0] in calls
    async with db.tenant_tx(tenant.id) as tx:
        assert await tx.ledger.find_call("the same request") == recorded[0]
        assert await tx.ledger.calls_of(conversation.id) == [recorded[0]]
        charged = await tx.session.value(
            "select count(*) from usage_event where tenant_id = $1 and cost_usd = $2", tenant.id, 0.0123
        )
    assert charged == 1


async def test_failed_calls_are_kept_and_not_found_as_answers(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    failures = [call("failing", CallOutcome.FAILED) for _ in range(2)]
    answer = call("failing")
    async with db.tenant_tx(tenant.id) as tx:
        for failure in failures:
            assert await tx.ledger.record_call(failure, conversation.id) == failure
        assert await tx.ledger.find_call("failing") is None
        assert await tx.ledger.record_call(answer, conversation.id) == answer
        assert await tx.ledger.find_call("failing") == answer
        assert {c.id for c in await tx.ledger.calls_of(conversation.id)} == {*(f.id for f in failures), answer.id}


async def test_several_calls_at_once_are_charged_once_each(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    known, new, uncharged = call("known"), call("new"), call("uncharged", CallOutcome.FAILED)
    first, second = usage(known), usage(new)
    again = [(known, [first]), (call("known"), [usage(known)]), (new, [second]), (uncharged, [])]
    async with db.tenant_tx(tenant.id) as tx:
        await tx.ledger.record_call(known, conversation.id, [first])
        await tx.ledger.record_calls(again, conversation.id)
        await tx.ledger.record_calls(again, conversation.id)
        await tx.ledger.record_calls([], conversation.id)
        recorded = await tx.ledger.calls_of(conversation.id)
        charged = await tx.session.rows(
            "select id from usage_event where tenant_id = $1 and id = any ($2::uuid[])",
            tenant.id,
            [event.id for _, events in again for event in events],
        )
    assert {c.id: c for c in recorded} == {c.id: c for c in (known, new, uncharged)}
    assert {row["id"] for row in charged} == {first.id, second.id}


async def test_a_call_that_answers_several_tasks_is_charged_to_each(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    shared = call("shared").model_copy(update={"parts": ("part a", "part b")})
    events = [usage(shared).model_copy(update={"task_id": new_id()}) for _ in range(2)]
    async with db.tenant_tx(tenant.id) as tx:
        assert await tx.ledger.record_call(shared, conversation.id, events) == shared
        assert (await tx.ledger.record_call(call("shared"), conversation.id, [usage(shared)])) == shared
        assert await tx.ledger.calls_of(conversation.id) == [shared]
        charged = await tx.session.rows(
            "select id, task_id from usage_event where tenant_id = $1 and task_id = any ($2::uuid[])",
            tenant.id,
            [event.task_id for event in events],
        )
    assert {(row["id"], row["task_id"]) for row in charged} == {(event.id, event.task_id) for event in events}
