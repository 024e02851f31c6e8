"""A server that speaks just enough of Meilisearch's HTTP to misbehave on purpose.

It is not the contract: what the engine does is tested against the engine (`tests/contract/test_search.py`). This is
for what a healthy engine cannot be made to do: stall, cut answers off, fail tasks for reasons of its own.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from storage.search.meilisearch_documents import settings


@dataclass
class Answer:
    """status and body; `cut` promises more bytes than come; `stall` waits that long first."""

    status: int = 200
    body: Any = None
    raw: bytes | None = None
    cut: bool = False
    stall: float = 0.0


@dataclass
class Double:
    """`on` maps "METHOD last-part-of-path" to what is answered instead; `fails` decides a write's fate: an error or
    None. Everything asked is in `requests`."""

    url: str = ""
    on: dict[str, Answer] = field(default_factory=dict)
    fails: Callable[[list[dict[str, Any]]], dict[str, str] | None] = lambda documents: None
    stuck: bool = False
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, kind: str, documents: list[dict[str, Any]]) -> dict[str, Any]:
        with self.lock:
            error = self.fails(documents)
            status = "processing" if self.stuck else "failed" if error else "succeeded"
            if status == "succeeded":
                self.stored.update({d["key"]: d for d in documents})
            task = {
                "uid": len(self.tasks),
                "indexUid": "x",
                "status": status,
                "type": kind,
                "error": error,
                "enqueuedAt": "2026-11-01T00:00:00.123456789Z",
            }
            self.tasks.append(task)
        return {"taskUid": task["uid"], **{k: task[k] for k in ("indexUid", "status", "type", "enqueuedAt")}}

    def answer(self, method: str, path: str, body: Any) -> Answer:
        parts = path.partition("?")[0].strip("/").split("/")
        if (wanted := self.on.get(f"{method} {parts[-1]}")) is not None:
            return wanted
        match method, parts:
            case "GET", ["tasks", uid]:
                return Answer(body=self.tasks[int(uid)])
            case "GET", ["tasks"]:
                return Answer(body={"results": [], "total": 0, "limit": 1, "from": None, "next": None})
            case "GET", ["indexes", uid]:
                return Answer(body={"uid": uid, "primaryKey": "key"})
            case "GET", ["indexes", _, "settings"]:
                return Answer(body=settings())
            case "GET", ["indexes", _, "stats"]:
                return Answer(
                    body={"numberOfDocuments": len(self.stored), "isIndexing": False, "fieldDistribution": {}}
                )
            case "POST", ["indexes", _, "search"]:
                return Answer(body={"hits": [], "totalHits": 0, "page": 1, "hitsPerPage": 21, "totalPages": 0})
            case "POST", ["indexes", _, "documents"]:
                return Answer(202, self.write("documentAdditionOrUpdate", body))
            case _:
                return Answer(202, self.write("other", []))


@contextmanager
def running_double() -> Iterator[Double]:
    double = Double()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def do_PATCH(self) -> None:
            self._serve("PATCH")

        def do_DELETE(self) -> None:
            self._serve("DELETE")

        def _serve(self, method: str) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with double.lock:
                double.requests.append((method, self.path, dict(self.headers)))
            found = double.answer(method, self.path, json.loads(data) if data else None)
            if found.stall:
                time.sleep(found.stall)
            raw = found.raw if found.raw is not None else json.dumps(found.body).encode()
            with suppress(ConnectionError):  # the other side did not wait
                self.send_response(found.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw) + (1000 if found.cut else 0)))
                self.end_headers()
                self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    serving.start()
    double.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        serving.join(5)
