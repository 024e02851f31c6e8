"""The dirty set, dead letters, uploads, idempotency keys and the audit trail."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from domain.conversation import Stage
from domain.errors import Conflict, Forbidden, IdempotencyMismatch, NotFound
from domain.ids import new_id
from storage.postgres.database import PostgresDatabase
from storage.protocols import DeadLetter, DirtyConversation, Page, Tenant, Upload
from tests.support.stack import DatabaseUrls
from tests.support.storage import START, accept, enter, make_tenant


async def dirty_of(db: PostgresDatabase, conversation_id: str) -> list[DirtyConversation]:
    return [d for d in await db.platform.dirty(10_000) if d.conversation_id == conversation_id]


async def mark(db: PostgresDatabase, tenant: Tenant, conversation_id: str) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        await tx.outbox.search_dirty(conversation_id)


async def test_the_outbox_is_a_set(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    await asyncio.gather(*(mark(db, tenant, conversation.id) for _ in range(20)))

    (only,) = await dirty_of(db, conversation.id)
    await db.platform.clear([only])

    assert (only.tenant_id, only.attempts) == (tenant.id, 0)
    assert await dirty_of(db, conversation.id) == []
    await db.platform.clear([only])
    await db.platform.clear([])


async def test_what_came_since_is_not_cleared(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    await mark(db, tenant, conversation.id)
    (read,) = await dirty_of(db, conversation.id)
    await mark(db, tenant, conversation.id)
    await db.platform.clear([read])

    (left,) = await dirty_of(db, conversation.id)

    assert left.mark > read.mark
    assert left.since == read.since  # it has waited all the time


async def test_a_row_under_change_does_not_hold_the_indexer_up(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    await mark(db, tenant, conversation.id)
    (read,) = await dirty_of(db, conversation.id)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.outbox.search_dirty(conversation.id)
        await asyncio.wait_for(db.platform.clear([read]), 5)

    assert len(await dirty_of(db, conversation.id)) == 1


async def test_a_deferred_row_comes_back_later_or_when_it_changes(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    await mark(db, tenant, conversation.id)
    (read,) = await dirty_of(db, conversation.id)
    for _ in range(12):
        await db.platform.defer(read, "the index refused it" * 100)
    assert await dirty_of(db, conversation.id) == []
    assert await db.platform.search_lag_seconds() > 0

    await mark(db, tenant, conversation.id)

    (again,) = await dirty_of(db, conversation.id)
    assert again.attempts == 0
    await db.platform.defer(read, "an old mark defers nothing")
    assert await dirty_of(db, conversation.id) == [again]


async def test_events_are_a_set_by_kind(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        for kind in ("conversation.completed", "conversation.completed", "conversation.failed"):
            await tx.outbox.event(kind, conversation.id)
        kinds = await tx.session.rows(
            "select kind from event_outbox where tenant_id = $1 and conversation_id = $2 order by 1",
            tenant.id,
            conversation.id,
        )
    assert [row["kind"] for row in kinds] == ["conversation.completed", "conversation.failed"]


# -- dead letters


def letter(conversation_id: str, **changes: Any) -> DeadLetter:
    wanted: dict[str, Any] = {
        "id": new_id(),
        "conversation_id": conversation_id,
        "revision": 1,
        "entry": 1,
        "stage": Stage.ANALYZE,
        "error_type": "engine_timeout",
        "detail": "d",
        "attempts": 3,
        "first_at": START,
        "last_at": START,
        **changes,
    }
    return DeadLetter(**wanted)


async def test_one_open_letter_a_stage(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    first = letter(conversation.id)
    repeated = first.model_copy(update={"id": new_id(), "last_at": START + timedelta(minutes=1)})
    next_entry = letter(conversation.id, entry=2, attempts=4, error_type="internal", last_at=START)
    elsewhere = letter(conversation.id, stage=Stage.INGEST)
    async with db.tenant_tx(tenant.id) as tx:
        assert await tx.dead_letters.put(first) == first.id
        assert await tx.dead_letters.put(repeated) == first.id
        assert (await tx.dead_letters.get(first.id)).attempts == 3
        assert await tx.dead_letters.put(next_entry) == first.id
        assert await tx.dead_letters.put(elsewhere) == elsewhere.id
        kept = await tx.dead_letters.get(first.id)

    assert (kept.attempts, kept.entry, kept.error_type) == (7, 2, "internal")
    assert (kept.first_at, kept.last_at) == (START, START + timedelta(minutes=1))


async def test_a_redriven_letter_is_closed(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    first = letter(conversation.id)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.dead_letters.put(first)
        await tx.dead_letters.redriven(first.id, 2)
        assert await tx.dead_letters.put(first) == first.id  # a late repetition
        closed = await tx.dead_letters.get(first.id)
        assert (closed.redriven_entry, closed.redriven_at is not None) == (2, True)
        second = letter(conversation.id, entry=2)
        assert await tx.dead_letters.put(second) == second.id
        assert [x.id for x in await tx.dead_letters.of_conversation(conversation.id)] == [second.id]
        for missing in (tx.dead_letters.get(new_id()), tx.dead_letters.redriven(new_id(), 1)):
            with pytest.raises(NotFound):
                await missing


async def test_letters_are_listed_newest_first(db: PostgresDatabase, database: DatabaseUrls) -> None:
    tenant = await make_tenant(database.owner)
    made = []
    for number in range(5):
        conversation = await accept(db, tenant.id)
        made.append(letter(conversation.id, last_at=START + timedelta(minutes=number // 2)))
    async with db.tenant_tx(tenant.id) as tx:
        for one in made:
            await tx.dead_letters.put(one)
        await tx.dead_letters.redriven(made[0].id, 2)
        seen: list[str] = []
        page = Page(limit=2)
        while found := await tx.dead_letters.list(open_only=False, page=page):
            seen += [x.id for x in found]
            page = Page(limit=2, after=(found[-1].last_at, found[-1].id))
        still_open = await tx.dead_letters.list(open_only=True, page=Page())

    assert seen == [x.id for x in sorted(made, key=lambda x: (x.last_at, x.id), reverse=True)]
    assert {x.id for x in still_open} == {x.id for x in made[1:]}


# -- uploads, idempotency, audit


async def test_an_upload_receives_its_bytes_once(db: PostgresDatabase, tenant: Tenant) -> None:
    upload = Upload(
        id=new_id(), size=10, sha256=None, media_type="audio/wav", state="open", content_key="k", created_at=START
    )
    async with db.tenant_tx(tenant.id) as tx:
        await tx.uploads.open(upload)
        assert await tx.uploads.get(upload.id) == upload
        for _ in range(2):
            await tx.uploads.stored(upload.id, size=12, sha256="a" * 64)
        stored = await tx.uploads.get(upload.id)
        assert (stored.state, stored.size, stored.sha256) == ("stored", 12, "a" * 64)
        with pytest.raises(Conflict):
            await tx.uploads.stored(upload.id, size=12, sha256="b" * 64)
        with pytest.raises(NotFound):
            await tx.uploads.stored(new_id(), size=1, sha256="b" * 64)
        await tx.uploads.remove(upload.id)
        with pytest.raises(NotFound):
            await tx.uploads.get(upload.id)


async def test_the_first_answer_to_a_key_stays(db: PostgresDatabase, tenant: Tenant, other: Tenant) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        assert await tx.idempotency.find("key", "body") is None
        await tx.idempotency.keep("key", "body", 202, b"\x00answer")
        await tx.idempotency.keep("key", "body", 500, b"later")
        assert await tx.idempotency.find("key", "body") == (202, b"\x00answer")
        with pytest.raises(IdempotencyMismatch):
            await tx.idempotency.find("key", "another body")
    async with db.tenant_tx(other.id) as tx:
        assert await tx.idempotency.find("key", "another body") is None


async def test_old_keys_are_forgotten(db: PostgresDatabase, tenant: Tenant) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        for number in range(3):
            await tx.idempotency.keep(f"old-{number}", "b", 200, b"")
            await tx.session.execute(
                """
                insert into idempotency_key (tenant_id, key, body_hash, status, body, created_at)
                values ($1, $2, 'b', 200, '', now() - interval '3 days')
                """,
                tenant.id,
                f"older-{number}",
            )
    assert await db.platform.forget_idempotency_keys(2) == 2
    assert await db.platform.forget_idempotency_keys(10) == 1
    async with db.tenant_tx(tenant.id) as tx:
        assert await tx.idempotency.find("old-0", "b") is not None
        assert await tx.idempotency.find("older-0", "b") is None


async def test_the_audit_trail_only_grows(db: PostgresDatabase, tenant: Tenant) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        await tx.audit.record(actor="key:1", action="look", subject="conversation/x", origin="::1")
        await tx.audit.record(
            actor="key:1", action="change", subject="task/y", origin=None, before={"a": 1}, after={"a": 2}
        )
        rows = await tx.session.rows(
            "select actor, action, before, after from audit_event where tenant_id = $1 order by action", tenant.id
        )
    assert [tuple(row) for row in rows] == [("key:1", "change", {"a": 1}, {"a": 2}), ("key:1", "look", None, None)]
    for forbidden in ("delete from audit_event where tenant_id = $1", "update audit_event set actor = $1"):
        with pytest.raises(Forbidden):
            async with db.tenant_tx(tenant.id) as tx:
                await tx.session.execute(forbidden, tenant.id)


async def test_backlog_of_accepted_conversations(db: PostgresDatabase, database: DatabaseUrls) -> None:
    tenant = await make_tenant(database.owner)
    async with db.tenant_tx(tenant.id) as tx:
        assert await tx.runs.backlog_age_seconds() == 0
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        await enter(tx, conversation)
        assert await tx.runs.backlog_age_seconds() > 0
