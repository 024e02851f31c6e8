"""Uploads and multipart: audio is checked as it comes, and what is refused leaves nothing behind."""

import asyncio
import hashlib
import io
import json
import socket
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_bad_input import problem
from tests.support.api_bodies import call, chat
from tests.support.api_server import ApiServer, Tenant
from tests.support.audio_files import encode, tone

WAV = encode(tone(2.0), 8000)
OGG = encode(tone(2.0, 16_000), 16_000, "ogg")


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("call.txt", "not audio " * 50_000)
    return out.getvalue()


def announce(client: httpx.Client, data: bytes, **more: Any) -> dict[str, Any]:
    body = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), **more}
    opened = client.post("/v1/uploads", json=body)
    assert opened.status_code == 201, opened.text
    found: dict[str, Any] = opened.json()
    return found


def stored_files(api: ApiServer, tenant: Tenant) -> list[Path]:
    folder = Path(api.settings.content_url.removeprefix("file://")) / tenant.id
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_upload_becomes_a_call(client: httpx.Client) -> None:
    opened = announce(client, WAV)
    waiting = client.get(f"/v1/uploads/{opened['id']}").json()
    assert (waiting["state"], waiting["media_type"]) == ("open", "application/octet-stream")
    early = client.post("/v1/conversations", json=call({"id": opened["id"]}))
    assert "not received its bytes" in problem(early, 422, "invalid_input")["detail"]
    put = httpx.put(opened["url"], content=WAV)  # no key: the address is the permission
    assert put.status_code == 200, put.text
    assert (put.json()["state"], put.json()["media_type"], put.json()["size"]) == ("stored", "audio/wav", len(WAV))
    again = httpx.put(opened["url"], content=WAV)
    assert (again.status_code, again.json()["state"]) == (200, "stored")
    other = httpx.put(opened["url"], content=WAV[:-1] + b"!")
    assert other.status_code == 422
    accepted = client.post("/v1/conversations", json=call({"id": opened["id"], "role": "customer"}))
    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["links"]["words"].endswith("/transcript")


def test_the_bytes_may_come_with_a_key_and_in_chunks(client: httpx.Client) -> None:
    opened = announce(client, OGG)

    def chunks() -> Any:
        for start in range(0, len(OGG), 1000):
            yield OGG[start : start + 1000]

    put = client.put(f"/v1/uploads/{opened['id']}", content=chunks())
    assert (put.status_code, put.json()["media_type"]) == (200, "audio/ogg"), put.text


def test_an_upload_of_several_megabytes(client: httpx.Client) -> None:
    big = encode(tone(200.0, 32_000), 32_000)
    assert len(big) > 10_000_000
    opened = announce(client, big)
    put = httpx.put(opened["url"], content=big, timeout=60)
    assert put.status_code == 200, put.text


def test_a_zip_called_wav_is_told_what_it_is(api: ApiServer) -> None:
    tenant = api.tenant("zipper")
    data = archive()
    with api.client(tenant.key) as client:
        opened = announce(client, data)
        put = httpx.put(opened["url"], content=data, headers={"Content-Type": "audio/wav"})
        assert "this is a ZIP archive" in problem(put, 415, "unsupported_media")["detail"]
        assert client.get(f"/v1/uploads/{opened['id']}").json()["state"] == "open"
    assert stored_files(api, tenant) == []


@pytest.mark.parametrize(
    ("sent", "status"),
    [(WAV[:-100], 422), (WAV + b"more", 413), (WAV[:-4] + b"\0\1\2\3", 422), (b"", 422)],
    ids=["short", "long", "changed", "empty"],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_bytes_that_are_not_those_announced(api: ApiServer, sent: bytes, status: int, chunked: bool) -> None:
    tenant = api.tenant("other-bytes")
    with api.client(tenant.key) as client:
        opened = announce(client, WAV)
        content: Any = iter([sent]) if chunked else sent
        put = httpx.put(opened["url"], content=content)
        assert put.status_code == status, put.text
        assert client.get(f"/v1/uploads/{opened['id']}").json()["state"] == "open"
    assert stored_files(api, tenant) == []


def test_announcements_that_are_refused(api: ApiServer, client: httpx.Client) -> None:
    sha = "a" * 64
    for body, status in (
        ({"size": 0, "sha256": sha}, 422),
        ({"size": api.settings.max_upload_bytes + 1, "sha256": sha}, 413),
        ({"size": 10**18, "sha256": sha}, 413),
        ({"size": 10, "sha256": "short"}, 422),
        ({"size": 10}, 422),
        ({"size": 10, "sha256": sha, "name": "x"}, 422),
    ):
        assert client.post("/v1/uploads", json=body).status_code == status, body
    assert client.post("/v1/uploads", json={"size": 10, "sha256": "A" * 64}).status_code == 201


def test_an_address_opens_one_upload_only(client: httpx.Client) -> None:
    first, second = announce(client, WAV), announce(client, WAV)
    token = first["url"].partition("token=")[2]
    base = str(client.base_url)
    other = httpx.put(f"{base}/v1/uploads/{second['id']}", params={"token": token}, content=WAV)
    problem(other, 403, "forbidden")
    for forged in ("x", "x.y", token[:-2] + "AA", token.partition(".")[0] + ".", "é", "a" * 401):
        answer = httpx.put(f"{base}/v1/uploads/{first['id']}", params={"token": forged}, content=WAV)
        assert answer.status_code in (401, 422), forged
    none = httpx.put(f"{base}/v1/uploads/{first['id']}", content=WAV)
    problem(none, 401, "unauthenticated")


async def test_the_same_bytes_sent_at_once(api: ApiServer, tenant: Tenant) -> None:
    with api.client(tenant.key) as sync:
        opened = announce(sync, WAV)
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.put(opened["url"], content=WAV) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}


def test_a_sender_that_hangs_up_leaves_nothing_behind(api: ApiServer) -> None:
    tenant = api.tenant("hangs-up")
    with api.client(tenant.key) as client:
        opened = announce(client, WAV)
        head = f"PUT /{opened['url'].split('/', 3)[3]} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(WAV)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", api.settings.api_port)) as connection:
            connection.sendall(head.encode() + WAV[:9000])
        assert client.get(f"/v1/uploads/{opened['id']}").json()["state"] == "open"
        assert httpx.put(opened["url"], content=WAV).status_code == 200
    assert len(stored_files(api, tenant)) == 1


# -- multipart ----------------------------------------------------------------------------------------------


def multipart(
    client: httpx.Client, body: dict[str, Any] | None, *files: tuple[str, bytes], **more: Any
) -> httpx.Response:
    parts: list[tuple[str, tuple[str | None, bytes, str]]] = []
    if body is not None:
        parts.append(("conversation", (None, json.dumps(body).encode(), "application/json")))
    parts += [(name, (f"{name}.wav", data, "audio/wav")) for name, data in files]
    return client.post("/v1/conversations", files=parts, **more)


def test_one_request_with_a_file_per_speaker(api: ApiServer) -> None:
    tenant = api.tenant("multipart")
    with api.client(tenant.key) as client:
        body = call()
        accepted = multipart(client, body, ("agent", WAV), ("customer", OGG))
        assert (accepted.status_code, accepted.json()["outcome"]) == (202, "created"), accepted.text
        kept = len(stored_files(api, tenant))
        again = multipart(client, body, ("agent", WAV), ("customer", OGG))
        assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")
        assert len(stored_files(api, tenant)) == kept
        swapped = multipart(client, body, ("agent", OGG), ("customer", WAV))
        assert (swapped.status_code, swapped.json()["outcome"]) == (202, "revised")


def test_one_request_with_parts_named_in_the_body(client: httpx.Client) -> None:
    body = call({"part": "left.wav", "channels": ["customer"], "offset_ms": 250})
    assert multipart(client, body, ("left.wav", WAV)).status_code == 202
    chatty = multipart(client, chat())
    assert chatty.status_code == 202, chatty.text


def test_multipart_that_is_refused_leaves_nothing_behind(api: ApiServer) -> None:
    tenant = api.tenant("multipart-refused")
    with api.client(tenant.key) as client:
        for body, files, status, field in (
            (call(), [("agent", WAV), ("customer", archive())], 415, "customer"),
            (call(), [("agent", WAV), ("agent", WAV)], 400, "agent"),
            (None, [("agent", WAV)], 422, "conversation"),
            (call({"part": "missing"}), [("agent", WAV)], 422, "audio[0].part"),
            (call({"part": "agent"}), [("agent", WAV), ("spare", WAV)], 422, "spare"),
            (call(channel="fax"), [("agent", WAV)], 422, "channel"),
            (call(started_at="nonsense"), [("agent", WAV)], 422, "started_at"),
            (call(), [(f"f{n}", WAV) for n in range(9)], 422, "audio"),
            (call(), [("agent", b"")], 415, "agent"),
            (call(), [("agent", WAV * 600)], 413, "agent"),
        ):
            answer = multipart(client, body, *files)
            assert answer.status_code == status, answer.text
            assert answer.json()["errors"][0]["field"] == field, answer.text
        assert client.get("/v1/conversations").json()["items"] == []
    assert stored_files(api, tenant) == []


def test_multipart_that_is_none(client: httpx.Client) -> None:
    head = {"Content-Type": "multipart/form-data; boundary=edge"}
    part = b'--edge\r\nContent-Disposition: form-data; name="conversation"\r\n\r\n{}\r\n'
    for headers, raw in (
        ({"Content-Type": "multipart/form-data"}, part),
        (head, b""),
        (head, b"nonsense"),
        (head, part),  # no last boundary
        (head, part[:-8]),
        (head, b"--edge\r\n\r\nno name\r\n--edge--\r\n"),
        (head, b"--edge\r\n" + b"X: y\r\n" * 100_000),
        (head, part.replace(b"{}", b"{") + b"--edge--\r\n"),
        (head, b"--edge\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n" * 100 + b"--edge--\r\n"),
    ):
        answer = client.post("/v1/conversations", content=raw, headers=headers)
        assert answer.status_code in (400, 415), (raw[:40], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


def test_multipart_with_an_idempotency_key_is_the_same_whatever_its_boundary(api: ApiServer) -> None:
    tenant = api.tenant("multipart-keyed")
    key = {"Idempotency-Key": "call-1"}
    with api.client(tenant.key) as client:
        body = call()
        first = multipart(client, body, ("agent", WAV), headers=key)
        kept = len(stored_files(api, tenant))
        again = multipart(client, body, ("agent", WAV), headers=key)
        assert (first.status_code, again.status_code, again.content) == (202, 202, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        other = multipart(client, body, ("agent", OGG), headers=key)
        problem(other, 422, "idempotency_mismatch")
        assert len(stored_files(api, tenant)) == kept
