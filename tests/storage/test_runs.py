"""Entries, the lease and the states of stages."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from domain.contracts import RunRef
from domain.conversation import Channel, Lane, Stage, StageStatus
from domain.errors import NotFound, Superseded
from domain.ids import new_id
from storage.postgres.database import PostgresDatabase
from storage.protocols import RunEntry, Tenant
from tests.support.storage import accept, enter, new_conversation


async def revise(db: PostgresDatabase, tenant: Tenant, external_id: str, content_hash: str) -> None:
    await accept(db, tenant.id, new_conversation(external_id, content_hash=content_hash))


async def hold(db: PostgresDatabase, run: RunRef) -> None:
    async with db.tenant_tx(run.tenant_id) as tx:
        await tx.runs.hold(run)


async def test_an_entry_comes_back_as_it_went_in(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    task_ids, later = (new_id(), new_id()), datetime(2030, 1, 1, tzinfo=UTC)
    async with db.tenant_tx(tenant.id) as tx:
        made = await tx.runs.enter(
            conversation.id,
            1,
            enter_at=Stage.TRANSCRIBE,
            lane=Lane.BACKFILL,
            channel=Channel.CALL,
            reason="rerun",
            task_ids=task_ids,
            not_before=later,
            transcription="whisper",
        )
        assert await tx.runs.get(made.run) == made
        assert await tx.runs.list(conversation.id) == [made]

    assert made == RunEntry(
        run=RunRef(tenant_id=tenant.id, conversation_id=conversation.id, revision=1, entry=1, lane=Lane.BACKFILL),
        channel=Channel.CALL,
        enter_at=Stage.TRANSCRIBE,
        task_ids=task_ids,
        state="pending",
        reason="rerun",
        not_before=later,
        created_at=made.created_at,
        transcription="whisper",
    )


async def test_entries_at_once_get_numbers_in_a_row(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)

    async def one() -> int:
        async with db.tenant_tx(tenant.id) as tx:
            return (await enter(tx, conversation)).entry

    assert sorted(await asyncio.gather(*(one() for _ in range(30)))) == list(range(1, 31))


async def test_a_new_revision_starts_again_and_closes_what_waits(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id, new_conversation("again", content_hash="one"))
    async with db.tenant_tx(tenant.id) as tx:
        started, waiting = await enter(tx, conversation), await enter(tx, conversation)
        await tx.runs.started(started, "temporal-run")
    await revise(db, tenant, "again", "two")
    async with db.tenant_tx(tenant.id) as tx:
        newer = await enter(tx, await tx.conversations.get(conversation.id))
        states = {(e.run.revision, e.run.entry): e.state for e in await tx.runs.list(conversation.id)}

    assert (newer.revision, newer.entry) == (2, 1)
    assert states == {(1, 1): "started", (1, waiting.entry): "closed", (2, 1): "pending"}
    with pytest.raises(Superseded):
        async with db.tenant_tx(tenant.id) as tx:
            await enter(tx, conversation)  # as it was read before the revision


async def test_unknown_runs(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    unknown = RunRef(tenant_id=tenant.id, conversation_id=conversation.id, revision=1, entry=9)
    nobody = RunRef(tenant_id=tenant.id, conversation_id=new_id(), revision=1, entry=1)
    later = datetime(2030, 1, 1, tzinfo=UTC)
    for run in (unknown, nobody):
        for method, *args in (("get",), ("hold",), ("started", "x"), ("close",), ("postpone", later)):
            with pytest.raises(NotFound):
                async with db.tenant_tx(tenant.id) as tx:
                    await getattr(tx.runs, str(method))(run, *args)
    with pytest.raises(NotFound):
        async with db.tenant_tx(tenant.id) as tx:
            await tx.runs.enter(
                new_id(), 1, enter_at=Stage.PLAN, lane=Lane.LIVE, channel=Channel.CHAT, reason="created"
            )


async def test_a_closed_run_stays_closed(db: PostgresDatabase, tenant: Tenant) -> None:
    """Temporal's answer to a start may come after the run has ended."""
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        run = await enter(tx, conversation)
        await tx.runs.close(run)
        await tx.runs.started(run, "temporal-run")
        assert (await tx.runs.get(run)).state == "closed"
        with pytest.raises(NotFound):
            await tx.runs.postpone(run, datetime(2030, 1, 1, tzinfo=UTC))


# -- the lease


async def test_a_newer_entry_takes_over_and_the_older_is_told(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        older, newer = await enter(tx, conversation), await enter(tx, conversation)

    await hold(db, older)
    await hold(db, older)
    await hold(db, newer)
    with pytest.raises(Superseded):
        await hold(db, older)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.runs.close(newer)
    with pytest.raises(Superseded):  # also when the newer one has ended
        await hold(db, older)
    await hold(db, newer)


async def test_a_newer_revision_shuts_the_older_out_before_it_has_started(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id, new_conversation("shut", content_hash="one"))
    async with db.tenant_tx(tenant.id) as tx:
        run = await enter(tx, conversation)
    await hold(db, run)
    await revise(db, tenant, "shut", "two")

    with pytest.raises(Superseded):
        await hold(db, run)


async def test_no_revision_comes_between_hold_and_commit(db: PostgresDatabase, tenant: Tenant) -> None:
    """`persist` holds and writes in one transaction: a revision accepted meanwhile waits for it."""
    conversation = await accept(db, tenant.id, new_conversation("between", content_hash="one"))
    async with db.tenant_tx(tenant.id) as tx:
        run = await enter(tx, conversation)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.runs.hold(run)
        revising = asyncio.create_task(revise(db, tenant, "between", "two"))
        done, _ = await asyncio.wait({revising}, timeout=0.3)
        assert not done
        assert (await tx.conversations.get(conversation.id)).revision == 1
    await asyncio.wait_for(revising, 10)

    with pytest.raises(Superseded):
        await hold(db, run)


async def test_many_runs_that_want_the_lease_never_deadlock(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        runs = [await enter(tx, conversation) for _ in range(10)]

    outcomes = await asyncio.gather(*(hold(db, run) for run in reversed(runs)), return_exceptions=True)

    assert all(o is None or isinstance(o, Superseded) for o in outcomes)
    await hold(db, runs[-1])
    with pytest.raises(Superseded):
        await hold(db, runs[-2])


# -- stages


async def test_states_of_a_stage(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        run = await enter(tx, conversation)
        await tx.runs.stage(run, Stage.ANALYZE, StageStatus.RUNNING, attempt=1)
        await tx.runs.stage(run, Stage.ANALYZE, StageStatus.RUNNING, attempt=2, error="engine_timeout")
        await tx.runs.stage(run, Stage.ANALYZE, StageStatus.COMPLETED, attempt=2)
        await tx.runs.stage(run, Stage.ANALYZE, StageStatus.RUNNING, attempt=1)  # late
        (state,) = await tx.runs.stages(conversation.id, 1)

    assert (state.name, state.state, state.attempts) == ("analyze", "completed", 2)
    assert state.last_error == "engine_timeout"
    assert state.started_at is not None
    assert state.ended_at is not None


async def test_the_newest_entry_speaks_for_its_stages(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        first, second = await enter(tx, conversation), await enter(tx, conversation)
        await tx.runs.stage(first, Stage.NORMALIZE, StageStatus.COMPLETED)
        await tx.runs.stage(first, Stage.ANALYZE, StageStatus.FAILED, error="x")
        await tx.runs.stage(second, Stage.ANALYZE, StageStatus.RUNNING)
        await tx.runs.stage(first, Stage.ANALYZE, StageStatus.PARKED)  # a latecomer of the older entry
        states = [(s.name, s.state) for s in await tx.runs.stages(conversation.id, 1)]

    assert states == [("normalize", "completed"), ("analyze", "running")]


async def test_the_lease_is_held_and_the_stage_marked_in_one_go(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        first, second = await enter(tx, conversation), await enter(tx, conversation)
        await tx.runs.hold(second, Stage.PLAN, attempt=3)
        (state,) = await tx.runs.stages(conversation.id, 1)
    assert (state.name, state.state, state.attempts, state.ended_at) == ("plan", "running", 3, None)

    with pytest.raises(Superseded):
        async with db.tenant_tx(tenant.id) as tx:
            await tx.runs.hold(first, Stage.INGEST)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.runs.hold(second, Stage.PLAN, StageStatus.COMPLETED, attempt=3)
        (state,) = await tx.runs.stages(conversation.id, 1)
    assert (state.state, state.ended_at is not None) == ("completed", True)


# -- what the platform sees of them


async def test_due_entries(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    now = datetime.now(UTC)
    async with db.tenant_tx(tenant.id) as tx:
        due = await enter(tx, conversation)
        past = await enter(tx, conversation, not_before=now - timedelta(minutes=1))
        paced = await enter(tx, conversation, not_before=now - timedelta(minutes=1), lane=Lane.BACKFILL)
        future = await enter(tx, conversation, not_before=now + timedelta(hours=1))
        started, closed = await enter(tx, conversation), await enter(tx, conversation)
        await tx.runs.started(started, "x")
        await tx.runs.close(closed)

    async def seen(older_than: float) -> list[RunRef]:
        entries = await db.platform.due_entries(1000, older_than_seconds=older_than)
        return [e for e in entries if e.conversation_id == conversation.id]

    assert await seen(0) == [past, due]
    assert await seen(60) == []
    assert len(await db.platform.due_entries(1, older_than_seconds=0)) == 1
    async with db.tenant_tx(tenant.id) as tx:
        await tx.runs.postpone(future, now - timedelta(hours=1))
        await tx.runs.postpone(due, now + timedelta(hours=1))
    assert await seen(0) == [future, past]
    async with db.tenant_tx(tenant.id) as tx:
        assert [entry.run for entry in await tx.runs.paced(10)] == [paced]


async def test_what_waits_in_the_paced_lane(db: PostgresDatabase, other: Tenant) -> None:
    conversation, now = await accept(db, other.id), datetime.now(UTC)
    async with db.tenant_tx(other.id) as tx:
        await enter(tx, conversation)
        assert other.id not in await db.platform.paced_tenants()
        later = await enter(tx, conversation, lane=Lane.BACKFILL, not_before=now + timedelta(hours=1))
    assert other.id not in await db.platform.paced_tenants()
    async with db.tenant_tx(other.id) as tx:
        runs = [await enter(tx, conversation, lane=Lane.BACKFILL) for _ in range(3)]
    assert other.id in await db.platform.paced_tenants()
    async with db.tenant_tx(other.id) as tx:
        assert [entry.run for entry in await tx.runs.paced(2)] == runs[:2]
        for run in runs:
            await tx.runs.started(run, "x")
        assert (await tx.runs.open_paced(), list(await tx.runs.paced(9))) == (3, [])
        await tx.runs.close(runs[0])
        await tx.runs.postpone(later, now - timedelta(hours=1))
        assert await tx.runs.open_paced() == 2
        assert [entry.run for entry in await tx.runs.paced(9)] == [later]


async def test_stale_leases(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation, done = await accept(db, tenant.id), await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        run, ended = await enter(tx, conversation, lane=Lane.BACKFILL), await enter(tx, done)
        await tx.runs.hold(run)
        await tx.runs.hold(ended)
        await tx.runs.close(ended)

    stale = await db.platform.stale_leases(1000, older_than_seconds=0)
    assert run in stale
    assert ended not in stale
    assert run not in await db.platform.stale_leases(1000, older_than_seconds=60)


async def test_one_leader_at_a_time(db: PostgresDatabase) -> None:
    won = await asyncio.gather(*(db.platform.lead("job", f"holder-{n}", 60) for n in range(10)))
    assert sum(won) == 1
    leader = won.index(True)
    assert await db.platform.lead("job", f"holder-{leader}", 60)
    assert not await db.platform.lead("job", "another", 60)
    assert await db.platform.lead("other job", "another", 60)
    assert await db.platform.lead("job", f"holder-{leader}", 0)  # gives up at once
    assert await db.platform.lead("job", "another", 60)


async def test_a_run_that_temporal_had_and_that_never_began_is_stale(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        run = await enter(tx, conversation)
    assert run not in await db.platform.stale_leases(1000, older_than_seconds=0)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.runs.started(run, "temporal-run")
    assert run in await db.platform.stale_leases(1000, older_than_seconds=0)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.runs.close(run)
    assert run not in await db.platform.stale_leases(1000, older_than_seconds=0)
