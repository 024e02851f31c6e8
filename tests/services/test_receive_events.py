"""Raw events: kept before anything else, read once, dead-lettered with the reason, read again when mended."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Conflict, ContentMissing, InvalidInput, NotFound, Unavailable
from domain.ids import new_id
from domain.mapping import Format, SourceMapping
from domain.sources import EventState, NewSource, SourceChange
from services.read_events import ReadEvents
from services.receive_events import MAX_ATTEMPTS, MAX_REDRIVEN, EventReceipt, ReceiveEvents
from storage.protocols import Page, SourceEvent, Tenant
from tests.support.readers import letter
from tests.support.stack import DatabaseUrls
from tests.support.threads import Desk, desk, mail

JSON = "application/json"


@pytest.fixture(scope="module")
async def at(database: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(database, tmp_path_factory.mktemp("content")) as opened:
        yield opened


@pytest.fixture
async def tenant(at: Desk) -> Tenant:
    tenant = await at.tenant()
    await make(at, tenant, slug="mail", format=Format.EMAIL)
    return tenant


async def make(at: Desk, tenant: Tenant, **settings: Any) -> None:
    await at.sources.create(tenant.id, NewSource(**settings), actor="test", origin=None)


def raw(payload: object) -> bytes:
    return json.dumps(payload).encode()


async def send(at: Desk, tenant: Tenant, payload: object, source: str = "mail") -> EventReceipt:
    return await at.events.accept(tenant.id, source, raw(payload), JSON)


async def letters(at: Desk, tenant: Tenant, *, open_only: bool = True) -> list[tuple[str | None, str, int]]:
    async with at.database.tenant_tx(tenant.id) as tx:
        found = await tx.dead_letters.list(open_only=open_only, page=Page())
    return [(letter.source, letter.error_type, letter.attempts) for letter in found]


async def stored(at: Desk, tenant: Tenant) -> list[SourceEvent]:
    async with at.database.tenant_tx(tenant.id) as tx:
        rows = await tx.session.rows("select id from source_event where tenant_id = $1", tenant.id)
        return [await tx.events.get(row["id"]) for row in rows]


async def test_an_event_becomes_a_conversation_of_its_source(at: Desk, tenant: Tenant) -> None:
    receipt = await send(at, tenant, mail(1))
    assert (receipt.event.state, receipt.repeated, receipt.dead_letter_id) == (EventState.RECEIVED, False, None)
    [outcome] = receipt.event.outcomes
    [conversation] = await at.standing(tenant.id)
    assert (outcome.conversation_id, outcome.outcome, outcome.position) == (conversation.id, "created", 1)
    assert conversation.source == "mail"
    assert await at.content.get(tenant.id, receipt.event.content_key) == raw(mail(1))
    found = await at.events.get(tenant.id, "mail", receipt.event.id)
    assert (found.event.state, found.event.outcomes) == (EventState.RECEIVED, receipt.event.outcomes)
    [seen] = await at.sources.list(tenant.id)
    assert seen.source.last_seen_at is not None
    assert (seen.health.received, seen.health.dead_lettered, seen.health.last_error) == (1, 0, None)


async def test_the_same_event_fifty_times_at_once(at: Desk, tenant: Tenant) -> None:
    receipts = await asyncio.gather(*(send(at, tenant, mail(1)) for _ in range(50)))
    assert [receipt.repeated for receipt in receipts].count(False) == 1
    assert len({receipt.event.id for receipt in receipts}) == 1
    [event] = await stored(at, tenant)
    assert (event.state, event.attempts) == (EventState.RECEIVED, 1)
    [conversation] = await at.standing(tenant.id)
    assert conversation.revision == 1
    assert await bodies_of(at, tenant, event) == 1


async def bodies_of(at: Desk, tenant: Tenant, event: SourceEvent) -> int:
    """Sealed bodies kept of an event: those of lost races are gone."""
    folder = at.folder / Path(event.content_key).parent
    return len([path for path in folder.rglob("*") if path.is_file()])


async def test_an_event_is_known_by_its_key(at: Desk, tenant: Tenant) -> None:
    await make(at, tenant, slug="keyed", format=Format.CANONICAL, dedupe_key="metadata.delivery")
    body = {
        "external_id": "t1",
        "channel": "chat",
        "participants": [{"id": "c", "role": "customer"}],
        "messages": [{"id": "1", "author": "c", "text": "hello"}],
        "metadata": {"delivery": "d-1", "try": 1},
    }
    first = await send(at, tenant, body, "keyed")
    again = await send(at, tenant, {**body, "metadata": {"delivery": "d-1", "try": 2}}, "keyed")
    other = await send(at, tenant, {**body, "metadata": {"delivery": "d-2"}}, "keyed")
    without = await send(at, tenant, {**body, "metadata": {}}, "keyed")
    assert (again.repeated, again.event.id) == (True, first.event.id)
    assert len({first.event.id, other.event.id, without.event.id}) == 3
    assert len(await at.standing(tenant.id)) == 1


async def test_what_does_not_map_is_kept_and_received_when_mended(at: Desk, tenant: Tenant) -> None:
    await make(at, tenant, slug="desk", format=Format.JSON, mapping=SourceMapping())
    receipts = [await send(at, tenant, mail(n), "desk") for n in (1, 2, 3)]
    assert {receipt.event.state for receipt in receipts} == {EventState.DEAD_LETTERED}
    assert await letters(at, tenant) == [("desk", "invalid_input", 1)] * 3
    [outcome] = receipts[0].event.outcomes
    assert outcome.problems == (("external_id", "is missing"),)
    assert await at.standing(tenant.id) == []
    assert await at.events.body(tenant.id, str(receipts[0].dead_letter_id), actor="me", origin=None) == raw(mail(1))
    seen = await at.sources.get(tenant.id, "desk")
    assert (seen.health.dead_lettered, seen.health.last_error) == (3, "item 1: external_id: is missing")

    still = await at.events.redrive(tenant.id, str(receipts[0].dead_letter_id), actor="me")
    assert (still.event.state, still.dead_letter_id) == (EventState.DEAD_LETTERED, receipts[0].dead_letter_id)
    assert ("desk", "invalid_input", 2) in await letters(at, tenant)

    at.readers.made[Format.JSON] = letter
    try:
        mended = await at.events.redrive(tenant.id, str(receipts[0].dead_letter_id), actor="me")
        assert (mended.event.state, mended.dead_letter_id) == (EventState.RECEIVED, None)
        with pytest.raises(Conflict, match="already"):
            await at.events.redrive(tenant.id, str(receipts[0].dead_letter_id), actor="me")
        done = await at.events.redrive_source(tenant.id, "desk", actor="me")
    finally:
        del at.readers.made[Format.JSON]
    assert (done.received, done.failed, done.remaining) == (2, 0, 0)
    assert await letters(at, tenant) == []
    assert len(await letters(at, tenant, open_only=False)) == 3
    assert len(await at.standing(tenant.id)) == 3


async def test_sent_again_after_the_source_was_mended_it_is_read_again(at: Desk, tenant: Tenant) -> None:
    await make(at, tenant, slug="desk", format=Format.JSON, mapping=SourceMapping())
    assert (await send(at, tenant, mail(1), "desk")).event.state is EventState.DEAD_LETTERED
    same = await send(at, tenant, mail(1), "desk")
    assert (same.repeated, same.event.attempts) == (True, 1)
    assert same.dead_letter_id is not None
    change = SourceChange(format=Format.EMAIL, mapping=None)
    await at.sources.change(tenant.id, "desk", change, actor="me", origin=None)
    again = await send(at, tenant, mail(1), "desk")
    assert (again.event.state, again.repeated, again.dead_letter_id) == (EventState.RECEIVED, True, None)
    assert await letters(at, tenant) == []


async def test_of_several_items_the_good_ones_are_received(at: Desk, tenant: Tenant) -> None:
    receipt = await send(at, tenant, [mail(1), 5, {"skip": True}, {"id": "x"}, mail(2, at="not a time"), mail(3, 1)])
    assert receipt.event.state is EventState.DEAD_LETTERED
    found = {outcome.position: outcome for outcome in receipt.event.outcomes}
    assert [p for p, outcome in found.items() if outcome.conversation_id] == [1, 6]
    assert found[2].problems == (("body", "is not an object"),)
    assert found[4].problems == (("from", "is missing"),)
    assert "ISO 8601" in found[5].problems[0][1]
    assert 3 not in found  # passed over, which is no error
    [conversation] = await at.standing(tenant.id)
    assert len((await at.body(conversation)).messages or ()) == 2
    again = await at.events.redrive(tenant.id, str(receipt.dead_letter_id), actor="me")
    assert [o.outcome for o in again.event.outcomes if o.outcome] == ["unchanged", "unchanged"]
    [conversation] = await at.standing(tenant.id)
    assert conversation.revision == 1


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe\x00", b"[" * 20_000, b"null"])
async def test_a_body_that_is_none_is_kept(at: Desk, tenant: Tenant, body: bytes) -> None:
    receipt = await at.events.accept(tenant.id, "mail", body, "text/plain")
    assert receipt.event.state is EventState.DEAD_LETTERED
    assert await at.content.get(tenant.id, receipt.event.content_key) == body


async def test_too_many_items_are_an_import(at: Desk, tenant: Tenant) -> None:
    few = ReceiveEvents(at.database, at.content, ReadEvents(at.readers, max_items=2), at.receive)
    receipt = await few.accept(tenant.id, "mail", raw([mail(1), mail(2), mail(3)]), JSON)
    assert (receipt.event.state, receipt.event.error_type) == (EventState.DEAD_LETTERED, "too_large")
    assert await at.standing(tenant.id) == []


async def test_a_reader_that_breaks_is_a_defect_that_is_said_and_kept(
    at: Desk, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(payload: dict[str, Any]) -> Any:
        raise ZeroDivisionError("the customer's secret")

    at.readers.made[Format.TABLE] = broken
    try:
        await make(at, tenant, slug="broken", format=Format.TABLE, mapping=SourceMapping())
        receipt = await send(at, tenant, mail(1), "broken")
    finally:
        del at.readers.made[Format.TABLE]
    assert (receipt.event.state, receipt.event.error_type) == (EventState.DEAD_LETTERED, "reader_defect")
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text + str(receipt.event.error)


async def test_nothing_comes_of_an_empty_body_or_an_unknown_source(at: Desk, tenant: Tenant) -> None:
    with pytest.raises(InvalidInput):
        await at.events.accept(tenant.id, "mail", b"", JSON)
    with pytest.raises(NotFound):
        await send(at, tenant, mail(1), "nobody")
    with pytest.raises(NotFound):
        await at.events.get(tenant.id, "mail", new_id())
    assert await stored(at, tenant) == []
    assert [s.source.slug for s in await at.sources.list(tenant.id)] == ["mail"]


# -- what dies and what is away -----------------------------------------------------------------------------


class Away:
    """Storage of which one method does not answer."""

    def __init__(self, within: Any, method: str, *, times: int = 10**6) -> None:
        self._within, self._method, self._left = within, method, times

    def __getattr__(self, name: str) -> Any:
        if name != self._method or self._left == 0:
            return getattr(self._within, name)
        self._left -= 1

        async def away(*_: object, **__: object) -> None:
            raise Unavailable("it does not answer")

        return away


async def test_without_the_content_store_nothing_is_accepted(at: Desk, tenant: Tenant) -> None:
    content: Any = Away(at.content, "put")
    events = ReceiveEvents(at.database, content, ReadEvents(at.readers), at.receive)
    with pytest.raises(Unavailable):
        await events.accept(tenant.id, "mail", raw(mail(1)), JSON)
    assert await stored(at, tenant) == []
    assert await at.standing(tenant.id) == []


async def test_away_after_the_acceptance_it_is_accepted_and_finished_later(at: Desk, tenant: Tenant) -> None:
    receive: Any = Away(at.receive, "receive", times=1)
    events = ReceiveEvents(at.database, at.content, ReadEvents(at.readers), receive)
    receipt = await events.accept(tenant.id, "mail", raw(mail(1)), JSON)
    assert receipt.event.state is EventState.ACCEPTED
    repeated = await events.accept(tenant.id, "mail", raw(mail(1)), JSON)  # not due yet: nobody reads it twice
    assert (repeated.repeated, repeated.event.state) == (True, EventState.ACCEPTED)
    assert (await stored(at, tenant))[0].attempts == 1  # that was no fault of the event
    await due_now(at, tenant)
    assert (tenant.id, receipt.event.id) in await at.database.platform.due_events(1000)
    assert await events.finish(tenant.id, receipt.event.id) is EventState.RECEIVED
    assert await events.finish(tenant.id, receipt.event.id) is None
    assert len(await at.standing(tenant.id)) == 1


async def test_a_process_that_dies_over_an_event(at: Desk, tenant: Tenant) -> None:
    """It received the event and could not say so: reading it again changes nothing."""

    class Dies(BaseException):
        pass

    class Dying(ReceiveEvents):
        async def _finish(self, *_: Any) -> Any:
            raise Dies

    dying = Dying(at.database, at.content, ReadEvents(at.readers), at.receive)
    with pytest.raises(Dies):
        await dying.accept(tenant.id, "mail", raw(mail(1, at=None)), JSON)
    [event] = await stored(at, tenant)
    assert event.state is EventState.ACCEPTED
    assert await at.events.finish(tenant.id, event.id) is None  # its claim holds
    await due_now(at, tenant)
    states = await asyncio.gather(*(at.events.finish(tenant.id, event.id) for _ in range(5)))
    assert sorted(states, key=str) == [None, None, None, None, EventState.RECEIVED]
    [conversation] = await at.standing(tenant.id)
    assert (conversation.revision, len((await at.body(conversation)).messages or ())) == (1, 1)


async def test_an_event_that_takes_its_reader_along_is_given_up(at: Desk, tenant: Tenant) -> None:
    receive: Any = Away(at.receive, "receive")
    events = ReceiveEvents(at.database, at.content, ReadEvents(at.readers), receive)
    receipt = await events.accept(tenant.id, "mail", raw(mail(1)), JSON)
    for _ in range(MAX_ATTEMPTS - 1):
        await due_now(at, tenant)
        async with at.database.tenant_tx(tenant.id) as tx:  # claimed, and never heard of again
            assert await tx.events.claim(receipt.event.id, 60) is not None
    await due_now(at, tenant)
    assert await events.finish(tenant.id, receipt.event.id) is EventState.DEAD_LETTERED
    [(_, error, attempts)] = await letters(at, tenant)
    assert (error, attempts) == ("gave_up", MAX_ATTEMPTS + 1)
    async with at.database.tenant_tx(tenant.id) as tx:
        [letter] = await tx.dead_letters.list(open_only=True, page=Page())
    again = await at.events.redrive(tenant.id, letter.id, actor="me")  # somebody has mended what killed it
    assert again.event.state is EventState.RECEIVED


async def test_a_body_that_is_gone_is_said(at: Desk, tenant: Tenant) -> None:
    receipt = await send(at, tenant, {"id": "x"})
    await at.content.delete(tenant.id, receipt.event.content_key)
    again = await at.events.redrive(tenant.id, str(receipt.dead_letter_id), actor="me")
    assert (again.event.state, again.event.error_type) == (EventState.DEAD_LETTERED, ContentMissing.code)


async def test_a_source_is_redriven_in_bounded_steps(at: Desk, tenant: Tenant) -> None:
    for number in range(MAX_REDRIVEN + 3):
        await send(at, tenant, {"id": number})
    done = await at.events.redrive_source(tenant.id, "mail", actor="me")
    assert (done.received, done.failed) == (0, MAX_REDRIVEN)
    assert done.remaining == 1  # at least


async def due_now(at: Desk, tenant: Tenant) -> None:
    async with at.database.tenant_tx(tenant.id) as tx:
        await tx.session.execute(
            "update source_event set claimed_until = now() - interval '1 second' where tenant_id = $1", tenant.id
        )


# -- configuration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"format": Format.JSON}, "mapping"),
        ({"mapping": SourceMapping()}, "mapping"),
        ({"format": Format.JSON, "mapping": SourceMapping(), "preset": "known"}, "preset"),
        ({"format": Format.JSON, "preset": "unknown"}, "preset"),
        ({"dedupe_key": "a.["}, "dedupe_key"),
        ({"format": Format.EMAIL, "dedupe_key": "id"}, "dedupe_key"),
    ],
)
async def test_settings_are_checked(at: Desk, tenant: Tenant, settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await make(at, tenant, slug="wrong", **settings)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert [s.source.slug for s in await at.sources.list(tenant.id)] == ["mail"]


async def test_every_change_is_on_the_audit_trail(at: Desk, tenant: Tenant) -> None:
    with pytest.raises(Conflict, match="already"):
        await make(at, tenant, slug="mail")
    change = SourceChange(settle_minutes=30, time_zone="Asia/Tokyo")
    changed = await at.sources.change(tenant.id, "mail", change, actor="me", origin="1.2.3.4")
    assert (changed.source.settle_minutes, changed.source.format) == (30, Format.EMAIL)
    assert (await at.sources.get(tenant.id, changed.source.id)).source == changed.source
    async with at.database.tenant_tx(tenant.id) as tx:
        rows = await tx.session.rows(
            "select action, actor, before, after from audit_event where tenant_id = $1 order by at", tenant.id
        )
    assert [row["action"] for row in rows] == ["source.create", "source.change"]
    assert rows[1]["actor"] == "me"
    assert rows[1]["before"] == {"settle_minutes": 0, "time_zone": None}
    assert rows[1]["after"] == {"settle_minutes": 30, "time_zone": "Asia/Tokyo"}


async def test_changes_at_once_all_arrive(at: Desk, tenant: Tenant) -> None:
    changes = [SourceChange(name="Mail"), SourceChange(settle_minutes=5), SourceChange(time_zone="Asia/Tokyo")]
    await asyncio.gather(*(at.sources.change(tenant.id, "mail", c, actor="me", origin=None) for c in changes))
    source = (await at.sources.get(tenant.id, "mail")).source
    assert (source.name, source.settle_minutes, source.time_zone) == ("Mail", 5, "Asia/Tokyo")


async def test_trying_out_stores_nothing(at: Desk, tenant: Tenant) -> None:
    body = raw([mail(1), {"id": "x"}, mail(2, at="not a time"), mail(3, channel="chat")])
    await at.sources.change(tenant.id, "mail", SourceChange(channel="email"), actor="me", origin=None)
    tried = await at.sources.test(tenant.id, "mail", body, JSON)
    assert [item.error.problems[0].field if item.error else None for item in tried] == [
        None,
        "from",
        "messages[0].at",
        "channel",
    ]
    assert tried[0].arrivals[0].conversation.source == "mail"
    assert await stored(at, tenant) == []
    assert await at.standing(tenant.id) == []
