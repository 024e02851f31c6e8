"""`post_to_searchable_p95_s`: from sending a POST until a search finds the conversation.

The real API, workers, redactor and offline engine on the search index every installation has (Postgres full text).
Chats come at a steady pace; one search for a word that all of them hold is repeated ten times a second, and a
conversation counts as searchable when that search lists it. What the pace of looking adds is part of the figure.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from statistics import median, quantiles
from typing import Any

import httpx

from bench import conversations
from bench.conversations import VARIED
from bench.ground import BenchError, Ground, http_client, post
from bench.measure import Measurement
from domain.ids import new_id

ROLES = ("conversations", "language-models")
WORD = "marmalade"
"""In none of the demo's chats, and nothing a redactor would take for personal data."""

_BETWEEN_SEARCHES = 0.1
_MOST_HITS = 200


@dataclass(frozen=True)
class Sizes:
    """Chats, chats a second, those sent before that warm the engines, and how long to wait for the last."""

    conversations: int = 30
    per_second: float = 2.0
    warm: int = 4
    bound_seconds: float = 90.0


@dataclass
class Watch:
    """When each conversation was sent, and when a search first listed it: monotonic seconds by id."""

    sent: dict[str, float] = field(default_factory=dict)
    found: dict[str, float] = field(default_factory=dict)

    def latencies(self) -> list[float]:
        return sorted(self.found[id] - at for id, at in self.sent.items() if id in self.found)


async def measure(ground: Ground, sizes: Sizes | None = None) -> list[Measurement]:
    """The figure. Raises BenchError when a POST is refused or a conversation is not found in time."""
    sizes = sizes or Sizes()
    tenant = await ground.tenant("freshness")
    key = await ground.api_key(tenant.id, "ingest", "read")
    async with AsyncExitStack() as stack:
        for role in ROLES:
            await stack.enter_async_context(ground.worker("workers", role))
        _, url = await stack.enter_async_context(ground.server("api"))
        client = await stack.enter_async_context(http_client(url, key))
        await _watched(client, sizes.warm, sizes)
        watch = await _watched(client, sizes.conversations, sizes)
    return [p95(watch.latencies(), sizes)]


def p95(latencies: Sequence[float], sizes: Sizes) -> Measurement:
    """The figure of so many latencies in seconds."""
    return Measurement(
        "post_to_searchable_p95_s",
        quantiles(latencies, n=20, method="inclusive")[-1],
        "s",
        note=f"median {median(latencies):.2f} s, {len(latencies)} chats, {sizes.per_second:g} a second",
        detail={"seconds": [round(s, 3) for s in sorted(latencies)]},
    )


async def _watched(client: httpx.AsyncClient, count: int, sizes: Sizes) -> Watch:
    watch = Watch()
    try:
        async with asyncio.timeout(sizes.bound_seconds + count / sizes.per_second), asyncio.TaskGroup() as group:
            group.create_task(_search(client, watch, count))
            for name in islice(cycle(VARIED), count):
                group.create_task(_send(client, name, watch))
                await asyncio.sleep(1 / sizes.per_second)
    except TimeoutError:
        missing = len(watch.sent.keys() - watch.found.keys())
        raise BenchError(f"{missing} of {count} conversations are not found by search") from None
    return watch


async def _send(client: httpx.AsyncClient, name: str, watch: Watch) -> None:
    began = time.monotonic()
    answer = await post(client, "/v1/conversations", marked(name))
    watch.sent[answer["id"]] = began


def marked(name: str) -> dict[str, Any]:
    """A chat of the demo whose last message holds the word."""
    body = conversations.body(name, new_id())
    *before, last = body["messages"]
    return {**body, "messages": [*before, {**last, "text": f"{last['text']} {WORD}"}]}


async def _search(client: httpx.AsyncClient, watch: Watch, count: int) -> None:
    """Until as many are sent and all of them found."""
    while len(watch.sent) < count or watch.sent.keys() - watch.found.keys():
        answer = await post(client, "/v1/search", {"query": WORD, "limit": _MOST_HITS, "highlight": False})
        now = time.monotonic()
        for hit in answer["items"]:
            watch.found.setdefault(hit["conversation"]["id"], now)
        await asyncio.sleep(_BETWEEN_SEARCHES)
