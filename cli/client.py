"""The HTTP API as the command line uses it: typed answers, and problems told in words."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

import httpx
from pydantic import BaseModel

from api.schemas.common import ListOut
from api.schemas.conversations import AcceptedOut, ConversationOut, ConversationRow, EnteredOut
from api.schemas.dead_letters import DeadLetterOut, RedrivenOut
from api.schemas.explain import ExplanationOut
from api.schemas.imports import ImportAcceptedOut, ImportListed, ImportOut, ImportRowOut
from api.schemas.search import SearchOut
from api.schemas.sources import EventOut, SourceListOut, SourceOut, SourceRedrivenOut, TriedOut
from api.schemas.uploads import UploadOpenOut, UploadOut
from api.schemas.values import FieldsOut
from api.schemas.words import WordsOut
from cli.connection import Connection, NotConnected
from domain.clock import utc_now
from domain.errors import ParleyError
from domain.ids import is_tenant_id

TIMEOUT = httpx.Timeout(120.0, connect=5.0)
RETRY_SECONDS = 5.0

Answer = TypeVar("Answer", bound=BaseModel)


class ApiProblem(ParleyError):
    """The API refused or failed. `problem` is its problem document, as it came; `retry_after` in seconds."""

    code = "api_problem"
    title = "The service refused"

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        lines = [str(problem.get("detail") or problem.get("title") or f"HTTP {status}")]
        lines += [f"  {e.get('field', '')}: {e.get('reason', '')}" for e in problem.get("errors") or ()]
        super().__init__("\n".join(lines))
        self.status = status
        self.problem = dict(problem)
        self.retry_after = retry_after


class ParleyClient:
    """One connection's worth of calls. Raises ApiProblem, NotConnected."""

    def __init__(self, connection: Connection) -> None:
        headers = {"Authorization": f"Bearer {connection.key.get_secret_value()}"}
        self._http = httpx.Client(base_url=connection.url, headers=headers, timeout=TIMEOUT)
        self.url = connection.url
        if connection.tenant:
            self._http.headers["Parley-Tenant"] = self.tenant_id(connection.tenant)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    # -- conversations

    def start(self, body: Mapping[str, Any], *, wait: float = 0, idempotency_key: str | None = None) -> AcceptedOut:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        params = {"wait": wait} if wait else {}
        return self._call(AcceptedOut, "POST", "/v1/conversations", json=body, headers=headers, params=params)

    def upload(self, file: Path) -> str:
        """The upload's id: opened with size and hash, then its bytes sent as they are read.

        The same file again within the hour is the same upload. Waits while the service asks for it.
        """
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = file.stat().st_size
        opened = self._opened(size, digest)
        if self._call(UploadOut, "GET", f"/v1/uploads/{opened.id}").state == "stored":
            return opened.id
        with _told(self.url), file.open("rb") as stream:
            response = self._http.put(opened.url, content=_chunks(stream), headers={"Content-Length": str(size)})
        _require_success(response)
        return opened.id

    def _opened(self, size: int, digest: str) -> UploadOpenOut:
        # The address that comes back with the upload is good for an hour.
        headers = {"Idempotency-Key": f"upload-{digest}-{size}-{utc_now():%Y%m%d%H}"}
        while True:
            try:
                return self._call(
                    UploadOpenOut, "POST", "/v1/uploads", json={"size": size, "sha256": digest}, headers=headers
                )
            except ApiProblem as problem:
                if problem.status != 429:
                    raise
                time.sleep(problem.retry_after or RETRY_SECONDS)

    # -- imports

    def hand_in_file(
        self, stream: BinaryIO, size: int, media_type: str, params: Mapping[str, Any]
    ) -> ImportAcceptedOut:
        headers = {"Content-Type": media_type, "Content-Length": str(size)}
        return self._call(
            ImportAcceptedOut, "POST", "/v1/imports", content=_chunks(stream), headers=headers, params=params
        )

    def imports(self, limit: int) -> Iterator[ImportListed]:
        """Up to `limit`, newest first."""
        yield from islice(self._pages(ListOut[ImportListed], "/v1/imports", {}), limit)

    def import_(self, import_id: str) -> ImportOut:
        return self._call(ImportOut, "GET", f"/v1/imports/{import_id}")

    def import_rows(self, import_id: str, state: str | None = None) -> Iterator[ImportRowOut]:
        """Every row of the report, page by page, in the file's order."""
        where: dict[str, str | int] = {"limit": 200, **({"state": state} if state else {})}
        yield from self._pages(ListOut[ImportRowOut], f"/v1/imports/{import_id}/rows", where)

    def change_import(self, import_id: str, verb: str) -> ImportOut:
        """verb: pause, resume or cancel."""
        return self._call(ImportOut, "POST", f"/v1/imports/{import_id}/{verb}")

    # -- conversations, read

    def conversation(self, conversation_id: str) -> ConversationOut:
        return self._call(ConversationOut, "GET", f"/v1/conversations/{conversation_id}")

    def conversations(self, **where: str | int) -> Iterator[ConversationRow]:
        """Every row, page by page, newest first."""
        yield from self._pages(ListOut[ConversationRow], "/v1/conversations", where)

    def words(self, conversation_id: str) -> WordsOut:
        channel = self.conversation(conversation_id).channel
        kind = "transcript" if channel == "call" else "thread"
        return self._call(WordsOut, "GET", f"/v1/conversations/{conversation_id}/{kind}")

    def fields(self, conversation_id: str) -> FieldsOut:
        return self._call(FieldsOut, "GET", f"/v1/conversations/{conversation_id}/fields")

    def explain(self, conversation_id: str) -> ExplanationOut:
        return self._call(ExplanationOut, "GET", f"/v1/conversations/{conversation_id}/explain")

    def rerun(self, conversation_id: str, tasks: list[str], from_stage: str) -> EnteredOut:
        body = {"tasks": tasks, "from_stage": from_stage}
        return self._call(EnteredOut, "POST", f"/v1/conversations/{conversation_id}/rerun", json=body)

    # -- search, dead letters, platform

    def search(self, body: Mapping[str, Any]) -> SearchOut:
        return self._call(SearchOut, "POST", "/v1/search", json=body)

    def dead_letters(self, *, all_of_them: bool = False, source: str | None = None) -> Iterator[DeadLetterOut]:
        where = {"all": str(all_of_them).lower(), **({"source": source} if source else {})}
        yield from self._pages(ListOut[DeadLetterOut], "/v1/dead-letters", where)

    def redrive(self, dead_letter_id: str) -> RedrivenOut:
        return self._call(RedrivenOut, "POST", f"/v1/dead-letters/{dead_letter_id}/redrive")

    def redrive_source(self, source: str) -> SourceRedrivenOut:
        return self._call(SourceRedrivenOut, "POST", f"/v1/sources/{source}/redrive")

    def dead_letter_body(self, dead_letter_id: str) -> bytes:
        with _told(self.url):
            response = self._http.get(f"/v1/dead-letters/{dead_letter_id}/body")
        _require_success(response)
        return response.content

    # -- sources

    def sources(self) -> list[SourceOut]:
        return self._call(SourceListOut, "GET", "/v1/sources").items

    def source(self, name: str) -> SourceOut:
        return self._call(SourceOut, "GET", f"/v1/sources/{name}")

    def create_source(self, body: Mapping[str, Any]) -> SourceOut:
        return self._call(SourceOut, "POST", "/v1/sources", json=body)

    def change_source(self, name: str, change: Mapping[str, Any]) -> SourceOut:
        return self._call(SourceOut, "PATCH", f"/v1/sources/{name}", json=change)

    def test_source(self, name: str, raw: bytes, media_type: str) -> TriedOut:
        headers = {"Content-Type": media_type}
        return self._call(TriedOut, "POST", f"/v1/sources/{name}/test", content=raw, headers=headers)

    def send_event(self, source: str, raw: bytes, media_type: str) -> EventOut:
        headers = {"Content-Type": media_type}
        return self._call(EventOut, "POST", f"/v1/sources/{source}/events", content=raw, headers=headers)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """The decoded JSON of any other call."""
        with _told(self.url):
            response = self._http.request(method, path, **options)
        _require_success(response)
        return response.json() if response.content else None

    def for_tenant(self, tenant_id: str) -> None:
        """From here on calls act on this tenant."""
        self._http.headers["Parley-Tenant"] = tenant_id

    # -- how it is done

    def _call(self, kind: type[Answer], method: str, path: str, **options: Any) -> Answer:
        return kind.model_validate(self.request(method, path, **options))

    def _pages(self, kind: type[ListOut[Answer]], path: str, where: Mapping[str, str | int]) -> Iterator[Answer]:
        cursor: str | None = None
        while True:
            params = {**where, **({"cursor": cursor} if cursor else {})}
            page = self._call(kind, "GET", path, params=params)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def acts_on(self) -> str:
        """The id of the tenant calls act on. Raises NotConnected when none is named."""
        named = self._http.headers.get("Parley-Tenant")
        if named is None:
            raise NotConnected("name the tenant with --tenant")
        return str(named)

    def tenant_id(self, named: str) -> str:
        """The id of a tenant given by slug or id. Raises NotConnected."""
        if is_tenant_id(named):
            return str(named)
        known = {tenant["slug"]: tenant["id"] for tenant in self.request("GET", "/v1/platform/tenants")["items"]}
        if named not in known:
            raise NotConnected(f"there is no tenant {named}; there are {', '.join(sorted(known)) or 'none'}")
        return str(known[named])


def idempotency_key(body: bytes) -> str:
    """The same body gets the same key, so that a repeated command never hands in twice."""
    return hashlib.sha256(body).hexdigest()


@contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException:
        raise NotConnected(f"{url} does not answer in time") from None
    except httpx.HTTPError as error:
        raise NotConnected(f"{url} does not answer: {type(error).__name__}") from None


def _require_success(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    after = response.headers.get("retry-after", "")
    wanted = float(after) if after.isdigit() else None
    raise ApiProblem(response.status_code, problem if isinstance(problem, dict) else {}, wanted)


def _chunks(stream: Any) -> Iterator[bytes]:
    while chunk := stream.read(1 << 20):
        yield chunk
