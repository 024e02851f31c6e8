"""Field values in their layers."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.conversation import Conversation, Role
from domain.errors import NotFound
from domain.fields import CustomField, FieldType
from domain.ids import new_id
from domain.values import EvidenceState, FieldValue, Layer, Searched, SubjectKind
from storage.postgres.database import PostgresDatabase
from storage.protocols import Tenant
from tests.support.storage import accept, field, new_conversation, value


@pytest.fixture(scope="module")
async def fields(db: PostgresDatabase, tenant: Tenant) -> dict[FieldType, CustomField]:
    made = {type_: field(f"of_{type_.value}", type_) for type_ in FieldType}
    async with db.tenant_tx(tenant.id) as tx:
        for one in made.values():
            await tx.catalog.put_field(one)
    return made


async def put(db: PostgresDatabase, *values: FieldValue) -> None:
    async with db.tenant_tx(values[0].tenant_id) as tx:
        await tx.values.put(values)


async def current(db: PostgresDatabase, of: Conversation, layer: Layer | None = None) -> list[FieldValue]:
    async with db.tenant_tx(of.tenant_id) as tx:
        return list(await tx.values.current(of.id, layer))


async def test_every_type_comes_back_as_it_went_in(
    db: PostgresDatabase, tenant: Tenant, fields: dict[FieldType, CustomField]
) -> None:
    contents: dict[FieldType, Any] = {
        FieldType.INTEGER: 3,
        FieldType.DECIMAL: 0.1,
        FieldType.CHOICE: "red",
        FieldType.MULTI_CHOICE: ("blue", "red"),
        FieldType.BOOLEAN: False,
        FieldType.DATE: "2024-02-29",
        FieldType.TEXT: "naïve 🦊 'quoted' \\ text",
    }
    conversation = await accept(db, tenant.id)
    values = [value(tenant, conversation, fields[t], c, explanation="why") for t, c in contents.items()]
    await put(db, *values)

    found = await current(db, conversation)

    assert sorted(found, key=lambda v: v.id) == sorted(values, key=lambda v: v.id)
    assert {type(v.value) for v in found if v.field_key == "of_integer"} == {int}
    async with db.tenant_tx(tenant.id) as tx:
        typed = await tx.session.rows(
            """
            select field_key, number_value, choice_value, choices_value, boolean_value, date_value::text
            from field_value
            where tenant_id = $1
              and conversation_id = $2
            """,
            tenant.id,
            conversation.id,
        )
    assert {tuple(row) for row in (tuple(map(str, r.values())) for r in typed)} == {
        ("of_integer", "3.0", "None", "None", "None", "None"),
        ("of_decimal", "0.1", "None", "None", "None", "None"),
        ("of_choice", "None", "red", "None", "None", "None"),
        ("of_multi_choice", "None", "None", "['blue', 'red']", "None", "None"),
        ("of_boolean", "None", "None", "None", "False", "None"),
        ("of_date", "None", "None", "None", "None", "2024-02-29"),
        ("of_text", "None", "None", "None", "None", "None"),
    }


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)))
async def test_any_number_comes_back_equal(
    db: PostgresDatabase, tenant: Tenant, fields: dict[FieldType, CustomField], number: float
) -> None:
    conversation = await accept(db, tenant.id)
    await put(db, value(tenant, conversation, fields[FieldType.DECIMAL], number))

    (found,) = await current(db, conversation)

    assert found.value == number


async def test_an_unknown_value_has_no_value(
    db: PostgresDatabase, tenant: Tenant, fields: dict[FieldType, CustomField]
) -> None:
    conversation = await accept(db, tenant.id)
    unknown = [value(tenant, conversation, one, None) for one in fields.values()]
    await put(db, *unknown)

    assert all(v.value is None for v in await current(db, conversation))
    assert len(await current(db, conversation)) == len(fields)


async def test_a_newer_value_replaces_and_the_older_stays_readable(
    db: PostgresDatabase, tenant: Tenant, fields: dict[FieldType, CustomField]
) -> None:
    conversation, of = await accept(db, tenant.id), fields[FieldType.INTEGER]
    first, second = value(tenant, conversation, of, 1), value(tenant, conversation, of, 2)
    await put(db, first)
    await put(db, second)
    await put(db, first)  # an older word repeated
    await put(db, second)

    assert await current(db, conversation) == [second]
    async with db.tenant_tx(tenant.id) as tx:
        history = await tx.values.history(conversation.id, of.key)
    assert {v.id for v in history} == {first.id, second.id}


async def test_the_human_layer_wins_and_survives(
    db: PostgresDatabase, tenant: Tenant, fields: dict[FieldType, CustomField]
) -> None:
    conversation, of = await accept(db, tenant.id), fields[FieldType.INTEGER]
    ai = value(tenant, conversation, of, 1)
    human = value(tenant, conversation, of, 5, layer=Layer.HUMAN, author="user:1")
    only_ai = value(tenant, conversation, fields[FieldType.TEXT], "text")
    await put(db, human, only_ai)
    await put(db, ai)
    again = value(tenant, conversation, of, 2)
    await put(db, again)

    assert await current(db, conversation, Layer.AI) == [again, only_ai]
    assert await current(db, conversation, Layer.HUMAN) == [human]
    assert await current(db, conversation, Layer.EFFECTIVE) == [human, only_ai]
    another = await accept(db, tenant.id)
    await put(db, value(tenant, another, of, 3))
    async with db.tenant_tx(tenant.id) as tx:
        found = await tx.values.effective([conversation.id, another.id])
    assert {v.value for v in found if v.field_key == of.key} == {3, 5}
    assert len(await current(db, conversation)) == 3


async def test_human_values_of_an_older_revision_are_marked(
    db: PostgresDatabase, tenant: Tenant, fields: dict[FieldType, CustomField]
) -> None:
    conversation = await accept(db, tenant.id, new_conversation("stale", content_hash="1"))
    human = value(tenant, conversation, fields[FieldType.INTEGER], 5, layer=Layer.HUMAN)
    ai = value(tenant, conversation, fields[FieldType.INTEGER], 4)
    await put(db, human, ai)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.values.mark_human_stale(conversation.id, 1)
        assert not any(v.stale for v in await tx.values.current(conversation.id))
        await tx.values.mark_human_stale(conversation.id, 2)
        marked = {v.layer: v.stale for v in await tx.values.current(conversation.id)}

    assert marked == {Layer.HUMAN: True, Layer.AI: False}


async def test_participants_have_values_of_their_own(
    db: PostgresDatabase, tenant: Tenant, fields: dict[FieldType, CustomField]
) -> None:
    conversation, of = await accept(db, tenant.id), fields[FieldType.INTEGER]
    values = [
        value(tenant, conversation, of, number, subject=SubjectKind.PARTICIPANT, subject_id=name)
        for number, name in enumerate(("a1", "a2"))
    ]
    await put(db, *values, value(tenant, conversation, of, 9))

    assert len(await current(db, conversation)) == 3


async def test_many_writers_never_deadlock_and_leave_one_current_value(
    db: PostgresDatabase, tenant: Tenant, fields: dict[FieldType, CustomField]
) -> None:
    conversations = [await accept(db, tenant.id) for _ in range(3)]
    kinds = (FieldType.INTEGER, FieldType.DECIMAL)

    async def write(number: int) -> None:
        turned = conversations[number % 3 :] + conversations[: number % 3]  # everybody in another order
        values = [value(tenant, c, fields[t], number) for c in turned for t in kinds[:: 1 if number % 2 else -1]]
        await put(db, *values)

    await asyncio.gather(*(write(number) for number in range(24)))

    for conversation in conversations:
        found = await current(db, conversation)
        assert {v.field_key for v in found} == {"of_integer", "of_decimal"}
        assert len(found) == 2


async def test_fields_and_conversations_must_be_the_tenants(
    db: PostgresDatabase, tenant: Tenant, other: Tenant, fields: dict[FieldType, CustomField]
) -> None:
    mine, theirs = await accept(db, tenant.id), await accept(db, other.id)
    foreign = field("foreign")
    async with db.tenant_tx(other.id) as tx:
        await tx.catalog.put_field(foreign)

    for wrong in (
        value(tenant, mine, foreign, 1),
        value(tenant, mine, field("nowhere"), 1),
        value(tenant, theirs, fields[FieldType.INTEGER], 1),
    ):
        with pytest.raises(NotFound):
            await put(db, wrong)
    assert await current(db, mine) == []


async def test_what_was_searched_and_what_is_suspect_comes_back(
    db: PostgresDatabase, tenant: Tenant, fields: dict[FieldType, CustomField]
) -> None:
    conversation = await accept(db, tenant.id)
    searched = Searched(first=1, last=9, words=("voucher", "compensation"), role=Role.AGENT)
    absent = value(
        tenant,
        conversation,
        fields[FieldType.BOOLEAN],
        False,
        evidence_state=EvidenceState.SEARCHED,
        searched=searched,
        suspect_turns=(2, 7),
        call_group=new_id(),
    )
    plain = value(tenant, conversation, fields[FieldType.INTEGER], 1)
    await put(db, absent, plain)

    assert {v.id: v for v in await current(db, conversation)} == {absent.id: absent, plain.id: plain}
