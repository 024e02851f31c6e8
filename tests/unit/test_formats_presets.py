"""The ready mappings: what help desks, chats and data sets really send."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from domain.arrivals import Arrival
from domain.conversation import Channel, Role
from domain.errors import InvalidInput, NotFound
from domain.mapping import Format, SourceMapping
from domain.normalize import turns_of_thread
from engines.formats import check_mapping, example, preset, presets
from tests.support.formats import arrivals, codes, normalized, read_json, sample


def read_example(name: str) -> list[Arrival]:
    path = example(name)
    media_type = "text/csv" if path.suffix == ".csv" else "application/json"
    return arrivals(preset(name).format, path.read_bytes(), preset(name).mapping, media_type=media_type, name=path.name)


def payload(name: str) -> dict[str, Any]:
    found = json.loads(example(name).read_text())
    assert isinstance(found, dict)
    return found


def said(arrival: Arrival) -> list[tuple[Role, str]]:
    return [(turn.role, turn.text) for turn in turns_of_thread(normalized(arrival))]


@pytest.mark.parametrize("name", presets())
def test_every_mapping_reads_its_example_and_knows_every_speaker(name: str) -> None:
    found = read_example(name)
    assert found
    for arrival in found:
        assert not codes(arrival)
        assert all(person.role is not Role.UNKNOWN for person in arrival.conversation.participants)


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(NotFound, match="zendesk"):
        preset("../secrets")


def test_zendesk() -> None:
    (arrival,) = read_example("zendesk")
    conversation = arrival.conversation
    assert (conversation.external_id, conversation.channel, conversation.closed) == ("4711", Channel.TICKET, True)
    assert conversation.metadata["satisfaction"] == "good"
    assert [role for role, _ in said(arrival)] == [Role.CUSTOMER, Role.AGENT, Role.CUSTOMER]
    assert not any("supplier" in text for _, text in said(arrival)), "internal notes are no part of the conversation"
    assert conversation.messages is not None
    assert [a.name for a in conversation.messages[0].attachments] == ["fuse-box.jpg"]


def test_zendesk_without_users_knows_the_requester_and_without_comments_the_description() -> None:
    body = payload("zendesk")
    del body["users"]
    (arrival,) = read_json(body, preset("zendesk").mapping)
    assert [role for role, _ in said(arrival)] == [Role.CUSTOMER, Role.AGENT, Role.CUSTOMER]
    (bare,) = read_json(body["ticket"], preset("zendesk").mapping)
    assert [role for role, _ in said(bare)] == [Role.CUSTOMER]


def test_a_reopened_ticket_is_open_again_with_all_its_messages() -> None:
    body = payload("zendesk")
    body["ticket"]["status"] = "open"
    body["comments"].append({"id": 900005, "author_id": 20978392, "plain_body": "It trips again.", "public": True})
    (again,) = read_json(body, preset("zendesk").mapping)
    (before,) = read_example("zendesk")
    assert (before.conversation.closed, again.conversation.closed) == (True, False)
    assert len(again.conversation.messages or ()) == len(before.conversation.messages or ()) + 1
    assert not again.adds, "a ticket comes whole each time"


def test_intercom() -> None:
    (arrival,) = read_example("intercom")
    assert arrival.conversation.channel is Channel.CHAT
    assert arrival.adds, "a webhook may bring the newest part alone"
    roles = [role for role, _ in said(arrival)]
    assert roles == [Role.CUSTOMER, Role.BOT, Role.AGENT]
    assert said(arrival)[2][1].endswith("* 19.90 EUR\n* within three days")


def test_an_intercom_event_about_something_else_is_passed_over() -> None:
    event = {"type": "notification_event", "topic": "ping", "data": {"item": {"type": "ping"}}}
    assert read_json(event, preset("intercom").mapping) == []


def test_freshdesk() -> None:
    (arrival,) = read_example("freshdesk")
    assert [role for role, _ in said(arrival)] == [Role.CUSTOMER, Role.AGENT, Role.CUSTOMER]
    assert said(arrival)[0][1].startswith("Cannot check in online\n\nYour page says my booking does not exist")
    assert arrival.conversation.closed is True


def test_slack_threads_are_conversations() -> None:
    thread, alone = read_example("slack")
    assert [role for role, _ in said(thread)] == [Role.CUSTOMER, Role.AGENT, Role.CUSTOMER]
    assert [role for role, _ in said(alone)] == [Role.BOT]
    assert thread.conversation.external_id == "C0HELP/1793610100.000200"


def test_a_slack_export_is_a_list_of_messages_each_of_which_joins_its_thread() -> None:
    messages = [{**message, "channel": "C0HELP"} for message in payload("slack")["messages"]]
    found = arrivals(preset("slack").format, json.dumps(messages).encode(), preset("slack").mapping)
    ids = [arrival.conversation.external_id for arrival in found]
    assert ids == ["C0HELP/1793610100.000200", "C0HELP/1793610200.000300", *["C0HELP/1793610100.000200"] * 2]
    assert all(arrival.adds for arrival in found)


def test_complaints() -> None:
    first, second = read_example("cfpb")
    assert first.conversation.tags == ("Older American", "Servicemember")
    assert said(second)[0][1].startswith("Trouble during payment process\n\n=SUM(A1:A9)")


@pytest.mark.parametrize(
    ("name", "breaks", "field"),
    [
        ("zendesk", ("comments", 0, "author_id"), "messages[0].author"),
        ("zendesk", ("ticket", "id"), "external_id"),
        ("intercom", ("data", "item", "source", "author"), "messages[0].author"),
        ("freshdesk", ("conversations", 2, "user_id"), "messages[1].author"),
        ("slack", ("messages", 1, "ts"), "group_by"),
        ("harpervalley", ("side_car", "sid"), "external_id"),
        ("taskmaster", ("turns",), "messages"),
    ],
)
def test_a_vendors_missing_field_is_named_and_a_new_one_is_harmless(
    name: str, breaks: tuple[str | int, ...], field: str
) -> None:
    body = payload(name)
    place: Any = body
    for step in breaks[:-1]:
        place = place[step]
    if name == "slack":
        del place["thread_ts"]
    with_more = {**body, "added_in_2027": {"deep": [1, 2, {"x": None}]}}
    if isinstance(place, dict):
        place["another_new_field"] = [True]
    form, mapping = preset(name).format, preset(name).mapping
    assert arrivals(form, json.dumps(with_more).encode(), mapping)
    del place[breaks[-1]]
    with pytest.raises(InvalidInput) as refused:
        arrivals(form, json.dumps(body).encode(), mapping)
    assert field in {problem.field for problem in refused.value.problems}


@pytest.mark.parametrize(
    ("name", "path", "conversations", "roles"),
    [
        ("abcd", "chat/abcd_sample.json", 3, {Role.AGENT, Role.CUSTOMER, Role.SYSTEM}),
        ("taskmaster", "chat/taskmaster4_30.json", 30, {Role.CUSTOMER, Role.BOT}),
        ("multidogo", "chat/multidogo_40_customer_turns.json", 40, {Role.CUSTOMER}),
    ],
)
def test_all_real_dialogs_are_read(name: str, path: str, conversations: int, roles: set[Role]) -> None:
    body = sample(path).read_bytes()
    found = arrivals(preset(name).format, body, preset(name).mapping)
    assert len(found) == len({arrival.conversation.external_id for arrival in found}) == conversations
    for arrival in found:
        thread = normalized(arrival)
        assert {message.role for message in thread.messages} <= roles
        assert len(turns_of_thread(thread)) >= 2
        assert (name == "multidogo") == ("customer-side-only" in arrival.conversation.tags)


def test_dialogs_without_times_keep_their_order() -> None:
    body = sample("chat/taskmaster4_30.json").read_bytes()
    for arrival, dialog in zip(
        arrivals(preset("taskmaster").format, body, preset("taskmaster").mapping), json.loads(body), strict=True
    ):
        assert [text for _, text in said(arrival)] == [text.strip() for _, text in dialog["turns"] if text.strip()]


def test_the_guides_worked_examples_work() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    blocks = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    body, mapping = json.loads(blocks[0]), SourceMapping.model_validate_json(blocks[1])
    check_mapping(mapping, Format.JSON)
    (arrival,) = read_json(body, mapping)
    assert said(arrival) == [(Role.CUSTOMER, "It broke."), (Role.AGENT, "We send a new one.")]
    assert not codes(arrival)
    check_mapping(SourceMapping.model_validate_json(blocks[3]), Format.RECORDING)
    assert all(f"`{name}`" in guide for name in presets())
