"""Input of every bad kind through the running service: a clear answer to each, and nothing stops a worker.

What HTTP answers is held against the API by `tests/api/test_bad_input.py`; here is what becomes of what is accepted.
"""

import hashlib
import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from api.schemas.conversations import ConversationOut
from cli.client import ParleyClient
from domain.conversation import Status
from domain.values import ValueKind
from tests.support.bad_input import COMPLAINT, MIB, RECORDINGS, THREADS, WAV_HEAD, archive, chat
from tests.support.running_stack import RunningStack, running_stack, until
from tests.support.texts import IN_TWENTY_LANGUAGES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE = 600.0
MAX_UPLOAD = 48 * MIB
TWO_GIGABYTES = 2 * 1024 * MIB
UNDERSTOOD = ("de", "en", "es")
"""What the offline engine has lexicons for."""

ENDED = {Status.COMPLETED, Status.COMPLETED_WITH_GAPS, Status.PARKED, Status.FAILED}


@dataclass
class Handed:
    """What was handed in, and what became of it."""

    stack: RunningStack
    client: ParleyClient
    tenant_id: str
    pids: dict[str, int | None]
    ids: dict[str, str] = field(default_factory=dict)
    ends: dict[str, ConversationOut] = field(default_factory=dict)

    def hand_in(self, name: str, body: dict[str, Any]) -> None:
        self.ids[name] = self.client.start(body).id

    def end(self, name: str) -> ConversationOut:
        return self.ends[name]

    def until_all_ended(self) -> None:
        """Everything at once: the machine works on it side by side."""

        def ended() -> bool:
            for name, conversation_id in self.ids.items():
                if name not in self.ends:
                    seen = self.client.conversation(conversation_id)
                    if seen.status in ENDED:
                        self.ends[name] = seen
            return len(self.ends) == len(self.ids)

        until(ended, PATIENCE, lambda: f"{sorted(self.ids.keys() - self.ends.keys())}\n{self.stack.told()}")


@pytest.fixture(scope="module")
def handed() -> Iterator[Handed]:
    with running_stack("bad-input", PARLEY_MAX_UPLOAD_BYTES=str(MAX_UPLOAD)) as stack:
        tenant_id = stack.new_tenant("bad-input", languages=[])
        with stack.client(tenant_id) as client:
            found = Handed(stack, client, tenant_id, stack.pids())
            for name, data in RECORDINGS.items():
                found.hand_in(name, call(name, upload(client, data)))
            for name, body in THREADS.items():
                found.hand_in(name, body)
            found.until_all_ended()
            yield found


def upload(client: ParleyClient, data: bytes) -> str:
    opened = client.request("POST", "/v1/uploads", json={"size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    put = httpx.put(opened["url"], content=data, timeout=120)
    assert put.status_code == 200, put.text
    return str(opened["id"])


def call(external_id: str, upload_id: str) -> dict[str, Any]:
    return {
        "source": "bad-input",
        "external_id": external_id,
        "channel": "call",
        "participants": [{"id": "c", "role": "customer"}, {"id": "a", "role": "agent"}],
        "audio": [{"id": upload_id, "channels": ["mixed"]}],
    }


def notes(conversation: ConversationOut) -> set[str]:
    return {note.code for note in conversation.notes}


# -- what is accepted ends, and says how


@pytest.mark.parametrize("name", sorted(THREADS))
def test_a_thread_of_any_kind_completes(handed: Handed, name: str) -> None:
    end = handed.end(name)
    assert (end.status, end.status_reason) == (Status.COMPLETED, None)
    assert {stage.state for stage in end.stages} == {"completed"}
    said = [turn.text for turn in handed.client.words(end.id).turns]
    assert not [text for text in said if any(ord(c) < 32 and c not in "\n\t" for c in text)]
    values = handed.client.fields(end.id).effective
    assert {s.task for s in end.skipped} or values


def test_much_text_is_read_as_a_whole(handed: Handed) -> None:
    long = handed.client.words(handed.ids["turns-5000"])
    assert [turn.number for turn in long.turns] == list(range(1, 5001))
    assert sum(len(turn.text) for turn in handed.client.words(handed.ids["message-1mb"]).turns) > MIB * 0.9


@pytest.mark.parametrize(
    ("name", "note"),
    [("clock-ahead", "time_in_future"), ("clock-behind", "time_far_past"), ("clock-at-the-end", "time_in_future")],
)
def test_a_clock_that_is_far_off_is_told(handed: Handed, name: str, note: str) -> None:
    assert note in notes(handed.end(name))


@pytest.mark.parametrize("code", sorted(IN_TWENTY_LANGUAGES))
def test_a_language_is_told_and_nothing_is_claimed_that_is_not_understood(handed: Handed, code: str) -> None:
    end = handed.end(f"language-{code}")
    assert end.language == (None if code == "bn" else code)
    assert not end.skipped
    known = {value.field for value in handed.client.fields(end.id).effective if value.kind is not ValueKind.UNKNOWN}
    assert known >= {"csat", "summary"} if code in UNDERSTOOD else not known


def test_what_says_nothing_is_skipped_with_its_reason(handed: Handed) -> None:
    for name in ("blank", "no-messages", "invisible"):
        reasons = {skipped.reason for skipped in handed.end(name).skipped}
        assert reasons == {"too_short"}, name
        assert not handed.client.fields(handed.ids[name]).effective


@pytest.mark.parametrize("name", sorted(RECORDINGS))
def test_audio_that_is_damaged_completes_or_parks_with_its_reason(handed: Handed, name: str) -> None:
    end = handed.end(name)
    if end.status is Status.COMPLETED:
        assert name in ("truncated-mp3", "truncated-wav", "silence")
        return
    assert (end.status, end.status_reason) == (Status.PARKED, "undecodable_content")
    explained = handed.client.explain(end.id)
    assert explained.remedy
    assert explained.where.stage == "ingest"


def test_silence_is_no_text(handed: Handed) -> None:
    end = handed.end("silence")
    assert {skipped.reason for skipped in end.skipped} == {"no_speech"}


# -- what is refused leaves nothing, and costs nothing


def test_json_that_is_none_a_channel_that_is_none_and_a_time_that_is_none(handed: Handed) -> None:
    count = handed.stack.rows("select count(*) from conversation")
    beyond_time = chat("beyond-time", COMPLAINT, started_at="9999-12-31T23:59:59-14:00")
    refused = (
        (b'{"external_id": ', 400, "body"),
        (json.dumps(chat("fax", "x", channel="fax")).encode(), 422, "channel"),
        (json.dumps(beyond_time).encode(), 422, "started_at"),
    )
    for raw, status, named in refused:
        answer = post(handed, raw)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert [error["field"] for error in answer.json()["errors"]] == [named]
    assert handed.stack.rows("select count(*) from conversation") == count


def test_a_zip_called_wav_is_refused_by_its_first_bytes(handed: Handed) -> None:
    data = archive()
    body = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    opened = handed.client.request("POST", "/v1/uploads", json=body)
    put = httpx.put(opened["url"], content=data, headers={"Content-Type": "audio/wav"}, timeout=60)
    assert (put.status_code, put.json()["code"]) == (415, "unsupported_media")
    assert "zip" in put.json()["detail"].lower()
    named = post(handed, json.dumps(call("zip", opened["id"])).encode())
    assert named.status_code == 422
    parts: dict[str, tuple[str | None, str | bytes, str]] = {
        "conversation": (None, json.dumps({**call("zip", ""), "audio": [{"part": "call"}]}), "application/json"),
        "call": ("call.wav", data, "audio/wav"),
    }
    whole = httpx.post(f"{handed.stack.api}/v1/conversations", files=parts, headers=headers(handed), timeout=60)
    assert whole.status_code == 415, whole.text


@pytest.mark.parametrize("framing", [f"Content-Length: {TWO_GIGABYTES}", "Transfer-Encoding: chunked"])
def test_two_gigabytes_are_refused_early_and_in_flat_memory(handed: Handed, framing: str) -> None:
    before = peak_memory(handed)
    opened = handed.client.request("POST", "/v1/uploads", json={"size": MAX_UPLOAD, "sha256": "0" * 64})
    places = (
        ("POST", "/v1/conversations", b"[", 32 * MIB),
        ("POST", "/v1/search", b"[", 32 * MIB),
        ("PUT", f"/v1/uploads/{opened['id']}", WAV_HEAD, MAX_UPLOAD),
    )
    for method, path, first, cap in places:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers(handed).items())
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Type: application/json\r\n{framing}\r\n\r\n"
        status, sent = send_without_end(handed.stack.api, request, first, chunked="chunked" in framing)
        assert status == 413, path
        assert sent <= (cap if "chunked" in framing else 0) + 16 * MIB, path  # and what buffers on the way hold
    assert peak_memory(handed) - before < 160 * MIB


def headers(handed: Handed) -> dict[str, str]:
    return {"Authorization": f"Bearer {handed.stack.key().get_secret_value()}", "Parley-Tenant": handed.tenant_id}


def post(handed: Handed, raw: bytes) -> httpx.Response:
    kind = {"Content-Type": "application/json"}
    return httpx.post(
        f"{handed.stack.api}/v1/conversations", content=raw, headers={**headers(handed), **kind}, timeout=60
    )


def peak_memory(handed: Handed) -> int:
    """Bytes the API has ever had in memory."""
    pid = handed.stack.process("api").pid
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def send_without_end(url: str, head: str, first: bytes, *, chunked: bool) -> tuple[int, int]:
    """(status, body bytes sent until the answer came): `first`, then zeros without end."""
    zeros = bytes(65536)
    address, sent, end = urlsplit(url), 0, time.monotonic() + 120
    left = _framed(first, chunked)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode())
        connection.setblocking(False)
        while time.monotonic() < end:
            readable, writable, _ = select.select([connection], [connection], [], 1)
            if not readable and not writable:
                continue
            if not readable:
                with suppress(ConnectionError):  # it has answered and hung up: the answer is there to be read
                    count = connection.send(left)
                    left, sent = left[count:] or _framed(zeros, chunked), sent + count
                    continue
            return int(connection.recv(4096).split(b" ")[1]), sent
    raise AssertionError(f"no answer after {sent} bytes")


def _framed(data: bytes, chunked: bool) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if chunked else data


# -- the same again, and changed


def test_a_duplicate_is_the_same_and_a_changed_one_the_next_revision(handed: Handed) -> None:
    first = handed.client.start(chat("twice", COMPLAINT, "I am sorry to hear that."), wait=60)
    again = handed.client.start(chat("twice", COMPLAINT, "I am sorry to hear that."))
    assert (again.id, again.outcome, again.revision) == (first.id, "unchanged", 1)
    changed = handed.client.start(chat("twice", COMPLAINT, "I am sorry to hear that.", "Thank you, it came today."))
    assert (changed.id, changed.outcome, changed.revision) == (first.id, "revised", 2)
    until(lambda: handed.client.conversation(first.id).status in ENDED, PATIENCE, handed.stack.told)
    end = handed.client.conversation(first.id)
    assert (end.status, end.revision) == (Status.COMPLETED, 2)
    assert len(handed.client.words(first.id).turns) == 3
    query = "select count(*), count(distinct field_key), min(revision), max(revision) from field_value "
    current = handed.stack.rows(query + "where conversation_id = %s and superseded_at is null", first.id)
    assert current == [(7, 7, 2, 2)]
    assert handed.stack.rows("select count(*) from conversation where id = %s", first.id) == [(1,)]


def test_nothing_of_all_this_stopped_a_process(handed: Handed) -> None:
    """Last: what came before has been through the same processes."""
    assert handed.stack.pids() == handed.pids
    assert {process.restarts for process in handed.stack.record.processes} == {0}
    for process in handed.stack.record.processes:
        assert process.pid is not None
        assert psutil.pid_exists(process.pid)
    letters = list(handed.client.dead_letters(all_of_them=True))
    assert letters == []
