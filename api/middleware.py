"""Around every request: its id, security headers, one log line, and the answer to what nobody expected.

Plain ASGI: nothing here wraps or buffers bodies.
"""

import logging
import re
import time
import traceback
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import defect
from domain.ids import is_id, new_id
from domain.traces import trace_id
from infra.logs import telling
from infra.telemetry.metrics import observe_request
from infra.telemetry.setup import current_trace_id

_log = logging.getLogger(__name__)

_QUIET = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds by whoever watches the process: told only when something is wrong."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")

_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_DEFAULTS: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Unless the route says otherwise."""

_HSTS = (b"strict-transport-security", b"max-age=31536000")

_DRAIN_BYTES = 8 * 1024 * 1024
"""An unread rest of a body up to this size is let in and thrown away; beyond it the connection ends."""


class Around:
    """The one middleware. Puts `parley.request_id` and `parley.headers` (more response headers) into the scope."""

    def __init__(self, app: ASGIApp, *, hsts: bool = False) -> None:
        self._app = app
        self._always = (*_HEADERS, _HSTS) if hsts else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(self._app, self._always, scope, receive, send).run()


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, app: ASGIApp, always: tuple[tuple[bytes, bytes], ...], scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._app = app
        self._always = always
        self._scope = scope
        self._receive = receive
        self._send = send
        self._began = time.monotonic()
        self._status = 0
        self._body_complete = False
        self._request_id = _request_id(scope)
        scope["parley.request_id"] = self._request_id
        scope["parley.headers"] = []

    async def run(self) -> None:
        with telling(self._context, alone=True):  # a connection's next request may begin in the context of the last
            await self._run()

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._watch, self._answer)
        except Exception as error:
            _log.error("defect", extra={"fields": self._facts() | {"error": _name(error), "frames": _frames(error)}})
            if not self._status:
                await defect(self._scope)(self._scope, self._watch, self._answer)
        finally:
            self._tell()

    async def _watch(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._body_complete = True
        return message

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            present = {name.lower() for name, _ in headers}
            headers.append((b"x-request-id", self._request_id.encode()))
            headers += self._always
            headers += [header for header in _DEFAULTS if header[0] not in present]
            headers += self._scope["parley.headers"]
            if self._status >= 400 and self._leaves_much_unread():
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)

    def _leaves_much_unread(self) -> bool:
        if self._body_complete or self._scope["method"] in ("GET", "HEAD", "DELETE", "OPTIONS"):
            return False
        length = next((value for name, value in self._scope["headers"] if name == b"content-length"), None)
        if length is None:
            return any(name == b"transfer-encoding" for name, _ in self._scope["headers"])
        return not length.isdigit() or int(length) > _DRAIN_BYTES

    def _tell(self) -> None:
        seconds = time.monotonic() - self._began
        observe_request(self._scope["method"], self._route, self._status, seconds)
        if not _log.isEnabledFor(logging.INFO) or (self._status == 200 and self._scope["path"] in _QUIET):
            return
        _log.info("request", extra={"fields": self._facts() | {"status": self._status, "ms": round(seconds * 1000, 1)}})

    @property
    def _route(self) -> str | None:
        """The route's template: addresses hold ids, queries what people search for."""
        return getattr(self._scope.get("route"), "path", None)

    def _facts(self) -> dict[str, object]:
        """What may be told of a request, besides what every line inside it says."""
        return {"method": self._scope["method"], "route": self._route, "key": self._scope.get("parley.key")}

    def _context(self) -> dict[str, object]:
        """Beside every line that is logged while the request is answered. The trace is that of the conversation the
        request is about, if there is one: handed in or named in the address."""
        conversation = self._scope.get("parley.conversation") or self._scope.get("path_params", {}).get(
            "conversation_id"
        )
        known = conversation if isinstance(conversation, str) and is_id(conversation) else None
        return {
            "request_id": self._request_id,
            "tenant": self._scope.get("parley.tenant"),
            "conversation": known,
            "trace_id": trace_id(known) if known else current_trace_id(),
        }


def _request_id(scope: Scope) -> str:
    """The caller's own id when it is a decent one, else a fresh one."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return new_id()


def _name(error: BaseException) -> str:
    """A group's own name says nothing."""
    inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
    return type(inner).__name__


def _frames(error: BaseException) -> list[str]:
    """Where it happened, without the message: messages may repeat values."""
    found = traceback.extract_tb(error.__traceback__)[-12:]
    return [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in found]
