"""Acceptance, lists and late facts."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from domain.conversation import Channel, Lane, Note, Participant, Role, Stage, StageStatus, Status
from domain.errors import Conflict, InvalidInput, NotFound
from domain.ids import new_id
from domain.intake import ConversationPatch
from storage.postgres.database import PostgresDatabase
from storage.protocols import Accepted, AcceptOutcome, ConversationFilter, NewConversation, Page, Tenant
from tests.support.storage import START, accept, enter, new_conversation


async def put(db: PostgresDatabase, tenant: Tenant, new: NewConversation) -> Accepted:
    async with db.tenant_tx(tenant.id) as tx:
        await tx.catalog.source(new.intake.source)
        return await tx.conversations.accept(new)


async def test_fifty_identical_requests_make_one_conversation(db: PostgresDatabase, tenant: Tenant) -> None:
    requests = [new_conversation("same", content_hash="one", content_key=f"k{n}") for n in range(50)]

    outcomes = await asyncio.gather(*(put(db, tenant, new) for new in requests))

    assert Counter(o.outcome for o in outcomes) == {AcceptOutcome.CREATED: 1, AcceptOutcome.UNCHANGED: 49}
    assert len({(o.conversation.id, o.conversation.revision, o.conversation.content_key) for o in outcomes}) == 1


async def test_fifty_identical_changes_make_one_revision(db: PostgresDatabase, tenant: Tenant) -> None:
    await put(db, tenant, new_conversation("changes", content_hash="one"))

    outcomes = await asyncio.gather(
        *(put(db, tenant, new_conversation("changes", content_hash="two")) for _ in range(50))
    )

    assert Counter(o.outcome for o in outcomes) == {AcceptOutcome.REVISED: 1, AcceptOutcome.UNCHANGED: 49}
    assert {o.conversation.revision for o in outcomes} == {2}


async def test_different_changes_at_once_are_revisions_in_a_row(db: PostgresDatabase, tenant: Tenant) -> None:
    await put(db, tenant, new_conversation("row", content_hash="0"))

    outcomes = await asyncio.gather(
        *(put(db, tenant, new_conversation("row", content_hash=str(n))) for n in range(1, 21))
    )

    assert sorted(o.conversation.revision for o in outcomes) == list(range(2, 22))


async def test_a_new_conversation_may_come_with_its_first_entry(db: PostgresDatabase, tenant: Tenant) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        new = new_conversation("entered", content_hash="one")
        await tx.catalog.source(new.intake.source)
        created = await tx.conversations.accept(new, Lane.BACKFILL)
        assert created.entry is not None
        assert created.entry == await tx.runs.get(created.entry.run)
        assert created.entry.run.lane is Lane.BACKFILL
        assert (await enter(tx, created.conversation)).entry == 2

        again = await tx.conversations.accept(new, Lane.LIVE)
        revised = await tx.conversations.accept(new_conversation("entered", content_hash="two"), Lane.LIVE)
        assert (again.outcome, again.entry) == (AcceptOutcome.UNCHANGED, None)
        assert (revised.outcome, revised.entry) == (AcceptOutcome.REVISED, None)
        assert len(await tx.runs.list(created.conversation.id)) == 2


async def test_an_older_revision_told_late_changes_nothing(db: PostgresDatabase, tenant: Tenant) -> None:
    await put(db, tenant, new_conversation("late", content_hash="short"))
    longer = await put(db, tenant, new_conversation("late", content_hash="longer"))

    again = await put(db, tenant, new_conversation("late", content_hash="short"))

    assert again.outcome is AcceptOutcome.UNCHANGED
    assert (again.conversation.revision, again.conversation.content_hash) == (2, "longer")
    assert again.conversation.content_key == longer.conversation.content_key


async def test_a_revision_keeps_what_it_does_not_say(db: PostgresDatabase, tenant: Tenant) -> None:
    first = new_conversation("keeps", queue="billing", tags=("vip",), metadata={"plan": "gold", "seats": 3})
    await put(db, tenant, first)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.conversations.set_status(first.id, Status.COMPLETED, "done")

    later = new_conversation(
        "keeps", metadata={"seats": 4}, started_at=first.started_at + timedelta(hours=1), direction="inbound"
    )
    revised = (await put(db, tenant, later)).conversation

    assert (revised.id, revised.revision, revised.status, revised.status_reason) == (first.id, 2, "received", None)
    assert (revised.queue, revised.tags, revised.direction) == ("billing", ("vip",), "inbound")
    assert revised.metadata == {"plan": "gold", "seats": 4}
    assert revised.started_at == first.started_at  # derived from the content: never later than it was


async def test_everything_comes_back_as_it_went_in(db: PostgresDatabase, tenant: Tenant) -> None:
    new = new_conversation(
        "Ünï-✓ 🦊",
        channel=Channel.EMAIL,
        metadata={"text": "x'; drop table conversation; --", "number": 1.5, "whole": 7, "flag": True},
        tags=("a", "b"),
        dispositions=("refund",),
        interaction_id="contact-1",
        team="T",
        campaign="C",
        language="de-AT",
        notes=(Note(code="zone_assumed", detail="…"),),
        ended_at=START + timedelta(days=1),
        participants=(Participant(id="c", role=Role.CUSTOMER, name="N", address="n@example.com"),),
    )

    accepted = (await put(db, tenant, new)).conversation
    async with db.tenant_tx(tenant.id) as tx:
        assert await tx.conversations.get(new.id) == accepted
        assert await tx.conversations.find("api", "Ünï-✓ 🦊") == accepted
        assert await tx.conversations.find("api", "other") is None

    for name in ("metadata", "tags", "dispositions", "interaction_id", "team", "campaign", "language", "participants"):
        assert getattr(accepted, name) == getattr(new.intake, name), name
    assert (accepted.notes, accepted.ended_at, accepted.started_offset_minutes) == (new.notes, new.ended_at, 60)
    assert isinstance(accepted.metadata["whole"], int)
    assert accepted.tenant_id == tenant.id


async def test_another_channel_is_a_conflict(db: PostgresDatabase, tenant: Tenant) -> None:
    await put(db, tenant, new_conversation("channel"))
    with pytest.raises(Conflict, match="is a chat"):
        await put(db, tenant, new_conversation("channel", channel=Channel.TICKET))


async def test_a_character_that_cannot_be_stored_is_the_senders_fault(db: PostgresDatabase, tenant: Tenant) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored"):
        await put(db, tenant, new_conversation("nul\x00"))
    with pytest.raises(InvalidInput, match="cannot be stored"):
        await put(db, tenant, new_conversation(metadata={"k": "nul\x00"}))


async def test_ids_that_are_none_are_not_found(db: PostgresDatabase, tenant: Tenant) -> None:
    for wrong in (new_id(), "x", "", "' or 1=1"):
        with pytest.raises((NotFound, InvalidInput)):
            async with db.tenant_tx(tenant.id) as tx:
                await tx.conversations.get(wrong)


async def test_late_facts(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id, new_conversation(metadata={"plan": "gold", "old": 1}, queue="q"))
    patch = ConversationPatch(
        metadata={"plan": "silver", "old": None, "new": True},
        queue=None,
        tags=("t",),
        participants=(
            Participant(id="a", role=Role.AGENT, name="Ann"),
            Participant(id="s", role=Role.AGENT),
        ),
    )

    async with db.tenant_tx(tenant.id) as tx:
        patched = await tx.conversations.patch(conversation.id, patch)

    assert patched.metadata == {"plan": "silver", "new": True}
    assert (patched.queue, patched.tags, patched.revision) == (None, ("t",), 1)
    assert [(p.id, p.name) for p in patched.participants] == [("c", None), ("a", "Ann"), ("s", None)]
    with pytest.raises(NotFound):
        async with db.tenant_tx(tenant.id) as tx:
            await tx.conversations.patch(new_id(), patch)


async def test_patches_at_once_all_arrive(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)

    async def patch(number: int) -> None:
        async with db.tenant_tx(tenant.id) as tx:
            await tx.conversations.patch(conversation.id, ConversationPatch(metadata={f"key{number}": number}))

    await asyncio.gather(*(patch(n) for n in range(20)))
    async with db.tenant_tx(tenant.id) as tx:
        metadata = (await tx.conversations.get(conversation.id)).metadata

    assert metadata == {f"key{n}": n for n in range(20)}


async def test_what_was_measured(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id, new_conversation(notes=(Note(code="a", detail="1"),)))
    notes = (Note(code="a", detail="1"), Note(code="b", detail="2"))
    for _ in range(2):  # a retried stage says it twice
        async with db.tenant_tx(tenant.id) as tx:
            await tx.conversations.set_measured(conversation.id, language="en", duration_ms=61_000, notes=notes)
            await tx.conversations.set_searchable([conversation.id, new_id()])
    async with db.tenant_tx(tenant.id) as tx:
        await tx.conversations.set_measured(conversation.id, ended_at=START)
        now = await tx.conversations.get(conversation.id)

    assert now.notes == notes
    assert (now.language, now.duration_ms, now.ended_at, now.searchable) == ("en", 61_000, START, True)


async def test_stages_come_with_the_conversation_in_their_order(db: PostgresDatabase, tenant: Tenant) -> None:
    conversation = await accept(db, tenant.id)
    async with db.tenant_tx(tenant.id) as tx:
        run = await enter(tx, conversation)
        await tx.runs.stage(run, Stage.PLAN, StageStatus.RUNNING)
        await tx.runs.stage(run, Stage.INGEST, StageStatus.COMPLETED)
        stages = (await tx.conversations.get(conversation.id)).stages

    assert [(s.name, s.state) for s in stages] == [("ingest", "completed"), ("plan", "running")]


async def test_lists_filter_and_page(db: PostgresDatabase, other: Tenant) -> None:
    tenant = other  # this test counts: a tenant of its own
    made = []
    for number in range(11):
        new = new_conversation(
            channel=Channel.EMAIL if number % 2 else Channel.CHAT,
            source="api" if number % 3 else "mail",
            started_at=START + timedelta(minutes=number // 4),  # several at the same time
        )
        made.append(await accept(db, tenant.id, new))
    async with db.tenant_tx(tenant.id) as tx:
        await tx.conversations.set_status(made[5].id, Status.FAILED, "x")
        newest_first = sorted(made, key=lambda c: (c.started_at, c.id), reverse=True)

        seen: list[str] = []
        page = Page(limit=4)
        while found := await tx.conversations.list(ConversationFilter(), page):
            seen += [c.id for c in found]
            page = Page(limit=4, after=(found[-1].started_at, found[-1].id))
        assert seen == [c.id for c in newest_first]

        async def ids(**where: object) -> set[str]:
            rows = await tx.conversations.list(ConversationFilter.model_validate(where), Page(limit=200))
            return {row.id for row in rows}

        assert await ids(channel="email") == {c.id for c in made if c.channel is Channel.EMAIL}
        assert await ids(source="mail", channel="chat") == {made[0].id, made[6].id}
        assert await ids(status="failed") == {made[5].id}
        between = {"started_from": START + timedelta(minutes=1), "started_to": START + timedelta(minutes=2)}
        assert await ids(**between) == {c.id for c in made[4:8]}


async def test_statuses_of_unknown_conversations(db: PostgresDatabase, tenant: Tenant) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        with pytest.raises(NotFound):
            await tx.conversations.set_status(new_id(), Status.FAILED)
        with pytest.raises(NotFound):
            await tx.conversations.set_measured(new_id(), language="en")
