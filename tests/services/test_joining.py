"""Threads that arrive in pieces: any order, any repetition, any number at once give the same thread."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.contracts import SETTLING_REASON
from domain.conversation import Lane, Participant, Role, Stage, Status
from domain.errors import ChangedMeanwhile, Conflict, InvalidInput, MergedAway, Superseded
from domain.fields import Aggregate
from domain.ids import new_id
from domain.intake import ConversationIn, ConversationPatch, MessageIn, MessagesIn
from domain.values import Layer
from services.join_threads import Part
from services.read_conversation import ReadConversation
from storage.protocols import AcceptOutcome, DeadLetter, Source
from tests.support.stack import DatabaseUrls
from tests.support.storage import START, field, value
from tests.support.threads import Desk, arrivals, desk, mail, stamp


@pytest.fixture(scope="module")
async def at(database: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(database, tmp_path_factory.mktemp("content")) as opened:
        yield opened


# How mails name each other: by the whole chain, by the root and the parent, by the parent only.
CHAIN = [mail(1), mail(2, 1), mail(3, 1, 2), mail(4, 1, 2, 3)]
PARENTS = [mail(1), mail(2, 1), mail(3, 2), mail(4, 3)]
TREE = [mail(1), mail(2, 1), mail(3, 1), mail(4, 1, 3), mail(5, 2), mail(6, 5)]
CLOSED = [mail(1), mail(2, 1, closed=True), mail(3, 2), mail(4, 3, closed=True)]


async def in_order(at: Desk, mails: list[dict[str, Any]]) -> dict[str, Any]:
    tenant = await at.tenant()
    for one in mails:
        [received] = await at.receive.receive(tenant.id, arrivals([one]))
        assert received.error is None
    return await at.thread(tenant.id)


@pytest.mark.parametrize("mails", [CHAIN, PARENTS, CLOSED], ids=["chain", "parents", "closed"])
async def test_every_order_gives_the_same_thread(at: Desk, mails: list[dict[str, Any]]) -> None:
    expected = await in_order(at, mails)
    assert [m[0] for m in expected["messages"]] == [m["id"] for m in mails]
    for order in itertools.permutations(mails):
        assert await in_order(at, list(order)) == expected, [m["id"] for m in order]


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_any_order_with_repetitions_and_bundles(at: Desk, data: st.DataObject) -> None:
    """Mails come in any order, some twice, some together in one body."""
    mails = data.draw(st.permutations(TREE + data.draw(st.lists(st.sampled_from(TREE), max_size=4))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(mails) - 1), max_size=4)))
    tenant = await at.tenant()
    for start, end in itertools.pairwise([0, *cuts, len(mails)]):
        answers = await at.receive.receive(tenant.id, arrivals(mails[start:end]))
        assert all(answer.error is None for answer in answers)
    assert await at.thread(tenant.id) == await in_order(at, TREE)


@pytest.mark.parametrize("mails", [CHAIN, PARENTS, TREE], ids=["chain", "parents", "tree"])
async def test_all_at_once_and_several_times(at: Desk, mails: list[dict[str, Any]]) -> None:
    expected = await in_order(at, mails)
    for seed in range(4):
        tenant = await at.tenant()
        several = mails * 3
        random.Random(seed).shuffle(several)
        found = await asyncio.gather(*(at.receive.receive(tenant.id, arrivals([one])) for one in several))
        assert all(answer.error is None for [answer] in found)
        assert await at.thread(tenant.id) == expected


async def test_fifty_mails_of_one_thread_at_once(at: Desk) -> None:
    mails = [mail(1), *(mail(n, 1, n - 1) for n in range(2, 51))]
    tenant = await at.tenant()
    await asyncio.gather(*(at.receive.receive(tenant.id, arrivals([one])) for one in reversed(mails)))
    thread = await at.thread(tenant.id)
    assert [m[0] for m in thread["messages"]] == [m["id"] for m in mails]


async def test_two_processes_at_once(database: DatabaseUrls, tmp_path: Path) -> None:
    """Nothing but Postgres stands between them."""
    mails = PARENTS + [mail(n, n - 1) for n in range(5, 13)]
    async with desk(database, tmp_path) as one, desk(database, tmp_path) as other:
        tenant = await one.tenant()
        jobs = [at.receive.receive(tenant.id, arrivals([m])) for m in mails for at in (one, other)]
        random.Random(7).shuffle(jobs)
        answers = await asyncio.gather(*jobs)
        assert all(answer.error is None for [answer] in answers)
        thread = await one.thread(tenant.id)
    assert [m[0] for m in thread["messages"]] == [m["id"] for m in mails]


async def test_fifty_additions_at_once_are_all_there(at: Desk, database: DatabaseUrls) -> None:
    """Through two processes: what one of them read, the other may have changed."""
    async with desk(database, at.folder) as other:
        await _fifty_additions(at, other)


async def _fifty_additions(at: Desk, other: Desk) -> None:
    tenant = await at.tenant()
    [first] = await at.receive.receive(tenant.id, arrivals([mail(1)]))
    assert first.acceptance is not None
    conversation_id = first.acceptance.conversation.id

    async def add(number: int) -> None:
        message = MessageIn(id=f"x{number}", author="c", at=stamp(number), text=f"And {number}.")
        accept = (at, other)[number % 2].accept
        await accept.add_messages(tenant.id, conversation_id, MessagesIn(messages=(message,)))

    await asyncio.gather(*(add(number) for number in range(2, 52)))
    thread = await at.thread(tenant.id)
    assert [m[0] for m in thread["messages"][1:]] == [f"x{number}" for number in range(2, 52)]
    assert (await at.get(tenant.id, conversation_id)).revision == 51


async def test_what_comes_together_is_one_revision(at: Desk) -> None:
    tenant = await at.tenant()
    answers = await at.receive.receive(tenant.id, arrivals([*CHAIN, mail(9)]))
    ids = [a.acceptance.conversation.id for a in answers if a.acceptance]
    assert len(ids) == 5
    assert len(set(ids)) == 2
    assert {a.acceptance.conversation.revision for a in answers if a.acceptance} == {1}
    assert [a.acceptance.outcome for a in answers if a.acceptance] == [AcceptOutcome.CREATED] * 5


async def test_one_bad_arrival_takes_none_along(at: Desk) -> None:
    tenant = await at.tenant()
    answers = await at.receive.receive(tenant.id, arrivals([mail(1), mail(2, 1, at="not a time"), mail(3, 1)]))
    assert [answer.error is None for answer in answers] == [True, False, True]
    assert isinstance(answers[1].error, InvalidInput)
    assert answers[1].error.problems[0].field.startswith("messages")
    thread = await at.thread(tenant.id)
    assert len(thread["messages"]) == 2


async def test_a_mail_without_time_has_that_of_its_receipt_however_often_it_is_received(at: Desk) -> None:
    tenant = await at.tenant()
    one = mail(1, at=None)
    for _ in range(2):
        await at.receive.receive(tenant.id, arrivals([one]), received_at=START)
    [conversation] = await at.standing(tenant.id)
    assert (conversation.revision, conversation.started_at) == (1, START)
    assert "time_missing" in {note.code for note in conversation.notes}
    await at.receive.receive(tenant.id, arrivals([mail(2, 1)]))
    [conversation] = await at.standing(tenant.id)
    assert "time_missing" in {note.code for note in conversation.notes}  # it stays said


async def test_the_same_natural_key_without_links(at: Desk) -> None:
    tenant = await at.tenant()
    parts = [
        a.model_copy(update={"links": (), "conversation": a.conversation.model_copy(update={"external_id": "t"})})
        for a in arrivals(CHAIN)
    ]
    await asyncio.gather(*(at.receive.receive(tenant.id, [part]) for part in reversed(parts)))
    thread = await at.thread(tenant.id)
    assert [m[0] for m in thread["messages"]] == [m["id"] for m in CHAIN]


async def test_another_channel_is_refused_and_changes_nothing(at: Desk) -> None:
    tenant = await at.tenant()
    answers = [
        (await at.receive.receive(tenant.id, arrivals([one])))[0] for one in (mail(1), mail(2, 1, channel="chat"))
    ]
    assert answers[1].error is not None
    assert "is a email" in answers[1].error.message
    together = await at.receive.receive(tenant.id, arrivals([mail(3, 1), mail(2, 1, channel="chat")]))
    assert [answer.error is None for answer in together] == [True, False]


async def test_late_facts_are_not_undone_by_a_message(at: Desk) -> None:
    """A patch, then a message: what was patched stays."""
    tenant = await at.tenant()
    [first] = await at.receive.receive(tenant.id, arrivals([mail(1, meta={"plan": "gold", "state": "new"})]))
    assert first.acceptance is not None
    patch = ConversationPatch(
        metadata={"plan": "silver"}, participants=(Participant(id="c", role=Role.CUSTOMER, name="Cleo"),)
    )
    async with at.database.tenant_tx(tenant.id) as tx:
        await tx.conversations.patch(first.acceptance.conversation.id, patch)
    await at.receive.receive(tenant.id, arrivals([mail(3, 1, meta={"state": "open"})]))
    [conversation] = await at.standing(tenant.id)
    assert conversation.metadata == {"plan": "silver", "state": "open"}
    assert ("c", "Cleo") in [(p.id, p.name) for p in conversation.participants]
    # What an older mail says only fills gaps.
    await at.receive.receive(tenant.id, arrivals([mail(2, 1, meta={"state": "older", "queue_time": 3})]))
    [conversation] = await at.standing(tenant.id)
    assert conversation.metadata == {"plan": "silver", "state": "open", "queue_time": 3}
    # The last mail again, with something new about it: no revision, and the fact is known. The first one: too late.
    for again in (mail(3, 1, meta={"state": "solved"}), mail(1, meta={"state": "new again"})):
        [received] = await at.receive.receive(tenant.id, arrivals([again]))
        assert received.acceptance is not None
        assert received.acceptance.outcome is AcceptOutcome.UNCHANGED
    [conversation] = await at.standing(tenant.id)
    assert (conversation.metadata["state"], conversation.revision) == ("solved", 3)


async def test_the_guard_itself(at: Desk) -> None:
    """Storage writes nothing that was made from another revision."""
    tenant = await at.tenant()
    await at.receive.receive(tenant.id, arrivals([mail(1)]))
    [conversation] = await at.standing(tenant.id)
    intake = arrivals([mail(2)])[0].conversation
    async with at.database.tenant_tx(tenant.id) as tx:
        source = await tx.catalog.source("api")
        new = at.accept.new(tenant.id, intake, "key", source, "UTC", {}).model_copy(update={"id": conversation.id})
    for based_on in (2, 7):
        with pytest.raises(ChangedMeanwhile):
            async with at.database.tenant_tx(tenant.id) as tx:
                await tx.conversations.accept(new.model_copy(update={"based_on": based_on}))
    same_key = new.intake.model_copy(update={"external_id": conversation.external_id})
    with pytest.raises(ChangedMeanwhile):
        async with at.database.tenant_tx(tenant.id) as tx:
            await tx.conversations.accept(new.model_copy(update={"based_on": 0, "intake": same_key}))
    assert await at.standing(tenant.id) == [conversation]


# -- two conversations that turn out to be one --------------------------------------------------------------


async def two(at: Desk, tenant_id: str) -> tuple[str, str]:
    """Mails 1 and 3 make a conversation each; 2 would join them. Answers (older, younger)."""
    ids = []
    for one in (mail(1), mail(3, 2)):
        [received] = await at.receive.receive(tenant_id, arrivals([one]))
        assert received.acceptance is not None
        ids.append(received.acceptance.conversation.id)
    assert ids[0] != ids[1]
    return ids[0], ids[1]


async def test_a_message_that_joins_two_conversations(at: Desk) -> None:
    tenant = await at.tenant()
    older, younger = await two(at, tenant.id)
    async with at.database.tenant_tx(tenant.id) as tx:
        for conversation_id in (older, younger):
            [entry] = await tx.runs.list(conversation_id)
            await tx.runs.hold(entry.run)
            await tx.runs.started(entry.run, "temporal")
        lost = entry.run
        await tx.dead_letters.put(
            DeadLetter(
                id=new_id(),
                conversation_id=younger,
                revision=1,
                entry=1,
                stage=Stage.PLAN,
                error_type="x",
                detail="d",
                attempts=1,
                first_at=START,
                last_at=START,
            )
        )
    [received] = await at.receive.receive(tenant.id, arrivals([mail(2, 1)]))
    assert received.acceptance is not None
    kept, gone = received.acceptance.conversation, await at.get(tenant.id, younger)
    assert (kept.id, kept.revision, kept.status, received.acceptance.outcome) == (older, 2, Status.RECEIVED, "revised")
    assert (gone.merged_into, gone.searchable, gone.status_reason, gone.revision) == (older, False, "merged", 1)
    assert [c.id for c in await at.standing(tenant.id)] == [older]
    assert len((await at.body(gone)).messages or ()) == 1  # it stays readable
    async with at.database.tenant_tx(tenant.id) as tx:
        with pytest.raises(Superseded):
            await tx.runs.hold(lost)
        assert [entry.state for entry in await tx.runs.list(younger)] == ["closed"]
        assert await tx.dead_letters.of_conversation(younger) == []
    dirty = await at.database.platform.dirty(1000)
    assert {older, younger} >= {d.conversation_id for d in dirty if d.tenant_id == tenant.id} >= {younger}
    assert tenant.id not in {
        run.tenant_id
        for run in await at.database.platform.stale_leases(1000, older_than_seconds=0)
        if run.conversation_id == younger
    }


async def test_whoever_comes_for_the_merged_one_finds_the_other(at: Desk) -> None:
    tenant = await at.tenant()
    older, younger = await two(at, tenant.id)
    await at.receive.receive(tenant.id, arrivals([mail(2, 1)]))
    added = MessagesIn(messages=(MessageIn(id="late", author="c", at=stamp(9), text="By id."),))
    assert (await at.accept.add_messages(tenant.id, younger, added)).conversation.id == older
    gone = await at.get(tenant.id, younger)
    whole = (await at.body(gone)).model_copy(
        update={"messages": (MessageIn(id="key", author="c", at=stamp(10), text="By key."),)}
    )
    assert (await at.accept.accept(tenant.id, whole)).conversation.id == older
    body = await at.body(await at.get(tenant.id, older))
    assert [m.id for m in body.messages or ()][-2:] == ["late", "key"]
    with pytest.raises(MergedAway, match=older):
        async with at.database.tenant_tx(tenant.id) as tx:
            await tx.conversations.patch(younger, ConversationPatch(queue="q"))
    with pytest.raises(Superseded, match=older):
        async with at.database.tenant_tx(tenant.id) as tx:
            await tx.runs.enter(
                younger, 1, enter_at=Stage.PLAN, lane=Lane.LIVE, channel=gone.channel, reason="rerun"
            )  # fmt: skip


async def test_no_human_value_is_lost_silently(at: Desk) -> None:
    tenant = await at.tenant()
    older, younger = await two(at, tenant.id)
    csat, mood = field("csat"), field("mood", aggregate=Aggregate.AVERAGE)
    async with at.database.tenant_tx(tenant.id) as tx:
        for of in (csat, mood):
            await tx.catalog.put_field(of)
        one, other = await tx.conversations.get(older), await tx.conversations.get(younger)
        await tx.values.put(
            [
                value(tenant, one, csat, 2, layer=Layer.HUMAN, author="ann"),
                value(tenant, other, csat, 4, layer=Layer.HUMAN, author="bob"),
                value(tenant, other, mood, 5, layer=Layer.HUMAN, author="bob", explanation="heard it"),
                value(tenant, other, mood, 3, layer=Layer.AI),
            ]
        )
        for conversation in (older, younger):
            await tx.rollups.count_values(conversation)
    await at.receive.receive(tenant.id, arrivals([mail(2, 1)]))
    async with at.database.tenant_tx(tenant.id) as tx:
        kept = {v.field_key: v for v in await tx.values.current(older, Layer.HUMAN)}
        there = {v.field_key: v.value for v in await tx.values.current(younger, Layer.HUMAN)}
        counted = await tx.session.rows(
            """
            select field_id, sum(count)::bigint as count, sum(total) as total
            from rollup_delta
            where tenant_id = $1
              and field_id = any ($2::uuid[])
            group by field_id
            """,
            tenant.id,
            [csat.id, mood.id],
        )
        [audit] = await tx.session.rows(
            "select after from audit_event where tenant_id = $1 and action = 'conversation.merge'", tenant.id
        )
    assert (kept["csat"].value, kept["csat"].stale) == (2, False)
    assert (kept["mood"].value, kept["mood"].stale, kept["mood"].author) == (5, True, "bob")
    assert (kept["mood"].explanation, kept["mood"].evidence, kept["mood"].subject_id) == ("heard it", (), older)
    assert there == {"csat": 4, "mood": 5}
    assert audit["after"] == {"into": older, "human_values_taken": ["mood"], "human_values_left": ["csat"]}
    [note] = [n for n in (await at.get(tenant.id, older)).notes if n.code == "human_value_not_taken"]
    assert "csat" in note.detail
    assert younger in note.detail
    assert {r["field_id"]: (r["count"], r["total"]) for r in counted} == {csat.id: (1, 2.0), mood.id: (1, 5.0)}


async def test_three_become_one_and_a_merged_one_follows(at: Desk) -> None:
    tenant = await at.tenant()
    ids = []
    for one in (mail(1), mail(3, 2), mail(5, 4), mail(7, 6)):
        [received] = await at.receive.receive(tenant.id, arrivals([one]))
        assert received.acceptance is not None
        ids.append(received.acceptance.conversation.id)
    await at.receive.receive(tenant.id, arrivals([mail(6, 5)]))  # 7 into 5
    assert (await at.get(tenant.id, ids[3])).merged_into == ids[2]
    await at.receive.receive(tenant.id, arrivals([mail(4, 2, 3), mail(2, 1)]))  # all into 1
    for merged in ids[1:]:
        assert (await at.get(tenant.id, merged)).merged_into == ids[0]
    thread = await at.thread(tenant.id)
    assert [m[0] for m in thread["messages"]] == [mail(n)["id"] for n in range(1, 8)]
    read = ReadConversation(at.database, at.content)
    assert (await read.get(tenant.id, ids[3])).merged_into == ids[0]


# -- closing and opening again ------------------------------------------------------------------------------


async def settled_source(at: Desk, tenant_id: str, minutes: int = 30) -> None:
    async with at.database.tenant_tx(tenant_id) as tx:
        await tx.catalog.put_source(
            Source(id=new_id(), slug="api", channel=None, time_zone=None, settle_minutes=minutes)
        )


async def test_a_closed_thread_opens_with_a_later_message_only(at: Desk) -> None:
    tenant = await at.tenant()
    await settled_source(at, tenant.id)
    seen = []
    for one in (mail(1), mail(5, 1, closed=True), mail(3, 1), mail(3, 1), mail(7, 1)):
        await at.receive.receive(tenant.id, arrivals([one]))
        [conversation] = await at.standing(tenant.id)
        seen.append((conversation.revision, conversation.closed))
    assert seen == [(1, False), (2, True), (3, True), (3, True), (4, False)]


async def test_that_it_is_closed_ends_the_wait_at_once(at: Desk) -> None:
    """No new message: no new revision, and the entry that waits for quiet is due now."""
    tenant = await at.tenant()
    await settled_source(at, tenant.id)
    await at.receive.receive(tenant.id, arrivals([mail(1)]))
    [conversation] = await at.standing(tenant.id)
    assert not conversation.closed
    later = datetime.now(UTC) + timedelta(minutes=30)
    async with at.database.tenant_tx(tenant.id) as tx:
        [first] = await tx.runs.list(conversation.id)
        await tx.runs.close(first.run)
        waiting = await tx.runs.enter(
            conversation.id,
            1,
            enter_at=Stage.PLAN,
            lane=Lane.LIVE,
            channel=conversation.channel,
            reason=SETTLING_REASON,
            not_before=later,
        )
    closing = arrivals([mail(1)])[0]
    closing = closing.model_copy(
        update={"conversation": closing.conversation.model_copy(update={"messages": (), "closed": True})}
    )
    [received] = await at.receive.receive(tenant.id, [closing])
    assert received.acceptance is not None
    assert received.acceptance.outcome is AcceptOutcome.UNCHANGED
    assert received.acceptance.entry is not None
    async with at.database.tenant_tx(tenant.id) as tx:
        entry = await tx.runs.get(waiting.run)
        due = await at.database.platform.due_entries(1000, older_than_seconds=0)
    assert entry.not_before is not None
    assert entry.not_before < later - timedelta(minutes=29)
    assert waiting.run in due
    [conversation] = await at.standing(tenant.id)
    assert (conversation.closed, conversation.revision) == (True, 1)


async def test_the_whole_thread_told_again_as_closed(at: Desk) -> None:
    tenant = await at.tenant()
    await settled_source(at, tenant.id)
    whole = arrivals([mail(1)])[0].conversation
    assert not (await at.accept.accept(tenant.id, whole)).conversation.closed
    again = await at.accept.accept(tenant.id, whole.model_copy(update={"closed": True}))
    assert (again.outcome, again.conversation.closed) == (AcceptOutcome.UNCHANGED, True)
    assert (await at.get(tenant.id, again.conversation.id)).closed


async def test_what_cannot_be_joined(at: Desk) -> None:
    tenant = await at.tenant()
    [first] = await at.receive.receive(tenant.id, arrivals([mail(1)]))
    assert first.acceptance is not None
    stranger = MessagesIn(messages=(MessageIn(author="nobody", text="hello"),))
    with pytest.raises(InvalidInput, match="do not fit") as refused:
        await at.accept.add_messages(tenant.id, first.acceptance.conversation.id, stranger)
    assert "not one of the participants" in refused.value.problems[0].reason
    chat = ConversationIn(external_id="x", channel="chat", messages=())
    with pytest.raises(Conflict, match="is a email"):
        await at.accept.join(tenant.id, Part(chat, conversation_id=first.acceptance.conversation.id))
