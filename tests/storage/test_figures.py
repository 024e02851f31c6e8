"""Figures of the whole platform: numbers over all tenants, and afterwards no tenant is set."""

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from domain.clock import utc_now
from domain.conversation import Stage, Status
from domain.ids import derived_id, new_id
from services.platform_status import TENANTS, summed
from storage.postgres.database import PostgresDatabase
from storage.protocols import DeadLetter, PlatformFigure, Tenant
from tests.support.stack import DatabaseUrls, PostgresServer
from tests.support.storage import accept, enter, make_tenant, new_conversation


def letter(conversation_id: str, stage: Stage) -> DeadLetter:
    now = utc_now()
    return DeadLetter(
        id=new_id(), conversation_id=conversation_id, revision=1, entry=1, stage=stage, error_type="internal",
        detail="", attempts=1, first_at=now, last_at=now,
    )  # fmt: skip


async def test_what_waits_is_parked_or_was_given_up(
    db: PostgresDatabase, database: DatabaseUrls, tenant: Tenant, other: Tenant
) -> None:
    gone = await make_tenant(database.owner)
    await accept(db, gone.id)
    for mine, waiting in ((tenant, 2), (other, 1)):
        for _ in range(waiting):
            await accept(db, mine.id)
        for reason in ("settling", "settling", "engine_quota_exhausted"):
            conversation = await accept(db, mine.id, new_conversation())
            async with db.tenant_tx(mine.id) as tx:
                await tx.conversations.set_status(conversation.id, Status.PARKED, reason)
                await tx.dead_letters.put(letter(conversation.id, Stage.ANALYZE))
                later = await enter(tx, conversation, not_before=utc_now() + timedelta(hours=1))
                await enter(tx, conversation, not_before=utc_now() - timedelta(seconds=5))
                assert later.entry == 1
        async with db.tenant_tx(mine.id) as tx:
            redriven = letter(conversation.id, Stage.INGEST)
            await tx.dead_letters.put(redriven)
            await tx.dead_letters.redriven(redriven.id, 2)
            await tx.outbox.search_dirty(conversation.id)
            await tx.outbox.event("conversation.completed", conversation.id)
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute("update tenant set state = 'erased' where id = %s", (gone.id,))

    figures = list(await db.platform.figures())

    assert {f.name: f.number for f in figures if f.what == "backlog"} == {tenant.id: 2, other.id: 1}
    status = summed(figures)
    assert status.parked == {"settling": 4, "engine_quota_exhausted": 2}
    assert status.dead_letters == {"analyze": 6}
    assert (status.search.number, status.events.number) == (2, 2)
    assert status.due.number == 6
    assert 5 <= status.due.age_seconds < 600
    assert status.backlog.number == 3
    assert 0 < status.backlog.age_seconds < 600
    assert status.tenants[0].age_seconds == status.backlog.age_seconds


async def test_no_tenant_is_set_afterwards(database: DatabaseUrls) -> None:
    with psycopg.connect(database.platform) as platform:
        platform.execute("select * from platform_figures()")
        assert platform.execute("select current_setting('parley.tenant_id', true)").fetchone() == ("",)


async def test_an_empty_platform_has_figures(empty_platform: PostgresDatabase) -> None:
    status = summed(list(await empty_platform.platform.figures()))
    assert (status.backlog.number, status.due.number, status.search.number, status.tenants) == (0, 0, 0, ())


@pytest.fixture
async def empty_platform(postgres: PostgresServer) -> AsyncIterator[PostgresDatabase]:
    urls = postgres.new_database()
    connected = await PostgresDatabase.connect(urls.app, urls.platform)
    yield connected
    await connected.close()
    postgres.drop_database(urls.name)


def test_tenants_are_told_apart_up_to_a_bound() -> None:
    many = [
        PlatformFigure(what="backlog", name=derived_id(str(n)).replace("-", ""), number=1, age_seconds=float(n))
        for n in range(100)
    ]
    found = summed(many)
    assert [tenant.age_seconds for tenant in found.tenants] == [float(n) for n in range(99, 99 - TENANTS, -1)]
    assert (found.backlog.number, found.backlog.age_seconds) == (100, 99.0)
