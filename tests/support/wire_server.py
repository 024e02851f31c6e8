"""A local server that answers as a provider would and fails when it is told to. Every request is counted and kept:
prompts, keys and prefixes are judged at the provider's side of the wire."""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """One answer. cut: send only this many bytes and drop the connection. hang: never answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: bool = False


@dataclass(frozen=True)
class Received:
    """One request. header names are lower-case."""

    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found


HANG = Reply(hang=True)


def as_json(body: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=json.dumps(body).encode(), headers=named)


def html(status: int = 200) -> Reply:
    page = b"<!doctype html><h1>Sign in to the hotel's network: SECRET-WORDS</h1>"
    return Reply(status=status, body=page, content_type="text/html")


def half(reply: Reply) -> Reply:
    return Reply(body=reply.body[: len(reply.body) // 2])


def dropped(reply: Reply) -> Reply:
    return Reply(body=reply.body, cut=20)


@dataclass
class WireServer:
    """`script` holds the next replies; when it is empty, `respond` makes one from the request."""

    respond: Callable[[Received], Reply]
    url: str = ""
    script: deque[Reply] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def count(self) -> int:
        return len(self.received)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that are killed in the middle of a request are part of the tests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def wire_server(respond: Callable[[Received], Reply]) -> Iterator[WireServer]:
    """The server on a free port of this machine; requests that hang are let go when it ends."""
    state = WireServer(respond)
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


def _handler(state: WireServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            address = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(address.path, parse_qs(address.query), headers, raw)
            state.received.append(received)
            reply = state.script.popleft() if state.script else state.respond(received)
            if reply.hang:
                state.released.wait(30)
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
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
