"""What the API needs of storage: claims of idempotency keys, provisioning, the backlog's age, the task catalogue."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.clock import utc_now
from domain.errors import Conflict, IdempotencyMismatch, NotFound
from domain.fields import Owner
from domain.ids import new_id, new_tenant_id
from domain.starter import STARTER_FIELDS, STARTER_TASKS
from domain.tasks import TaskVersion, VersionState
from domain.tenants import Limit, NewPartner, NewTenant, Retention, TenantLimits
from storage.api_keys import api_key_hash
from storage.postgres.database import PostgresDatabase
from storage.postgres.provisioning import Provisioning
from storage.protocols import Upload
from tests.support.stack import DatabaseUrls

LIMIT = Limit(warn_at=800, stop_at=1000)


@pytest.fixture(scope="module")
async def db(database: DatabaseUrls) -> AsyncIterator[PostgresDatabase]:
    opened = await PostgresDatabase.connect(database.app, database.platform)
    yield opened
    await opened.close()


def tenant_named(slug: str, partner_id: str | None = None) -> NewTenant:
    return NewTenant(
        slug=slug,
        name=slug.title(),
        limits=TenantLimits(conversations=LIMIT, audio_minutes=LIMIT, requests=LIMIT, tokens=LIMIT, cost_usd=LIMIT),
        retention=Retention(audio_days=30, text_days=90, insight_days=365),
        time_zone="Europe/Berlin",
        languages=("en", "de"),
        partner_id=partner_id,
    )


@pytest.fixture(scope="module")
async def tenant_id(db: PostgresDatabase) -> str:
    return (await db.platform.create_tenant(tenant_named("claims"))).id


async def test_a_partner_its_tenant_and_their_keys(db: PostgresDatabase) -> None:
    partner = await db.platform.create_partner(NewPartner(slug="hosting", name="Hosting Ltd"))
    tenant = await db.platform.create_tenant(tenant_named("shop", partner.id))
    assert partner in await db.platform.partners()
    assert (tenant.partner_id, tenant.time_zone, tenant.languages, tenant.allowed_engines) == (
        partner.id,
        "Europe/Berlin",
        ("en", "de"),
        None,
    )
    issued = await db.platform.create_api_key("connector", scopes=["ingest"], tenant_id=tenant.id)
    record = await db.platform.api_key(api_key_hash(issued.key.get_secret_value()))
    assert record is not None
    assert (record.tenant_id, record.partner_id, record.scopes) == (tenant.id, None, ("ingest",))
    with pytest.raises(Conflict):
        await db.platform.create_partner(NewPartner(slug="hosting", name="Again"))
    with pytest.raises(Conflict):
        await db.platform.create_tenant(tenant_named("shop"))
    with pytest.raises(NotFound):
        await db.platform.create_tenant(tenant_named("orphan", new_tenant_id()))
    with pytest.raises(NotFound):
        await db.platform.create_tenant(tenant_named("child-of-tenant", tenant.id))
    with pytest.raises(NotFound):
        await db.platform.create_api_key("nobody's", scopes=["read"], tenant_id=new_tenant_id())


async def test_one_of_many_gets_a_claim(db: PostgresDatabase, tenant_id: str) -> None:
    async def claim() -> bool:
        async with db.tenant_tx(tenant_id) as tx:
            return (await tx.idempotency.claim("one", "hash", abandoned_after_seconds=60)).ours

    assert sum(await asyncio.gather(*(claim() for _ in range(20)))) == 1
    async with db.tenant_tx(tenant_id) as tx:
        assert await tx.idempotency.find("one", "hash") is None
        with pytest.raises(IdempotencyMismatch):
            await tx.idempotency.claim("one", "other", abandoned_after_seconds=60)
    async with db.tenant_tx(tenant_id) as tx:
        await tx.idempotency.keep("one", "hash", 202, b"{}")
        await tx.idempotency.release("one")
        kept = await tx.idempotency.claim("one", "hash", abandoned_after_seconds=0)
    assert (kept.ours, kept.status, kept.body) == (False, 202, b"{}")


async def test_a_claim_that_was_given_back_or_abandoned_can_be_taken(db: PostgresDatabase, tenant_id: str) -> None:
    async with db.tenant_tx(tenant_id) as tx:
        assert (await tx.idempotency.claim("two", "a", abandoned_after_seconds=60)).ours
        await tx.idempotency.release("two")
    async with db.tenant_tx(tenant_id) as tx:
        assert (await tx.idempotency.claim("two", "b", abandoned_after_seconds=60)).ours
    async with db.tenant_tx(tenant_id) as tx:
        assert (await tx.idempotency.claim("two", "c", abandoned_after_seconds=-1)).ours


async def test_uploads_learn_what_they_are_and_go(db: PostgresDatabase, tenant_id: str) -> None:
    upload = Upload(
        id=new_id(),
        size=3,
        sha256="0" * 64,
        media_type="application/octet-stream",
        state="open",
        content_key="k",
        created_at=utc_now(),
    )
    async with db.tenant_tx(tenant_id) as tx:
        await tx.uploads.open(upload)
        await tx.uploads.stored(upload.id, size=3, sha256="0" * 64, media_type="audio/wav")
        assert (await tx.uploads.get(upload.id)).media_type == "audio/wav"
        await tx.uploads.remove(upload.id)
        await tx.uploads.remove(upload.id)
    with pytest.raises(NotFound):
        async with db.tenant_tx(tenant_id) as tx:
            await tx.uploads.get(upload.id)


async def test_the_task_catalogue_names_newest_and_active(
    db: PostgresDatabase, tenant_id: str, database: DatabaseUrls
) -> None:
    starter = STARTER_TASKS[0]
    versions = []
    async with Provisioning.connect(database.owner) as provisioning, provisioning.configuration() as config:
        for field in STARTER_FIELDS:
            await config.put_field(field)
        await config.put_task(starter.task)
        for prompt in ("first", "second"):
            spec = starter.spec.model_copy(update={"prompt": prompt})
            versions.append(
                TaskVersion(
                    id=spec.version_id(),
                    task_id=starter.task.id,
                    spec=spec,
                    state=VersionState.PUBLISHED,
                    author="test",
                    reason="test",
                    created_at=utc_now(),
                )
            )
            await config.put_version(versions[-1])
    async with db.tenant_tx(tenant_id) as tx:
        (listing,) = await tx.catalog.tasks()
        assert (listing.task, listing.newest, listing.active) == (starter.task, versions[1], None)
        assert listing.task.owner is Owner.OPERATOR
        await tx.catalog.activate(starter.task.id, versions[0].id)
        (listing,) = await tx.catalog.tasks()
        assert (listing.newest, listing.active, listing.overridden) == (versions[1], versions[0], False)


async def test_no_backlog(db: PostgresDatabase, tenant_id: str) -> None:
    async with db.tenant_tx(tenant_id) as tx:
        assert await tx.runs.backlog_age_seconds() == 0
        assert await tx.dead_letters.of_conversation(new_id()) == []
