"""A provider that enforces its limits: OpenAI's wire format, 500 requests and 90,000 tokens in any sixty seconds.

The window slides, so no boundary can be used twice. A request is refused when one more would be too many, or when its
prompt does not fit into what is left of the tokens; what it answers counts when it has answered. `GET /stats` tells
what was let through, when, and what was refused: the figures of the bench are taken here.

    PARLEY_API_PORT=8099 python -m bench.limited_provider
"""

import asyncio
import json
import os
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import uvicorn

REQUESTS, TOKENS, WINDOW_SECONDS = 500, 90_000, 60.0
SECONDS = (0.3, 1.2)
"""How long an answer takes, at least and at most."""

ANSWER_TOKENS = (20, 60)


@dataclass
class Limits:
    """What the last sixty seconds held. Times in seconds of one clock."""

    requests: int = REQUESTS
    tokens: int = TOKENS
    window: float = WINDOW_SECONDS
    admitted: list[tuple[float, int]] = field(default_factory=list)
    spent: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0
    _recent: deque[tuple[float, int, int]] = field(default_factory=deque)
    _in_window: list[int] = field(default_factory=lambda: [0, 0])

    def admit(self, now: float, prompt: int) -> float | None:
        """None when the request may go, else the seconds until it may be tried again."""
        self._forget(now)
        if self._in_window[0] + 1 > self.requests or self._in_window[1] + prompt > self.tokens:
            self.refused += 1
            return self._recent[0][0] + self.window - now if self._recent else 1.0
        self._note(now, 1, prompt)
        self.admitted.append((now, prompt))
        self.spent.append((now, prompt))
        return None

    def answered(self, now: float, tokens: int) -> None:
        self._forget(now)
        self._note(now, 0, tokens)
        self.spent.append((now, tokens))

    def _note(self, now: float, requests: int, tokens: int) -> None:
        self._recent.append((now, requests, tokens))
        self._in_window[0] += requests
        self._in_window[1] += tokens

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] <= now - self.window:
            _, requests, tokens = self._recent.popleft()
            self._in_window[0] -= requests
            self._in_window[1] -= tokens


class Provider:
    """An ASGI application."""

    def __init__(self) -> None:
        self.limits = Limits()
        self._chance = random.Random(1)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"] == "/stats":
            limits = self.limits
            told = {"now": time.monotonic(), "admitted": limits.admitted, "spent": limits.spent}
            await _answer(send, 200, {**told, "refused": limits.refused})
        elif scope["path"].endswith("/chat/completions"):
            await self._complete(send, json.loads(body))
        else:
            await _answer(send, 200, {})

    async def _complete(self, send: Any, asked: dict[str, Any]) -> None:
        prompt = prompt_tokens(asked)
        wait = self.limits.admit(time.monotonic(), prompt)
        if wait is not None:
            error = {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
            await _answer(send, 429, {"error": error}, ((b"retry-after", f"{max(wait, 0.1):.1f}".encode()),))
            return
        await asyncio.sleep(self._chance.uniform(*SECONDS))
        tokens = self._chance.randint(*ANSWER_TOKENS)
        self.limits.answered(time.monotonic(), tokens)
        message = {"role": "assistant", "content": "{}"}
        await _answer(
            send,
            200,
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": asked["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens},
            },
        )


def prompt_tokens(asked: dict[str, Any]) -> int:
    """As this provider counts: a token is 4.6 characters of the messages. Nobody who asks knows that."""
    return round(sum(len(message["content"]) for message in asked["messages"]) / 4.6)


async def _answer(send: Any, status: int, body: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    data = json.dumps(body).encode()
    told = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": data})


if __name__ == "__main__":
    uvicorn.run(
        Provider(), host="127.0.0.1", port=int(os.environ["PARLEY_API_PORT"]), log_level="warning", access_log=False
    )
