"""Configuration: inherited downwards, hidden sideways, never changed where it may not change."""

import asyncio

import pytest

from domain.conversation import Channel
from domain.engine import EngineConfig, EngineFamily, EngineLimits, Price
from domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from domain.fields import FieldType, Option, Owner, Threshold
from domain.ids import new_id
from domain.tasks import TaskSpec, VersionState
from storage.postgres.database import PostgresDatabase
from storage.postgres.provisioning import Provisioning
from storage.protocols import Source, Tenant
from tests.support.stack import DatabaseUrls
from tests.support.storage import field, make_tenant, task, version


def engine(name: str, owner: Owner = Owner.TENANT, **changes: object) -> EngineConfig:
    return EngineConfig.model_validate(
        {
            "id": new_id(),
            "name": name,
            "family": EngineFamily.LANGUAGE_MODEL,
            "kind": "gemini",
            "model": "m",
            "owner": owner,
            **changes,
        }
    )


async def test_what_is_configured_comes_back(db: PostgresDatabase, tenant: Tenant) -> None:
    choice = field(
        "colour",
        FieldType.CHOICE,
        options=(Option(id="red", label="Red", meaning="m"), Option(id="old", label="Old", retired=True)),
        description="d",
        sensitive=True,
        editable=False,
        display_group="g",
    )
    number = field(
        "score", minimum=0, maximum=10, thresholds=(Threshold(low=0, high=3, label="bad", colour="#ff0000"),)
    )
    model = engine(
        "mine",
        credentials="env:KEY",
        endpoint="https://example.test",
        region="eu",
        parameters={"temperature": 0, "nested": {"a": [1]}},
        limits=EngineLimits(concurrency=2),
        price=Price(input_per_million=0.1, version="2025"),
        external=True,
    )
    async with db.tenant_tx(tenant.id) as tx:
        for one in (choice, number):
            await tx.catalog.put_field(one)
            await tx.catalog.put_field(one)
        await tx.catalog.put_engine(model)
        assert await tx.catalog.fields() == [choice, number]
        assert await tx.catalog.engines() == [model]

        changed = choice.model_copy(update={"label": "Colour", "options": choice.options[:1]})
        await tx.catalog.put_field(changed)
        moved = model.model_copy(update={"model": "newer"})
        await tx.catalog.put_engine(moved)
        assert await tx.catalog.fields() == [changed, number]
        assert await tx.catalog.engines() == [moved]


async def test_keys_and_types_never_change(db: PostgresDatabase, database: DatabaseUrls) -> None:
    tenant = await make_tenant(database.owner)
    of, named, model = field("fixed"), task("fixed"), engine("fixed")
    async with db.tenant_tx(tenant.id) as tx:
        await tx.catalog.put_field(of)
        await tx.catalog.put_task(named)
        await tx.catalog.put_engine(model)
    for put, changed in (
        ("put_field", of.model_copy(update={"key": "other"})),
        ("put_field", of.model_copy(update={"type": FieldType.TEXT})),
        ("put_field", of.model_copy(update={"id": new_id()})),
        ("put_task", named.model_copy(update={"slug": "other"})),
        ("put_task", named.model_copy(update={"id": new_id()})),
        ("put_engine", model.model_copy(update={"name": "other"})),
        ("put_engine", model.model_copy(update={"id": new_id()})),
    ):
        with pytest.raises(Conflict):
            async with db.tenant_tx(tenant.id) as tx:
                await getattr(tx.catalog, put)(changed)


async def test_levels(db: PostgresDatabase, database: DatabaseUrls) -> None:
    """A tenant sees the operator's, its partner's and its own; the nearer one wins; siblings see nothing."""
    async with Provisioning.connect(database.owner) as provisioning:
        partners = [await provisioning.create_partner(f"partner-{n}", "P") for n in range(2)]
        operators, partners_own = (
            field("level_a", owner=Owner.OPERATOR),
            field("level_b", owner=Owner.PARTNER, label="of 0"),
        )
        async with provisioning.configuration() as operator:
            await operator.put_field(operators)
            await operator.put_engine(engine("shared", Owner.OPERATOR))
            await operator.put_task(task("shared-task", Owner.OPERATOR))
        for number, partner in enumerate(partners):
            async with provisioning.configuration(Owner.PARTNER, partner) as level:
                await level.put_field(
                    partners_own if number == 0 else field("level_b", owner=Owner.PARTNER, label="of 1")
                )
                await level.put_field(field(f"only_{number}", owner=Owner.PARTNER))
    mine, sibling = [await make_tenant(database.owner, partner_id=partner) for partner in partners]
    unhosted = await make_tenant(database.owner)
    own = field("level_a", FieldType.TEXT)
    async with db.tenant_tx(mine.id) as tx:
        await tx.catalog.put_field(own)
        await tx.catalog.put_engine(nearer := engine("shared"))
        assert await tx.catalog.engines() == [nearer]
        assert (await tx.catalog.task("shared-task")) is not None
    for tenant, expected in (
        (mine, {"level_a": Owner.TENANT, "level_b": Owner.PARTNER, "only_0": Owner.PARTNER}),
        (sibling, {"level_a": Owner.OPERATOR, "level_b": Owner.PARTNER, "only_1": Owner.PARTNER}),
        (unhosted, {"level_a": Owner.OPERATOR}),
    ):
        async with db.tenant_tx(tenant.id) as tx:
            assert {f.key: f.owner for f in await tx.catalog.fields()} == expected
    async with db.tenant_tx(mine.id) as tx:
        assert {f.key: f.label for f in await tx.catalog.fields()}["level_b"] == "of 0"


async def test_a_tenant_writes_its_own_level_only(db: PostgresDatabase, database: DatabaseUrls) -> None:
    async with Provisioning.connect(database.owner) as provisioning:
        partner = await provisioning.create_partner("above", "Above")
        theirs = field("above", owner=Owner.PARTNER)
        shared = task("above", Owner.PARTNER)
        async with provisioning.configuration(Owner.PARTNER, partner) as level:
            await level.put_field(theirs)
            await level.put_task(shared)
        with pytest.raises(Conflict):
            async with provisioning.configuration(Owner.PARTNER, "0" * 32):
                pass
    tenant = await make_tenant(database.owner, partner_id=partner)
    for put, thing in (
        ("put_field", field("above2", owner=Owner.PARTNER)),
        ("put_field", field("above2", owner=Owner.OPERATOR)),
        ("put_field", theirs.model_copy(update={"label": "mine now"})),
        ("put_task", task("t2", Owner.OPERATOR)),
        ("put_engine", engine("e", Owner.OPERATOR)),
        ("put_version", version(shared, ["above"])),
    ):
        with pytest.raises(Forbidden):
            async with db.tenant_tx(tenant.id) as tx:
                await getattr(tx.catalog, put)(thing)
    async with Provisioning.connect(database.owner) as provisioning, provisioning.configuration() as operator:
        with pytest.raises(InvalidInput):
            await operator.put_field(field("x"))


async def test_tasks_run_as_activated(db: PostgresDatabase, database: DatabaseUrls) -> None:
    tenant = await make_tenant(database.owner, language_model="tenants-own")
    csat, mood = field("csat"), field("mood")
    first, second = task("first"), task("second")
    of_first = version(first, ["csat"], engine="chosen")
    of_second = version(second, ["mood"])
    async with db.tenant_tx(tenant.id) as tx:
        for of in (csat, mood):
            await tx.catalog.put_field(of)
        for named, one in ((first, of_first), (second, of_second)):
            await tx.catalog.put_task(named)
            await tx.catalog.put_version(one)
        assert await tx.catalog.effective_tasks() == []
        await tx.catalog.activate(first.id, of_first.id)
        override = of_second.spec.model_copy(update={"prompt": "ours", "channels": (Channel.CHAT,)})
        await tx.catalog.activate(second.id, of_second.id, override)
        tasks = await tx.catalog.effective_tasks()

        assert [(t.task.slug, t.version_id, t.engine, t.fields) for t in tasks] == [
            ("first", of_first.id, "chosen", (csat,)),
            ("second", of_second.id, "tenants-own", (mood,)),
        ]
        assert tasks[0].spec == of_first.spec
        assert tasks[1].spec == override

        await tx.catalog.deactivate(first.id)
        await tx.catalog.deactivate(first.id)
        assert [t.task.slug for t in await tx.catalog.effective_tasks()] == ["second"]


async def test_two_active_tasks_never_fill_one_field(db: PostgresDatabase, database: DatabaseUrls) -> None:
    tenant = await make_tenant(database.owner)
    tasks = [task(f"t{n}") for n in range(8)]
    versions = [version(t, ["csat", "mood"], purpose=t.slug) for t in tasks]
    async with db.tenant_tx(tenant.id) as tx:
        for key in ("csat", "mood", "other"):
            await tx.catalog.put_field(field(key))
        for named, one in zip(tasks, versions, strict=True):
            await tx.catalog.put_task(named)
            await tx.catalog.put_version(one)

    async def activate(number: int) -> None:
        async with db.tenant_tx(tenant.id) as tx:
            await tx.catalog.activate(tasks[number].id, versions[number].id)

    outcomes = await asyncio.gather(*(activate(n) for n in range(8)), return_exceptions=True)

    assert sum(o is None for o in outcomes) == 1
    assert all(o is None or isinstance(o, Conflict) for o in outcomes)
    winner = next(n for n, o in enumerate(outcomes) if o is None)
    elsewhere = versions[winner].spec.model_copy(update={"field_keys": ("other",)})
    async with db.tenant_tx(tenant.id) as tx:
        await tx.catalog.activate(tasks[winner].id, versions[winner].id, elsewhere)  # gives its fields up
    await activate((winner + 1) % 8)


async def test_what_cannot_be_activated(db: PostgresDatabase, tenant: Tenant, other: Tenant) -> None:
    foreign, own = task("foreign"), task("own")
    of_foreign, unknown_field = version(foreign, ["score"]), version(own, ["no_such_field"])
    draft = version(own, ["score"], prompt="draft").model_copy(update={"state": VersionState.DRAFT})
    async with db.tenant_tx(other.id) as tx:
        await tx.catalog.put_field(field("score"))
        await tx.catalog.put_task(foreign)
        await tx.catalog.put_version(of_foreign)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.catalog.put_task(own)
        for one in (unknown_field, draft):
            await tx.catalog.put_version(one)
    for task_id, version_id, error in (
        (foreign.id, of_foreign.id, NotFound),
        (own.id, of_foreign.id, NotFound),
        (own.id, unknown_field.id, Conflict),
        (own.id, draft.id, Conflict),
    ):
        with pytest.raises(error):
            async with db.tenant_tx(tenant.id) as tx:
                await tx.catalog.activate(task_id, version_id)


async def test_a_version_is_its_content(db: PostgresDatabase, tenant: Tenant) -> None:
    named = task("versions")
    one = version(named, ["csat"])
    async with db.tenant_tx(tenant.id) as tx:
        await tx.catalog.put_task(named)
        await tx.catalog.put_version(one)
        await tx.catalog.put_version(one.model_copy(update={"state": VersionState.RETIRED, "author": "other"}))
        stored = await tx.session.row("select spec, state, author from task_version where task_id = $1", named.id)
    assert stored is not None
    assert (stored["state"], stored["author"], TaskSpec.model_validate(stored["spec"])) == ("retired", "test", one.spec)
    for wrong, error in (
        (one.model_copy(update={"id": "0" * 64}), InvalidInput),
        (version(task("nowhere"), ["csat"]), NotFound),
    ):
        with pytest.raises(error):
            async with db.tenant_tx(tenant.id) as tx:
                await tx.catalog.put_version(wrong)


async def test_a_source_appears_on_first_sight(db: PostgresDatabase, database: DatabaseUrls) -> None:
    tenant = await make_tenant(database.owner)

    async def see() -> Source:
        async with db.tenant_tx(tenant.id) as tx:
            return await tx.catalog.source("crm")

    seen = await asyncio.gather(*(see() for _ in range(20)))
    assert len({s.id for s in seen}) == 1
    chosen = Source(id=new_id(), slug="crm", channel=Channel.EMAIL, time_zone="Asia/Tokyo", settle_minutes=5)
    async with db.tenant_tx(tenant.id) as tx:
        kept = await tx.catalog.put_source(chosen)
        assert kept.updated_at is not None
        assert kept == chosen.model_copy(update={"id": seen[0].id, "updated_at": kept.updated_at})
        assert await tx.catalog.find_source("crm") == await tx.catalog.find_source(kept.id, lock=True) == kept
        assert await tx.catalog.sources() == [kept]
    with pytest.raises(InvalidInput):
        async with db.tenant_tx(tenant.id) as tx:
            await tx.catalog.source("Not a slug")


async def test_an_id_names_its_source_before_a_slug_of_the_same_form(
    db: PostgresDatabase, database: DatabaseUrls
) -> None:
    tenant = await make_tenant(database.owner)
    async with db.tenant_tx(tenant.id) as tx:
        first = await tx.catalog.source("first")
        alias = await tx.catalog.source(first.id)
        assert alias.id != first.id
        assert await tx.catalog.find_source(first.id) == first
        assert await tx.catalog.find_source(alias.id) == alias
        with pytest.raises(NotFound):
            await tx.catalog.find_source("nobody")


async def test_a_source_that_is_busy_is_seen_without_waiting(db: PostgresDatabase, database: DatabaseUrls) -> None:
    tenant = await make_tenant(database.owner)
    async with db.tenant_tx(tenant.id) as tx:
        source = await tx.catalog.source("busy")
    async with db.tenant_tx(tenant.id) as one, db.tenant_tx(tenant.id) as other:
        await one.catalog.saw_source(source)
        await asyncio.wait_for(other.catalog.saw_source(source), 5)  # somebody else is at it
    async with db.tenant_tx(tenant.id) as tx:
        seen = await tx.catalog.find_source("busy")
        assert seen.last_seen_at is not None
        await tx.catalog.saw_source(seen)  # to the minute: nothing is written
        assert await tx.catalog.find_source("busy") == seen
