"""Bad input: a 4xx with the field and the reason, and nothing left behind."""

import json
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api_bodies import call, chat
from tests.support.api_server import ApiServer, Tenant

JSON = {"Content-Type": "application/json"}


def post(client: httpx.Client, raw: bytes | str, **headers: str) -> httpx.Response:
    return client.post("/v1/conversations", content=raw, headers={**JSON, **headers})


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["status"], found["code"], found["type"]) == (status, code, f"urn:parley:problem:{code}")
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "line 1, column 1"),
        (b'{"external_id": }', "line 1, column 17"),
        (b'{"a": 1,\n "b": [1, 2\n', "line 3, column 1"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 123456789012345678901234567890}', "too large"),
        (b'{"a": 9223372036854775808}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too large"),
        (b'{"a": {"same": 1, "same": 2}}', "'same' twice"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b'{"a": "\\udc00x"}', "half a character"),
        (b'{"a": "caf\xe9"}', "not UTF-8 at byte 10"),
        (b'\xff\xfe{\x00}\x00', "not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
        (b'{"a": 1} trailing', "line 1, column 10"),
        (b"{'a': 1}", "line 1, column 2"),
    ],
)  # fmt: skip
def test_json_that_is_none(client: httpx.Client, raw: bytes, says: str) -> None:
    found = problem(post(client, raw), 400, "malformed_body")
    assert says in found["detail"]


def test_json_that_is_unusual_and_right(client: httpx.Client) -> None:
    body = chat(metadata={"emoji": "👩‍👩‍👧", "big": 9_223_372_036_854_775_807, "arabic": "شكرا جزيلا"})
    with_bom = b"\xef\xbb\xbf" + json.dumps(body).encode()  # surrogate pairs, escaped
    accepted = post(client, with_bom)
    assert accepted.status_code == 202, accepted.text
    shown = client.get(accepted.json()["links"]["self"]).json()
    assert shown["metadata"] == body["metadata"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"channel": "fax"}, "channel"),
        ({"external_id": ""}, "external_id"),
        ({"external_id": "x" * 401}, "external_id"),
        ({"external_id": "a\0b"}, "external_id"),
        ({"source": "Has Spaces"}, "source"),
        ({"surprise": 1}, "surprise"),
        ({"messages": None}, "body"),
        ({"messages": [{"author": "c1"}]}, "messages[0].text"),
        ({"messages": [{"author": "stranger", "text": "hi"}]}, "body"),
        ({"messages": [{"author": "c1", "text": 5}]}, "messages[0].text"),
        ({"messages": [{"author": "c1", "text": "x", "at": "yesterday"}]}, "messages[0].at"),
        ({"participants": [{"id": "c1", "role": "boss"}]}, "participants[0].role"),
        ({"participants": [{"id": "c1", "role": "customer", "name": "A\0"}]}, "participants[0].name"),
        ({"metadata": {"plan": [1]}}, "metadata.plan"),
        ({"metadata": {"plan": "go\0ld"}}, "metadata.plan"),
        ({"metadata": {"plan": "x" * 2001}}, "metadata.plan"),
        ({"metadata": {"text": "go\0ld"}}, "metadata.text"),
        ({"metadata": {"bad key": 1}}, "metadata.bad key (the key)"),
        ({"metadata": {f"k{n}": n for n in range(101)}}, "metadata"),
        ({"tags": ["a\0"]}, "tags[0]"),
        ({"started_at": "not a time at all"}, "started_at"),
        ({"started_at": "2026-13-45T99:99:99Z"}, "started_at"),
        ({"started_at": "2026-11-13T10:00:00Z", "ended_at": "2026-11-13T09:00:00Z"}, "ended_at"),
        ({"language": "english please"}, "language"),
    ],
)
def test_a_field_that_is_wrong_is_named(client: httpx.Client, change: dict[str, Any], field: str) -> None:
    body = {**chat(), **change}
    if body.get("messages") is None:
        del body["messages"]
    if "messages" not in change:
        body.get("messages", [{}])[0].pop("at", None)
    found = problem(client.post("/v1/conversations", json=body), 422, "invalid_input")
    assert field in [error["field"] for error in found["errors"]], found


def _count(client: httpx.Client) -> int:
    return len(client.get("/v1/conversations", params={"limit": 200}).json()["items"])


def test_what_is_refused_leaves_nothing_behind(api: ApiServer) -> None:
    tenant = api.tenant("refused")
    folder = Path(api.settings.content_url.removeprefix("file://")) / tenant.id
    with api.client(tenant.key) as client:
        assert client.post("/v1/conversations", json=chat(started_at="nonsense")).status_code == 422
        assert client.post("/v1/conversations", json=call({"id": "0" * 8 + "-0000-0000-0000-000000000000"})).is_error
        assert client.post("/v1/conversations", json=call({"url": "https://elsewhere.example/a.wav"})).is_error
        assert _count(client) == 0
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_values_are_not_repeated_in_problems(client: httpx.Client) -> None:
    answer = client.post("/v1/conversations", json=chat(channel="4111-1111-1111-1111"))
    assert answer.status_code == 422
    assert "4111" not in answer.text


def test_audio_that_may_not_be_used(client: httpx.Client) -> None:
    absent = client.post("/v1/conversations", json=call({"id": "0" * 8 + "-0000-4000-8000-000000000000"}))
    assert problem(absent, 422, "invalid_input")["errors"][0]["field"] == "audio[0].id"
    elsewhere = client.post("/v1/conversations", json=call({"url": "http://169.254.169.254/latest"}))
    assert problem(elsewhere, 422, "invalid_input")["errors"][0]["field"] == "audio.url"
    both = client.post("/v1/conversations", json=call({"url": "https://audio.example.com/a.wav", "id": "x"}))
    assert both.status_code == 422


# -- sizes --------------------------------------------------------------------------------------------------


def test_a_message_of_a_megabyte(client: httpx.Client) -> None:
    whole = chat(messages=[{"author": "c1", "text": "é" * 1_048_576}])
    assert client.post("/v1/conversations", json=whole).status_code == 202
    longer = chat(messages=[{"author": "c1", "text": "x" * 1_048_577}])
    found = problem(client.post("/v1/conversations", json=longer), 422, "invalid_input")
    assert found["errors"][0]["field"] == "messages[0].text"


def test_a_thread_of_five_thousand_turns(client: httpx.Client) -> None:
    messages = [{"id": f"m{n}", "author": "c1" if n % 2 else "a1", "text": f"Line {n} ✓"} for n in range(5000)]
    accepted = client.post("/v1/conversations", json=chat(messages=messages))
    assert accepted.status_code == 202, accepted.text
    wrong = [{**message, "text": None} for message in messages]
    found = problem(client.post("/v1/conversations", json=chat(messages=wrong)), 422, "invalid_input")
    assert len(found["errors"]) == 50
    assert "and 4950 more" in found["detail"]


def test_control_characters_emoji_and_right_to_left(client: httpx.Client) -> None:
    texts = ["a\0b\x07c\x1b[31m", "👍🏽👩‍🚀", "مرحبا كيف الحال", "שלום", "\u202ereversed\u202c", "\ufeff\u200b"]
    body = chat(messages=[{"author": "c1", "text": text, "subject": "s\0"} for text in texts])
    assert client.post("/v1/conversations", json=body).status_code == 202


def test_clocks_that_are_far_off_are_told(client: httpx.Client) -> None:
    for stamp, code in (("2126-01-01T00:00:00Z", "time_in_future"), ("1970-01-01T00:00:00Z", "time_far_past")):
        accepted = client.post("/v1/conversations", json=chat(started_at=stamp))
        assert accepted.status_code == 202
        shown = client.get(accepted.json()["links"]["self"]).json()
        assert code in [note["code"] for note in shown["notes"]]
        assert shown["started_at"][:4] not in ("2126", "1970")


@pytest.mark.parametrize("path", ["/v1/conversations", "/v1/uploads", "/v1/search"])
def test_a_body_of_two_gigabytes_is_refused_before_it_comes(api: ApiServer, tenant: Tenant, path: str) -> None:
    answer, sent = _send_raw(api, tenant, path, "Content-Length: 2147483648", b"")
    assert (answer, sent) == (413, 0)


def test_an_endless_chunked_body_is_refused_at_the_cap(api: ApiServer, tenant: Tenant) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer, sent = _send_raw(api, tenant, "/v1/conversations", "Transfer-Encoding: chunked", chunk)
    assert answer == 413
    assert sent < api.settings.max_body_bytes + 16 * 1024 * 1024  # the cap, and what buffers on the way hold


def test_a_body_over_the_cap_is_refused(api: ApiServer, client: httpx.Client) -> None:
    body = b'"' + b"x" * (api.settings.max_body_bytes + 1) + b'"'
    assert problem(post(client, body), 413, "too_large")["errors"][0]["field"] == "body"


def _send_raw(api: ApiServer, tenant: Tenant, path: str, framing: str, chunk: bytes) -> tuple[int, int]:
    """(status, body bytes sent until the answer came). Sends `chunk` again and again, nothing when it is empty."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.key}\r\n"
        f"Content-Type: application/json\r\n{framing}\r\n\r\n"
    )
    sent = 0
    with socket.create_connection(("127.0.0.1", api.settings.api_port), timeout=30) as connection:
        connection.sendall(head.encode())
        connection.settimeout(0.05 if chunk else 30)
        while True:
            try:
                answer = connection.recv(4096)
                break
            except (TimeoutError, ssl.SSLWantReadError):
                connection.settimeout(0.001)
                for _ in range(16):
                    try:
                        sent += connection.send(chunk)
                    except TimeoutError:
                        break
                    except OSError:
                        connection.settimeout(5)
                        break
            assert sent < 64 * 1024 * 1024
    return int(answer.split(b" ")[1]), sent


# -- everything is a problem document -----------------------------------------------------------------------


def test_other_media_types(client: httpx.Client) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml", ""):
        answer = client.post("/v1/conversations", content=b"{}", headers={"Content-Type": media_type})
        problem(answer, 415, "unsupported_media")
    fine = client.post(
        "/v1/conversations", content=json.dumps(chat()), headers={"Content-Type": "application/vnd.acme+json"}
    )
    assert fine.status_code == 202


def test_addresses_and_methods_that_are_not_there(client: httpx.Client) -> None:
    problem(client.get("/v1/nothing"), 404, "not_found")
    problem(client.get("/nothing"), 404, "not_found")
    problem(client.get("/v1/conversations/"), 404, "not_found")
    refused = client.put("/v1/conversations", json={})
    problem(refused, 405, "method_not_allowed")
    problem(client.get("/v1/conversations/not-an-id"), 422, "invalid_input")


def test_headers_of_every_answer(client: httpx.Client) -> None:
    for answer in (client.get("/v1/me"), client.get("/v1/nothing"), httpx.get(f"{client.base_url}/v1/me")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
    named = client.get("/v1/me", headers={"X-Request-Id": "connector-0000042"})
    assert named.headers["x-request-id"] == "connector-0000042"
    forged = client.get("/v1/me", headers={"X-Request-Id": "a b<script>"})
    assert "<" not in forged.headers["x-request-id"]
