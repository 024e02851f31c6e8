"""Handing in, reading back and changing conversations."""

import asyncio

import httpx

from tests.support.api_bodies import chat
from tests.support.api_server import ApiServer, Tenant


def test_a_conversation_is_accepted_and_read_back(client: httpx.Client) -> None:
    body = chat()
    accepted = client.post("/v1/conversations", json=body)
    assert accepted.status_code == 202, accepted.text
    answer = accepted.json()
    assert (answer["outcome"], answer["status"], answer["revision"], answer["started"]) == (
        "created",
        "received",
        1,
        True,
    )
    shown = client.get(answer["links"]["self"])
    assert shown.status_code == 200
    conversation = shown.json()
    assert conversation["external_id"] == body["external_id"]
    assert conversation["metadata"] == body["metadata"]
    assert conversation["stages"] == []
    assert conversation["links"]["words"].endswith("/thread")
    assert conversation["links"]["temporal"].startswith("http://temporal.example/namespaces/default/workflows/")
    agent, customer = conversation["participants"]
    assert agent["name"] == "Tom Ashdown"
    assert customer == {"id": "c1", "role": "customer", "name": None}
    assert "priya" not in shown.text.lower()


def test_the_same_again_changes_nothing_and_other_content_is_a_revision(client: httpx.Client) -> None:
    body = chat()
    first = client.post("/v1/conversations", json=body)
    again = client.post("/v1/conversations", json=body)
    assert (again.status_code, again.json()["outcome"], again.json()["id"]) == (200, "unchanged", first.json()["id"])
    body["messages"].append({"id": "m3", "author": "c1", "text": "Any news?"})
    changed = client.post("/v1/conversations", json=body)
    assert (changed.status_code, changed.json()["outcome"], changed.json()["revision"]) == (202, "revised", 2)
    assert changed.json()["id"] == first.json()["id"]
    late = chat(external_id=body["external_id"])
    assert client.post("/v1/conversations", json=late).json()["outcome"] == "unchanged"


async def test_fifty_identical_hand_ins_at_once_are_one_conversation(api: ApiServer, tenant: Tenant) -> None:
    body = chat()
    async with api.async_client(tenant.key) as client:
        answers = await asyncio.gather(*(client.post("/v1/conversations", json=body) for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.json()["outcome"] for answer in answers].count("created") == 1
    with api.client(tenant.key) as sync:
        executions = sync.get(answers[0].json()["links"]["executions"]).json()
        assert [run["entry"] for run in executions["runs"]] == [1]


def test_messages_make_the_next_revision(client: httpx.Client) -> None:
    accepted = client.post("/v1/conversations", json=chat()).json()
    url = f"/v1/conversations/{accepted['id']}/messages"
    added = client.post(url, json={"messages": [{"id": "m9", "author": "c1", "text": "Thank you!"}]})
    assert (added.status_code, added.json()["revision"]) == (202, 2)
    again = client.post(url, json={"messages": [{"id": "m9", "author": "c1", "text": "Thank you!"}]})
    assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")
    stranger = client.post(url, json={"messages": [{"author": "nobody", "text": "Hello"}]})
    assert stranger.status_code == 422
    assert "messages" in stranger.text


def test_late_facts_are_a_patch(client: httpx.Client) -> None:
    accepted = client.post("/v1/conversations", json=chat()).json()
    url = accepted["links"]["self"]
    patched = client.patch(
        url, json={"dispositions": ["refunded"], "metadata": {"plan": "silver", "order_value": None}}
    )
    assert patched.status_code == 200, patched.text
    shown = patched.json()
    assert shown["dispositions"] == ["refunded"]
    assert shown["metadata"] == {"plan": "silver", "first_contact": True}
    assert shown["revision"] == 1


def test_a_wait_ends_when_its_time_is_up(client: httpx.Client) -> None:
    answer = client.post("/v1/conversations", params={"wait": 0.2}, json=chat())
    assert answer.status_code == 202
    assert answer.json()["conversation"]["status"] == "received"
    assert client.post("/v1/conversations", params={"wait": 61}, json=chat()).status_code == 422


def test_lists_page_by_keyset(api: ApiServer) -> None:
    tenant = api.tenant("lister")
    with api.client(tenant.key) as client:
        ids = []
        for minute in range(7):
            body = chat(started_at=f"2026-11-13T10:{minute // 2:02d}:00+00:00")  # pairs of equal times
            ids.append(client.post("/v1/conversations", json=body).json()["id"])
        seen: list[str] = []
        params: dict[str, str | int] = {"limit": 3}
        for expected in (3, 3, 1):
            page = client.get("/v1/conversations", params=params)
            assert page.status_code == 200, page.text
            rows = page.json()["items"]
            assert len(rows) == expected
            assert "metadata" not in rows[0]
            seen += [row["id"] for row in rows]
            params["cursor"] = page.json()["next_cursor"]
        assert params["cursor"] is None
        assert len(seen) == len(set(seen)) == 7
        assert set(seen) == set(ids)
        only = client.get("/v1/conversations", params={"started_from": "2026-11-13T10:03:00Z", "channel": "chat"})
        assert [row["id"] for row in only.json()["items"]] == [ids[6]]
        assert client.get("/v1/conversations", params={"status": "completed"}).json()["items"] == []


def test_a_list_refuses_what_it_does_not_know(client: httpx.Client) -> None:
    for params in (
        {"limit": 201},
        {"limit": 0},
        {"cursor": "nonsense"},
        {"cursor": "e30"},
        {"statsu": "failed"},
        {"started_from": "2026-11-13"},
        {"source": "a\0b"},
    ):
        answer = client.get("/v1/conversations", params=params)
        assert answer.status_code == 422, params
        assert answer.json()["errors"][0]["field"] == next(iter(params))


def test_a_rerun_makes_the_next_entry(client: httpx.Client) -> None:
    accepted = client.post("/v1/conversations", json=chat()).json()
    url = f"/v1/conversations/{accepted['id']}/rerun"
    again = client.post(url)
    assert (again.status_code, again.json()["entry"], again.json()["enter_at"]) == (202, 2, "plan")
    assert client.post(url, json={"from_stage": "normalize"}).json()["entry"] == 3
    unknown = client.post(url, json={"tasks": ["no-such-task"]})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "tasks")
    assert client.post(url, json={"from_stage": "persist"}).status_code == 422


def test_what_is_not_there_yet_says_so(client: httpx.Client) -> None:
    accepted = client.post("/v1/conversations", json=chat()).json()
    base = accepted["links"]["self"]
    thread = client.get(f"{base}/thread")
    assert (thread.status_code, thread.json()["code"]) == (404, "not_found")
    assert "revision 1 has no turns yet" in thread.json()["detail"]
    assert "there is no revision 7" in client.get(f"{base}/thread", params={"revision": 7}).json()["detail"]
    assert client.get(f"{base}/fields").json()["effective"] == []
    assert client.get(f"{base}/executions", params={"revision": 7}).status_code == 404
