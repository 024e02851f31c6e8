"""Rollups: whatever happens to conversations and values, the sums are what counting the rows gives."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.conversation import Channel, Conversation, Status
from domain.fields import CustomField, FieldType
from domain.ids import new_id
from domain.intake import ConversationPatch
from domain.rollups import CONVERSATIONS, OTHER, Counted, Dimension, Narrowing, Period, Step, day_of
from domain.tenants import TenantChange
from domain.values import FieldValue, Layer
from services.fold_rollups import FolderSettings, fold_round, run_folder
from storage.migrations.steps import SQL_FOLDER
from storage.postgres.database import PostgresDatabase, PostgresTenantTx
from storage.postgres.rollups import PostgresRollups
from storage.protocols import ConversationFilter, Page, Tenant
from tests.support.stack import DatabaseUrls
from tests.support.storage import START, accept_in, field, make_tenant, new_conversation, value

ALL_TIME = Period(date(2024, 12, 1), date(2025, 12, 31), "Europe/Berlin", Step.DAY)


class Ground:
    """A tenant with one field of each type, and ways to do to its conversations what the pipeline does."""

    def __init__(self, db: PostgresDatabase, tenant: Tenant, fields: Mapping[FieldType, CustomField]) -> None:
        self.db = db
        self.tenant = tenant
        self.fields = fields

    async def conversation(self, *, values: Mapping[FieldType, Any] | None = None, **facts: Any) -> Conversation:
        async with self.db.tenant_tx(self.tenant.id) as tx:
            made = await accept_in(tx, new_conversation(**facts))
            await self.put(tx, made, values or {})
        return made

    async def put(
        self, tx: PostgresTenantTx, of: Conversation, values: Mapping[FieldType, Any], **more: Any
    ) -> list[FieldValue]:
        made = [value(self.tenant, of, self.fields[kind], content, **more) for kind, content in values.items()]
        await tx.values.put(made)
        await tx.rollups.count_values(of.id)
        return made

    async def fold(self, limit: int = 1_000) -> int:
        async with self.db.tenant_tx(self.tenant.id) as tx:
            return await tx.rollups.fold(limit)

    async def fold_all(self) -> None:
        while await self.fold():
            pass

    async def read(self, period: Period = ALL_TIME, narrowing: Narrowing | None = None) -> list[Counted]:
        async with self.db.tenant_tx(self.tenant.id) as tx:
            ids = [CONVERSATIONS, *(f.id for f in self.fields.values())]
            return list(await tx.rollups.read(ids, period, narrowing or {}))

    async def totals(self, kind: FieldType | None = None, narrowing: Narrowing | None = None) -> dict[str, int]:
        """Option → count, over all time."""
        wanted = CONVERSATIONS if kind is None else self.fields[kind].id
        found: Counter[str] = Counter()
        for counted in await self.read(narrowing=narrowing):
            if counted.field_id == wanted:
                found[counted.option] += counted.count
        return dict(found)


@pytest.fixture
async def ground(db: PostgresDatabase, database: DatabaseUrls) -> Ground:
    tenant = await make_tenant(database.owner)
    fields = {kind: field(f"of_{kind.value}", kind) for kind in FieldType}
    async with db.tenant_tx(tenant.id) as tx:
        for one in fields.values():
            await tx.catalog.put_field(one)
    return Ground(db, tenant, fields)


ONE_OF_EACH: dict[FieldType, Any] = {
    FieldType.INTEGER: 4,
    FieldType.DECIMAL: 4.27,
    FieldType.CHOICE: "red",
    FieldType.MULTI_CHOICE: ("blue", "red"),
    FieldType.BOOLEAN: False,
    FieldType.DATE: "2024-02-29",
    FieldType.TEXT: "hello",
}


async def test_every_type_is_counted_in_its_way(ground: Ground) -> None:
    await ground.conversation(values=ONE_OF_EACH)
    await ground.conversation(values=dict.fromkeys(FieldType))
    for fold in (False, True):
        if fold:
            await ground.fold_all()
        assert await ground.totals(FieldType.INTEGER) == {"4": 1, "?": 1}
        assert await ground.totals(FieldType.DECIMAL) == {"4.2": 1, "?": 1}
        assert await ground.totals(FieldType.CHOICE) == {"red": 1, "?": 1}
        assert await ground.totals(FieldType.MULTI_CHOICE) == {"": 1, "blue": 1, "red": 1, "?": 1}
        assert await ground.totals(FieldType.BOOLEAN) == {"false": 1, "?": 1}
        assert await ground.totals(FieldType.DATE) == {"": 1, "?": 1}
        assert await ground.totals(FieldType.TEXT) == {"": 1, "?": 1}
        assert await ground.totals() == {"chat/received": 2}
    (total,) = {c.total for c in await ground.read() if c.option == "4.2"}
    assert total == 4.27


async def test_a_status_that_passed_leaves_nothing(ground: Ground) -> None:
    made = await ground.conversation()
    for status in (Status.PROCESSING, Status.COMPLETED):
        await ground.fold_all()
        async with ground.db.tenant_tx(ground.tenant.id) as tx:
            await tx.conversations.set_status(made.id, status)
    assert await ground.totals() == {"chat/completed": 1}
    await ground.fold_all()
    assert await ground.totals() == {"chat/completed": 1}
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        for table in ("rollup", "rollup_day"):
            counts = await tx.session.rows(f"select count from {table} where tenant_id = $1", ground.tenant.id)
            assert [row["count"] for row in counts if row["count"] != 1] == [], table
        assert await tx.session.value("select count(*) from rollup_delta where tenant_id = $1", ground.tenant.id) == 0


async def test_counting_twice_counts_once(ground: Ground) -> None:
    made = await ground.conversation(values=ONE_OF_EACH)
    for _ in range(3):
        await ground.fold_all()
        async with ground.db.tenant_tx(ground.tenant.id) as tx:
            await tx.rollups.count_values(made.id)
    assert await ground.fold() == 0
    assert await ground.totals(FieldType.INTEGER) == {"4": 1}


async def test_a_new_value_takes_the_place_of_the_old_and_a_persons_wins(ground: Ground) -> None:
    made = await ground.conversation(values={FieldType.INTEGER: 2, FieldType.CHOICE: None})
    await ground.fold_all()
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        await ground.put(tx, made, {FieldType.INTEGER: 3, FieldType.CHOICE: "green"})
    assert await ground.totals(FieldType.INTEGER) == {"3": 1}
    assert await ground.totals(FieldType.CHOICE) == {"green": 1}
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        await ground.put(tx, made, {FieldType.INTEGER: 5}, layer=Layer.HUMAN)
        await ground.put(tx, made, {FieldType.INTEGER: 1})
    assert await ground.totals(FieldType.INTEGER) == {"5": 1}


async def test_late_facts_move_the_numbers(ground: Ground) -> None:
    made = await ground.conversation(values=ONE_OF_EACH, queue="billing")
    await ground.fold_all()
    here, there = {Dimension.QUEUE: ("billing",)}, {Dimension.QUEUE: ("sales",)}
    assert await ground.totals(FieldType.INTEGER, here) == {"4": 1}
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        await tx.conversations.patch(made.id, ConversationPatch(queue="sales", tags=("x",)))
    for _ in range(2):
        assert await ground.totals(FieldType.INTEGER, here) == {}
        assert await ground.totals(None, here) == {}
        assert await ground.totals(FieldType.INTEGER, there) == {"4": 1}
        assert await ground.totals(None, there) == {"chat/received": 1}
        await ground.fold_all()
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        await tx.conversations.set_measured(made.id, language="de")
        await tx.conversations.patch(made.id, ConversationPatch(queue=None))
    german = {Dimension.LANGUAGE: ("de",), Dimension.QUEUE: ("",)}
    assert await ground.totals(FieldType.CHOICE, german) == {"red": 1}
    assert await ground.totals(FieldType.CHOICE, there) == {}


async def test_a_new_revision_moves_the_time_and_doubles_nothing(ground: Ground) -> None:
    made = await ground.conversation(values={FieldType.INTEGER: 4}, external_id="thread", content_hash="one")
    await ground.fold_all()
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        earlier = START - timedelta(days=10)
        again = new_conversation("thread", content_hash="two", started_at=earlier, queue="late")
        revised = await tx.conversations.accept(again)
        assert revised.conversation.revision == 2
        await ground.put(tx, revised.conversation, {FieldType.INTEGER: 2})
    day = day_of(earlier, ZoneInfo("Europe/Berlin"))
    only = Period(day, day, "Europe/Berlin", Step.DAY)
    for _ in range(2):
        assert await ground.totals(FieldType.INTEGER) == {"2": 1}
        assert await ground.totals() == {"chat/received": 1}
        assert {(c.option, c.count) for c in await ground.read(only)} == {("2", 1), ("chat/received", 1)}
        await ground.fold_all()
    assert made.id == revised.conversation.id


async def test_what_is_deleted_is_not_counted(ground: Ground) -> None:
    made = await ground.conversation(values=ONE_OF_EACH)
    kept = await ground.conversation(values={FieldType.INTEGER: 1})
    await ground.fold_all()
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        await tx.session.execute("delete from conversation where tenant_id = $1 and id = $2", ground.tenant.id, made.id)
    assert await ground.totals(FieldType.INTEGER) == {"1": 1}
    assert await ground.totals(FieldType.CHOICE) == {}
    assert await ground.totals() == {"chat/received": 1}
    assert kept.id != made.id


async def test_a_rolled_back_change_counts_nothing(ground: Ground) -> None:
    made = await ground.conversation(values={FieldType.INTEGER: 4})

    async def fail_at_the_end() -> None:
        async with ground.db.tenant_tx(ground.tenant.id) as tx:
            await ground.put(tx, made, {FieldType.INTEGER: 1})
            await tx.rollups.fold(100)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_at_the_end()
    assert await ground.totals(FieldType.INTEGER) == {"4": 1}


async def test_folders_side_by_side_fold_each_delta_once(ground: Ground) -> None:
    for number in range(30):
        await ground.conversation(values={FieldType.INTEGER: number % 5}, queue=f"q{number % 3}")
    folded = await asyncio.gather(*(ground.fold(7) for _ in range(20)))
    await ground.fold_all()
    assert sum(folded) <= 60
    assert await ground.totals(FieldType.INTEGER) == {str(n): 6 for n in range(5)}
    assert await ground.totals() == {"chat/received": 30}


async def test_numbers_stay_right_while_they_are_folded_and_changed(ground: Ground) -> None:
    """Readers see every conversation once, whatever the folder is doing."""
    conversations = [await ground.conversation(values={FieldType.INTEGER: 3}) for _ in range(10)]
    done = asyncio.Event()

    async def change() -> None:
        for number in range(40):
            of = conversations[number % 10]
            async with ground.db.tenant_tx(ground.tenant.id) as tx:
                await tx.conversations.patch(of.id, ConversationPatch(queue=f"q{number % 4}"))
                await ground.put(tx, of, {FieldType.INTEGER: number % 5 + 1})
        done.set()

    async def fold() -> None:
        while not done.is_set():
            await ground.fold(9)

    async def look() -> int:
        looks = 0
        while not done.is_set():
            assert sum((await ground.totals(FieldType.INTEGER)).values()) == 10
            assert await ground.totals() == {"chat/received": 10}
            looks += 1
        return looks

    _, _, looks = await asyncio.gather(change(), fold(), look())
    assert looks > 0


# -- days ---------------------------------------------------------------------------------------------------

# Half and quarter hours, both sides of the date line, summer time at midnight, at one and at two.
SOME_ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kathmandu", "Asia/Kolkata", "America/New_York", "Pacific/Apia", "Pacific/Marquesas",
    "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "Asia/Beirut", "America/St_Johns", "Pacific/Kiritimati",
)  # fmt: skip
CHANGES = [datetime(2025, month, day, tzinfo=UTC) for month, day in ((3, 30), (4, 6), (9, 7), (10, 26))]
moments = st.one_of(
    st.integers(0, 340 * 24 * 60).map(lambda minutes: datetime(2024, 12, 26, tzinfo=UTC) + timedelta(minutes=minutes)),
    st.tuples(st.sampled_from(CHANGES), st.integers(-48 * 60, 48 * 60)).map(lambda m: m[0] + timedelta(minutes=m[1])),
)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(moments, st.integers(1, 5), st.sampled_from(["a", "b", None])), min_size=1, max_size=8),
    st.sampled_from(SOME_ZONES),
    st.sampled_from(SOME_ZONES),
    st.integers(0, 8),
)
async def test_days_are_the_tenants_in_any_zone(
    db: PostgresDatabase,
    database: DatabaseUrls,
    made: list[tuple[datetime, int, str | None]],
    zone: str,
    next_zone: str,
    fold_after: int,
) -> None:
    """By day, by quarter of an hour and unfolded: all three say what counting by hand says; also after a move."""
    tenant = await make_tenant(database.owner, time_zone=zone)
    score = field("score", FieldType.INTEGER)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.catalog.put_field(score)
    here = Ground(db, tenant, {FieldType.INTEGER: score})
    for number, (at, content, queue) in enumerate(made):
        if number == fold_after:
            await here.fold_all()
        await here.conversation(started_at=at, queue=queue, values={FieldType.INTEGER: content})

    async def check(of: str) -> None:
        for narrowing in ({}, {Dimension.QUEUE: ("a",)}, {Dimension.QUEUE: ("a", "")}):
            period = Period(date(2024, 12, 24), date(2025, 12, 6), of, Step.DAY)
            wanted = narrowing.get(Dimension.QUEUE)
            expected: Counter[tuple[int, str]] = Counter()
            for at, content, queue in made:
                if wanted is None or (queue or "") in wanted:
                    expected[period.step_of(at.astimezone(ZoneInfo(of)).date()), str(content)] += 1
            found = {(c.step, c.option): c.count for c in await here.read(period, narrowing) if c.field_id == score.id}
            assert found == dict(expected)

    await check(zone)
    await here.fold_all()
    await check(zone)
    await check(next_zone)  # days are cut in another zone than asked for: from the quarters of an hour
    await db.platform.change_tenant(tenant.id, TenantChange(time_zone=next_zone))
    moved = PostgresDatabase(db._app, db._platform_pool)  # remembers no tenant
    async with moved.tenant_tx(tenant.id) as tx:
        assert tx.tenant.time_zone == next_zone
        await tx.rollups.fold(100)
        assert await tx.session.value("select zone from rollup_state where tenant_id = $1", tenant.id) == next_zone
    await check(next_zone)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.decimals(-(10**9), 10**9, places=6), st.integers(-999, 999).map(Decimal)))
async def test_a_number_has_its_first_two_digits_as_its_place(
    db: PostgresDatabase, tenant: Tenant, number: Decimal
) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        place = Decimal(await tx.session.value("select rollup_place($1)", float(number)))
    if abs(number) < Decimal("0.000001"):
        assert place == 0
        return
    width = Decimal(1).scaleb(number.adjusted() - 1)
    assert place == (number / width).to_integral_value(ROUND_FLOOR) * width
    assert abs(number) >= 100 or number != number.to_integral_value() or place == number


async def test_extreme_numbers_have_a_place(db: PostgresDatabase, tenant: Tenant) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        places = [await tx.session.value("select rollup_place($1)", n) for n in (1e300, -1e300, 1e-300, 0.0, -0.0)]
    assert places == ["1000000000000000000", "-1000000000000000000", "0", "0", "0"]


# -- slices -------------------------------------------------------------------------------------------------


async def test_more_combinations_than_are_kept_apart_become_other(ground: Ground) -> None:
    for number in range(6):
        channel = Channel.CHAT if number % 2 else Channel.EMAIL
        await ground.conversation(queue=f"q{number}", channel=channel, values={FieldType.INTEGER: 1})
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        small = PostgresRollups(tx.session, ground.tenant, max_slices=2)
        assert await small.fold(100) == 12
        choices = await small.choices()
    assert choices[Dimension.QUEUE] == (OTHER, "q1", "q3")
    assert await ground.totals(FieldType.INTEGER) == {"1": 6}
    assert await ground.totals(FieldType.INTEGER, {Dimension.QUEUE: (OTHER,)}) == {"1": 4}
    assert await ground.totals(None, {Dimension.QUEUE: (OTHER,), Dimension.CHANNEL: ("chat",)}) == {"chat/received": 1}
    # What is corrected later goes where it came from.
    made = await ground.conversation(queue="q5", values={FieldType.INTEGER: 2})
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        await PostgresRollups(tx.session, ground.tenant, max_slices=2).fold(100)
        await tx.conversations.patch(made.id, ConversationPatch(queue="q1"))
        await PostgresRollups(tx.session, ground.tenant, max_slices=2).fold(100)
    assert await ground.totals(FieldType.INTEGER, {Dimension.QUEUE: (OTHER,)}) == {"1": 4}


async def test_choices_are_there_before_anything_is_folded(ground: Ground) -> None:
    await ground.conversation(queue="billing", team="north")
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        choices = await tx.rollups.choices()
    assert choices == {
        Dimension.CHANNEL: ("chat",),
        Dimension.SOURCE: ("api",),
        Dimension.QUEUE: ("billing",),
        Dimension.TEAM: ("north",),
        Dimension.LANGUAGE: ("",),
    }


# -- the folder ---------------------------------------------------------------------------------------------


async def test_the_folder_folds_every_tenant_and_only_one_leads(ground: Ground, database: DatabaseUrls) -> None:
    other = Ground(ground.db, await make_tenant(database.owner), {})
    stop = asyncio.Event()
    quick = FolderSettings(batch=3, idle_seconds=0.02, follower_seconds=0.05)
    folding = [asyncio.create_task(run_folder(ground.db, stop, holder=new_id(), settings=quick)) for _ in range(3)]
    for _ in range(10):
        await ground.conversation(values={FieldType.INTEGER: 3})
        await other.conversation()
    async with asyncio.timeout(60):
        while await ground.db.platform.rollups_waiting(10):
            await asyncio.sleep(0.02)
    stop.set()
    await asyncio.gather(*folding)
    assert await ground.totals(FieldType.INTEGER) == {"3": 10}
    assert await other.totals() == {"chat/received": 10}


async def test_one_tenants_trouble_is_nobody_elses(
    ground: Ground, database: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    await ground.conversation(queue="secret-queue")
    other = Ground(ground.db, await make_tenant(database.owner), {})
    await other.conversation()
    async with ground.db.tenant_tx(ground.tenant.id) as tx:  # a slice of the number the next one will get
        await tx.session.execute("insert into rollup_slice values ($1, 2, 'chat', 'x', '', '', '')", ground.tenant.id)
    await fold_round(ground.db)
    assert await ground.db.platform.rollups_waiting(1000) == [ground.tenant.id]
    assert ground.tenant.id in caplog.text
    assert "secret-queue" not in caplog.text
    assert await ground.totals() == {"chat/received": 1}


# -- what was there before ----------------------------------------------------------------------------------


async def test_the_migration_counts_what_is_there(ground: Ground, database: DatabaseUrls) -> None:
    """The statement of the migration, on a database whose sums were lost."""
    other = Ground(ground.db, await make_tenant(database.owner), {})
    await ground.conversation(values=ONE_OF_EACH, queue="billing")
    await ground.conversation(values={FieldType.INTEGER: None})
    await other.conversation()
    await ground.fold_all()
    expected = await ground.read()
    statement = (SQL_FOLDER / "0006" / "02_count_what_is_there.sql").read_text()
    with psycopg.connect(database.owner) as connection:
        for table in ("rollup_delta", "rollup", "rollup_day", "rollup_slice", "rollup_state", "conversation_counted"):
            connection.execute(f"truncate {table} cascade".encode())
        connection.execute(statement.encode())
    assert await ground.read() == expected
    assert await other.totals() == {"chat/received": 1}
    async with ground.db.tenant_tx(ground.tenant.id) as tx:
        for conversation in await tx.conversations.list(ConversationFilter(), Page()):
            await tx.rollups.count_values(conversation.id)
    assert await ground.read() == expected
