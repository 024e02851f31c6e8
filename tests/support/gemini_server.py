"""A local server that speaks Gemini's wire format (v1beta generateContent) and fails when it is told to.

Every request is counted and kept: prompts, keys and prefixes are judged at the provider's side of the wire.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ERROR_DOMAIN = "type.googleapis.com/google.rpc"


@dataclass(frozen=True)
class Reply:
    """One scripted answer. cut: send only this many bytes and drop the connection. hang: never answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=UTF-8"
    cut: int | None = None
    hang: bool = False


@dataclass(frozen=True)
class Received:
    path: str
    api_key: str | None
    body: dict[str, Any]

    @property
    def system(self) -> str:
        return "".join(part["text"] for part in self.body.get("systemInstruction", {}).get("parts", ()))

    @property
    def parts(self) -> list[str]:
        return [part["text"] for content in self.body["contents"] for part in content["parts"]]


def answer(
    text: str, *, finish: str = "STOP", prompt: int = 100, candidates: int = 20, total: int = 120, cached: int = 0
) -> Reply:
    """An ordinary answer. total above prompt + candidates is what a thinking model counts."""
    return _json(
        {
            "candidates": [
                {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish, "index": 0}
            ],
            "usageMetadata": {
                "promptTokenCount": prompt,
                "candidatesTokenCount": candidates,
                "totalTokenCount": total,
                "cachedContentTokenCount": cached,
            },
            "modelVersion": "gemini-test-001",
        }
    )


def withheld(finish: str) -> Reply:
    """A candidate without content: SAFETY, RECITATION, …"""
    return _json({"candidates": [{"finishReason": finish, "index": 0}], "usageMetadata": {"promptTokenCount": 100}})


def prompt_blocked() -> Reply:
    return _json({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 100}})


def no_candidates() -> Reply:
    return _json({"usageMetadata": {"promptTokenCount": 100, "totalTokenCount": 100}})


def error(status: int, name: str, *details: dict[str, Any]) -> Reply:
    """The API's error document. Its message repeats the request, as the real one sometimes does."""
    body = {"error": {"code": status, "message": "about SECRET-WORDS", "status": name, "details": list(details)}}
    return Reply(status=status, body=json.dumps(body).encode())


def rate_limited(delay: str | None = "37s") -> Reply:
    quota = {
        "@type": f"{ERROR_DOMAIN}.QuotaFailure",
        "violations": [{"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier"}],
    }
    retry = [{"@type": f"{ERROR_DOMAIN}.RetryInfo", "retryDelay": delay}] if delay else []
    return error(429, "RESOURCE_EXHAUSTED", quota, *retry)


def daily_quota() -> Reply:
    quota = {
        "@type": f"{ERROR_DOMAIN}.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "50"}],
    }
    return error(429, "RESOURCE_EXHAUSTED", quota, {"@type": f"{ERROR_DOMAIN}.RetryInfo", "retryDelay": "20s"})


def html(status: int = 200) -> Reply:
    return Reply(
        status=status, body=b"<!doctype html><h1>Sign in to the hotel's network</h1>", content_type="text/html"
    )


def half_json() -> Reply:
    whole = answer('{"csat": 4}').body
    return Reply(body=whole[: len(whole) // 2])


def dropped() -> Reply:
    return Reply(body=answer("{}").body, cut=20)


HANG = Reply(hang=True)


def _json(body: dict[str, Any]) -> Reply:
    return Reply(body=json.dumps(body).encode())


@dataclass
class GeminiServer:
    """`script` holds the next replies; when it is empty, `respond` makes one from the request."""

    url: str = ""
    script: deque[Reply] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    respond: Callable[[Received], Reply] = lambda _: answer("{}")
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def count(self) -> int:
        return len(self.received)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that are killed in the middle of a request are part of the tests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def gemini_server() -> Iterator[GeminiServer]:
    """The server on a free port of this machine; requests that hang are let go when it ends."""
    state = GeminiServer()
    server = _Server(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(state: GeminiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received = Received(self.path.split("?")[0], self.headers.get("x-goog-api-key"), body)
            state.received.append(received)
            reply = state.script.popleft() if state.script else state.respond(received)
            if reply.hang:
                state.released.wait(30)
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if reply.cut is not None:
                self.wfile.write(reply.body[: reply.cut])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    return Handler
