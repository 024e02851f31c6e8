"""Transactions: what they keep, what they lose, and what happens when Postgres goes away."""

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from domain.errors import Conflict, ContentDamaged, NotFound, ParleyError, Unavailable
from domain.ids import new_tenant_id
from infra.embedded.postgres import APP, OWNER, PLATFORM, EmbeddedPostgres, Passwords
from infra.embedded.process import free_port, spawn, stop
from storage.content import open_content_store
from storage.crypto import MasterKeys
from storage.migrate import migrate
from storage.postgres.database import PostgresDatabase
from storage.postgres.errors import StorageDefect
from storage.postgres.provisioning import Provisioning
from storage.postgres.tenant_keys import PostgresDataKeys
from storage.protocols import Tenant
from tests.support.stack import DatabaseUrls
from tests.support.storage import accept, make_tenant, new_conversation

MASTER = bytes(range(32))


async def count(db: PostgresDatabase, tenant: Tenant) -> int:
    async with db.tenant_tx(tenant.id) as tx:
        return int(await tx.session.value("select count(*) from conversation where tenant_id = $1", tenant.id))


async def test_leaving_with_an_error_keeps_nothing(db: PostgresDatabase, tenant: Tenant) -> None:
    before = await count(db, tenant)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what raises
        async with db.tenant_tx(tenant.id) as tx:
            await tx.catalog.source("api")
            await tx.conversations.accept(new_conversation())
            raise ZeroDivisionError
    assert await count(db, tenant) == before


async def test_a_swallowed_error_is_told(db: PostgresDatabase, tenant: Tenant) -> None:
    """Postgres would answer the commit with a silent rollback."""
    with pytest.raises(StorageDefect, match="swallowed"):  # noqa: PT012 - the block is what raises
        async with db.tenant_tx(tenant.id) as tx:
            await tx.catalog.source("api")
            with suppress(ParleyError):
                await tx.session.execute("select 1/0 from tenant where id = $1", tenant.id)


async def test_the_callers_own_errors_pass_untouched(db: PostgresDatabase, tenant: Tenant) -> None:
    for error in (FileNotFoundError("theirs"), TimeoutError("theirs"), KeyError("theirs")):
        with pytest.raises(type(error), match="theirs"):
            async with db.tenant_tx(tenant.id):
                raise error


@pytest.mark.parametrize("unknown", ["f" * 32, "", "x", "'; drop table tenant; --", "A" * 32])
async def test_an_unknown_tenant_is_not_found(db: PostgresDatabase, unknown: str) -> None:
    with pytest.raises(NotFound):
        async with db.tenant_tx(unknown):
            pass


async def test_errors_of_postgres_tell_no_data(db: PostgresDatabase, tenant: Tenant) -> None:
    """Postgres' own words would be: Key (tenant_id, slug)=(…, secret-name) already exists."""
    statement = "insert into source (tenant_id, id, slug) values ($1, gen_random_uuid(), 'secret-name')"
    with pytest.raises(Conflict) as caught:  # noqa: PT012 - the block is what raises
        async with db.tenant_tx(tenant.id) as tx:
            await tx.session.execute(statement, tenant.id)
            await tx.session.execute(statement, tenant.id)
    assert "secret-name" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_two_statements_at_once_are_our_defect(db: PostgresDatabase, tenant: Tenant) -> None:
    with pytest.raises(StorageDefect):
        async with db.tenant_tx(tenant.id) as tx:
            await asyncio.gather(*(tx.session.value("select pg_sleep(0.05)") for _ in range(2)))


async def test_a_cancelled_transaction_gives_its_connection_back(database: DatabaseUrls, tenant: Tenant) -> None:
    db = await PostgresDatabase.connect(database.app, database.platform, pool_max=1)
    try:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05), db.tenant_tx(tenant.id) as tx:
                    await tx.session.value("select pg_sleep(30)")
            await asyncio.wait_for(db.ping(), 10)
            await count(db, tenant)
    finally:
        await db.close()


async def test_statements_end_after_their_time(database: DatabaseUrls, tenant: Tenant) -> None:
    db = await PostgresDatabase.connect(database.app, database.platform, timeout_seconds=0.3)
    try:
        with pytest.raises(Unavailable):
            async with db.tenant_tx(tenant.id) as tx:
                await tx.session.value("select pg_sleep(30)")
        await db.ping()
    finally:
        await db.close()


async def test_killed_connections_are_replaced(db: PostgresDatabase, database: DatabaseUrls, tenant: Tenant) -> None:
    await asyncio.gather(*(count(db, tenant) for _ in range(12)))
    admin = await asyncpg.connect(database.admin)
    with pytest.raises(Unavailable):  # noqa: PT012 - it is lost on the way
        async with db.tenant_tx(tenant.id) as tx:
            mine = await tx.session.value("select pg_backend_pid()")
            await admin.execute("select pg_terminate_backend($1)", mine)
            await tx.session.value("select 1")
    await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'parley_app'")
    await admin.close()

    await asyncio.gather(*(count(db, tenant) for _ in range(12)))  # idle ones are replaced without a word


async def eventually(ask: Callable[[], Awaitable[int]], seconds: float = 20) -> int:
    """The answer, once the database is back: what a retrying caller sees."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.1)


# -- Postgres away


@pytest.fixture
async def own_tenant(database: DatabaseUrls) -> Tenant:
    return await make_tenant(database.owner)


async def test_postgres_away_and_back(tmp_path: Path) -> None:
    """Unavailable while it is away, whatever is tried; every pool works again when it is back, by itself."""
    server = EmbeddedPostgres(
        tmp_path / "postgres", Passwords(*(SecretStr(x) for x in ("a1", "o1", "p1", "q1"))), {"fsync": "off"}
    )
    port = free_port()

    def start() -> subprocess.Popen[bytes]:
        process = spawn(server.prepare(port), (tmp_path / "log").open("ab"))
        server.wait_ready(60, lambda: process.poll() is None)
        return process

    process = start()
    try:
        server.bootstrap()
        migrate(server.url(OWNER))
        tenant = await make_tenant(server.url(OWNER))
        db = await PostgresDatabase.connect(server.url(APP), server.url(PLATFORM), timeout_seconds=3)
        content = open_content_store(f"file://{tmp_path}/content", PostgresDataKeys(db, MasterKeys(MASTER)))
        key = f"{tenant.id}/x"
        await content.put(tenant.id, key, b"words")
        await accept(db, tenant.id)
        await db.platform.tenants()

        stop(process, signal.SIGQUIT, grace=10)
        for attempt in (db.ping, db.platform.tenants, lambda: count(db, tenant), lambda: accept(db, tenant.id)):
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await attempt()
        with pytest.raises(Unavailable):
            await PostgresDatabase.connect(server.url(APP), server.url(PLATFORM))
        assert await content.get(tenant.id, key) == b"words"  # the tenant's key is at hand

        process = start()
        assert await eventually(lambda: count(db, tenant)) == 1
        assert [t.id for t in await db.platform.tenants()] == [tenant.id]
        await accept(db, tenant.id)
        await db.close()
    finally:
        stop(process, signal.SIGQUIT, grace=10)
        server.remove()


# -- the tenants' keys


async def test_the_first_key_is_made_once(db: PostgresDatabase, own_tenant: Tenant) -> None:
    rings = [PostgresDataKeys(db, MasterKeys(MASTER)) for _ in range(12)]

    made = await asyncio.gather(*(ring.current(own_tenant.id) for ring in rings))

    assert len({key.secret for key in made}) == 1
    assert await rings[0].version(own_tenant.id, 1) == made[0]
    assert await PostgresDataKeys(db, MasterKeys(MASTER)).version(own_tenant.id, 1) == made[0]
    assert await rings[0].version(own_tenant.id, 2) is None
    assert await rings[0].version(own_tenant.id, 2**32 - 1) is None
    async with db.tenant_tx(own_tenant.id) as tx:
        stored = await tx.session.value("select wrapped from tenant_key where tenant_id = $1", own_tenant.id)
    assert made[0].secret not in stored


async def test_content_needs_the_master_key(db: PostgresDatabase, own_tenant: Tenant, tmp_path: Path) -> None:
    url, key = f"file://{tmp_path}", f"{own_tenant.id}/x"
    await open_content_store(url, PostgresDataKeys(db, MasterKeys(MASTER))).put(own_tenant.id, key, b"words")

    rotated = MasterKeys(b"n" * 16 + bytes(16), MASTER)
    assert await open_content_store(url, PostgresDataKeys(db, rotated)).get(own_tenant.id, key) == b"words"
    with pytest.raises(Unavailable, match="master key"):
        await open_content_store(url, PostgresDataKeys(db, MasterKeys(b"z" * 32))).get(own_tenant.id, key)


async def test_a_tenants_content_is_nobody_elses(
    db: PostgresDatabase, own_tenant: Tenant, tenant: Tenant, tmp_path: Path
) -> None:
    content = open_content_store(f"file://{tmp_path}", PostgresDataKeys(db, MasterKeys(MASTER)))
    await content.put(own_tenant.id, f"{own_tenant.id}/x", b"words")
    await content.put(tenant.id, f"{tenant.id}/y", b"their words")
    (tmp_path / tenant.id / "x").write_bytes((tmp_path / own_tenant.id / "x").read_bytes())

    with pytest.raises(ContentDamaged):
        await content.get(tenant.id, f"{tenant.id}/x")
    nobody = new_tenant_id()
    with pytest.raises(NotFound):
        await content.put(nobody, f"{nobody}/x", b"words")


# -- provisioning


async def test_slugs_are_taken_once(database: DatabaseUrls) -> None:
    await make_tenant(database.owner, "taken")
    with pytest.raises(Conflict):
        await make_tenant(database.owner, "taken")
    with pytest.raises(NotFound):
        await make_tenant(database.owner, "orphan", partner_id=new_tenant_id())
    async with Provisioning.connect(database.owner) as provisioning:
        partner = await provisioning.create_partner("taken", "a partner may have a tenant's slug")
        assert await provisioning.partner("taken") == partner
        assert await provisioning.partner("none") is None
        found = await provisioning.tenant("taken")
        assert found is not None
        assert (found.slug, found.partner_id, found.state) == ("taken", None, "active")
        assert await provisioning.tenant("none") is None
        limits = await provisioning._session.rows(
            "select kind from tenant_limit where tenant_id = $1 order by 1", found.id
        )
    assert [row["kind"] for row in limits] == ["audio_minutes", "conversations", "cost_usd", "requests", "tokens"]
