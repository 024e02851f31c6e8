"""The official client, made safe to use from many tasks: one per thread, every call with a time limit, every task
looked at, every failure one of ours.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from meilisearch import Client
from meilisearch.errors import MeilisearchApiError, MeilisearchError, MeilisearchTimeoutError
from meilisearch.models.task import TaskInfo

from domain.errors import ParleyError, Unavailable

T = TypeVar("T")

_AWAY_STATUS = frozenset({401, 403, 408, 425, 429})


class SearchDefect(ParleyError):
    """The search engine refused what we asked: nothing a caller could mend. Names the engine's code only."""

    code = "search_defect"
    title = "The search engine refused a request"


class WriteRefused(ParleyError):
    """The engine will not carry this write out as it is. `reason` is the engine's code."""

    code = "search_write_refused"
    title = "The search engine refused a write"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the search engine refused a write ({reason})")
        self.reason = reason


class NoIndex(Unavailable):
    """The index has not been created yet."""


class MeilisearchClients:
    """A client shares one header table between its calls and is not safe across threads: each thread has its own.

    timeout_seconds: of one HTTP exchange. write_seconds: until a write that was accepted must have been carried out.
    """

    def __init__(self, url: str, key: str | None, *, timeout_seconds: float, write_seconds: float) -> None:
        self._url = url
        self._key = key or None
        self._timeout = timeout_seconds
        self._write_seconds = write_seconds
        self._local = threading.local()

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            # The client hands the number to `requests`, which takes fractions too.
            client = self._local.client = Client(self._url, self._key, timeout=self._timeout)  # type: ignore[arg-type]
        return client

    async def call(self, ask: Callable[[Client], T]) -> T:
        """Asks in a thread. Raises Unavailable, NoIndex, WriteRefused (a body that will not do), SearchDefect."""
        return await asyncio.to_thread(self._guarded, ask)

    async def write(self, *asks: Callable[[Client], TaskInfo]) -> None:
        """Hands the writes in, in order, then waits until each has been carried out. Raises as `call`.

        A write whose fate is unknown after `write_seconds` is Unavailable: it may still happen, before any later one.
        """
        await asyncio.to_thread(self._guarded, lambda client: self._write(client, asks))

    def _write(self, client: Client, asks: tuple[Callable[[Client], TaskInfo], ...]) -> None:
        tasks = [ask(client).task_uid for ask in asks]
        refused: str | None = None
        for uid in tasks:
            # Answers failed tasks without raising.
            task = client.wait_for_task(uid, timeout_in_ms=int(self._write_seconds * 1000), interval_in_ms=25)
            if task.status == "succeeded":
                continue
            error = task.error or {}
            code = str(error.get("code") or task.status)
            if code == "index_not_found":
                raise NoIndex("the search index is not there yet")
            if error.get("type") not in ("invalid_request", "internal"):  # full disk, cancelled by an operator, …
                raise Unavailable(f"the search engine could not carry out a write ({code})")
            refused = refused or code  # `internal` too is what a single bad document was seen to cause
        if refused is not None:
            raise WriteRefused(refused)

    def _guarded(self, ask: Callable[[Client], T]) -> T:
        try:
            return ask(self._client())
        except ParleyError:
            raise
        except MeilisearchApiError as error:
            raise _translated(error) from None
        except MeilisearchTimeoutError:
            raise Unavailable("the search engine did not answer in time") from None
        except (MeilisearchError, OSError):  # what `requests` raises is an OSError
            raise Unavailable("the search engine does not answer") from None
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # JSON cut off, an HTML page of a proxy, an answer of another shape
            raise Unavailable(f"the search engine's answer is not readable ({type(error).__name__})") from None


def _translated(error: MeilisearchApiError) -> ParleyError:
    """By status and code: the messages carry misleading hints, and parts of what was asked."""
    code: Any = error.code or f"HTTP {error.status_code}"
    if error.status_code == 404 and code == "index_not_found":
        return NoIndex("the search index is not there yet")
    if error.status_code >= 500 or error.status_code in _AWAY_STATUS:
        return Unavailable(f"the search engine is not available ({code})")
    if error.status_code == 413 or str(code).startswith(("malformed_payload", "payload_too_large", "bad_request")):
        return WriteRefused(str(code))
    return SearchDefect(f"the search engine refused a request ({code})")
