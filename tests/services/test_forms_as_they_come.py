"""Sources with the readers that ship: emails and help-desk payloads as they really come, in any order."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.conversation import Status
from domain.errors import InvalidInput
from domain.mapping import Format
from domain.sources import EventState, NewSource
from infra.readers import FormatReaders
from services.receive_events import EventReceipt
from storage.protocols import Tenant
from tests.support.stack import DatabaseUrls
from tests.support.threads import Desk, desk


@pytest.fixture(scope="module")
async def at(database: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(database, tmp_path_factory.mktemp("content"), readers=FormatReaders()) as opened:
        yield opened


async def of(at: Desk, **settings: Any) -> Tenant:
    tenant = await at.tenant()
    await at.sources.create(tenant.id, NewSource(slug="crm", **settings), actor="test", origin=None)
    return tenant


async def send(at: Desk, tenant: Tenant, body: bytes, media_type: str = "application/json") -> EventReceipt:
    receipt = await at.events.accept(tenant.id, "crm", body, media_type)
    assert receipt.event.state is EventState.RECEIVED, receipt.event
    return receipt


def email(number: int, *references: int, parent: int | None = None) -> bytes:
    ids = [f"<{n}@mail.example>" for n in references]
    writer = ("Tom Ashdown <tom@shop.example>", "Priya Nair <priya@home.example>")[number % 2]
    lines = [
        f"From: {writer}",
        "To: help@shop.example",
        f"Subject: {'Re: ' if references or parent else ''}Where is my parcel",
        f"Date: Thu, 13 Nov 2025 16:{number:02d}:00 +0100",
        f"Message-ID: <{number}@mail.example>",
        *([f"References: {' '.join(ids)}"] if ids else []),
        *([f"In-Reply-To: <{parent}@mail.example>"] if parent else []),
        "Content-Type: text/plain; charset=utf-8",
        "",
        f"This is what mail {number} says.",
        *([f"> This is what mail {parent} says."] if parent else []),
    ]
    return "\r\n".join(lines).encode()


EMAILS = [email(1), email(2, 1, parent=1), email(3, parent=2), email(4, 1, 2, 3, parent=3)]


async def test_emails_in_every_order_are_one_thread(at: Desk) -> None:
    seen = []
    for order in itertools.permutations(EMAILS):
        tenant = await of(at, format=Format.EMAIL)
        for one in order:
            await send(at, tenant, one, "message/rfc822")
        seen.append(await at.thread(tenant.id))
    assert [m[0].strip("<>") for m in seen[0]["messages"]] == [f"{n}@mail.example" for n in (1, 2, 3, 4)]
    assert all(thread == seen[0] for thread in seen)


def ticket(status: str, *comments: str) -> bytes:
    people = [
        {"id": 7, "name": "Priya", "email": "priya@home.example", "role": "end-user"},
        {"id": 9, "name": "Tom", "email": "tom@shop.example", "role": "agent"},
    ]
    said = [
        {
            "id": number,
            "author_id": (9, 7)[number % 2],
            "created_at": f"2025-11-13T16:{number:02d}:00Z",
            "plain_body": text,
            "public": True,
        }
        for number, text in enumerate(comments, start=1)
    ]
    whole = {"id": 4711, "status": status, "created_at": "2025-11-13T16:00:00Z", "subject": "Parcel", "tags": ["late"]}
    return json.dumps({"ticket": whole, "comments": said, "users": people}).encode()


async def test_a_ticket_that_is_solved_and_reopened(at: Desk) -> None:
    tenant = await of(at, preset="zendesk", settle_minutes=30)
    assert (await at.sources.get(tenant.id, "crm")).source.format is Format.JSON
    seen = []
    for body in (
        ticket("open", "Where is it?"),
        ticket("solved", "Where is it?", "It is on its way."),
        ticket("solved", "Where is it?", "It is on its way."),
        ticket("open", "Where is it?", "It is on its way.", "It is still not here."),
        ticket("solved", "Where is it?", "It is on its way.", "It is still not here."),
    ):
        receipt = await send(at, tenant, body)
        [conversation] = await at.standing(tenant.id)
        outcomes = [str(outcome.outcome) for outcome in receipt.event.outcomes]
        state = conversation.metadata["status"]
        seen.append((receipt.repeated, outcomes, conversation.revision, conversation.closed, state))
    assert seen == [
        (False, ["created"], 1, False, "open"),
        (False, ["revised"], 2, True, "solved"),
        (True, ["revised"], 2, True, "solved"),  # the same event: what became of it then
        (False, ["revised"], 3, False, "open"),
        (False, ["unchanged"], 3, True, "solved"),  # nothing was said; that it is solved is known all the same
    ]
    assert (conversation.channel, conversation.status, conversation.tags) == ("ticket", Status.RECEIVED, ("late",))


async def test_a_mapping_is_checked_when_it_is_configured(at: Desk) -> None:
    with pytest.raises(InvalidInput) as refused:
        await of(
            at,
            format=Format.JSON,
            mapping={"external_id": "ticket.[", "messages": [{"each": "c", "author": "a", "text": "t"}]},
        )
    assert {problem.field for problem in refused.value.problems} == {"mapping.external_id", "mapping.channel"}
    for settings in ({"format": Format.TABLE, "preset": "zendesk"}, {"format": Format.JSON, "preset": "nobody"}):
        with pytest.raises(InvalidInput) as refused:
            await of(at, **settings)
        assert [problem.field for problem in refused.value.problems] == ["preset"]


async def test_what_the_source_says_need_not_be_mapped(at: Desk) -> None:
    messages = [{"each": "said", "author": "who", "text": "text", "at": "at"}]
    mapping = {"external_id": "id", "messages": messages}
    tenant = await of(at, format=Format.JSON, channel="chat", time_zone="Asia/Tokyo", mapping=mapping)
    said = [{"who": "c", "text": "hello", "at": "2025-11-13 16:00:00"}]
    await send(at, tenant, json.dumps({"id": "x", "said": said}).encode())
    [conversation] = await at.standing(tenant.id)
    assert (conversation.channel, conversation.started_at.isoformat()) == ("chat", "2025-11-13T07:00:00+00:00")


async def test_rows_of_a_table(at: Desk) -> None:
    mapping = {
        "external_id": "Ticket",
        "channel": "ticket",
        "messages": [{"each": "@", "author": "Customer", "role": "customer", "text": "Text"}],
    }
    tenant = await of(at, format=Format.TABLE, mapping=mapping)
    table = "Ticket,Customer,Text\nt1,c1,It is broken\nt2,c2,So is mine\n"
    receipt = await send(at, tenant, table.encode(), "text/csv")
    assert [outcome.position for outcome in receipt.event.outcomes] == [1, 2]
    assert {c.external_id for c in await at.standing(tenant.id)} == {"t1", "t2"}
