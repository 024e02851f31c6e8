"""Anthropic's messages as they stand on the wire."""

from __future__ import annotations

import json
from typing import Any

from tests.support.wire_server import Reply, as_json


def message(*content: dict[str, Any], stop: str = "end_turn", **counts: int) -> Reply:
    usage = {"input_tokens": 100, "output_tokens": 20, **counts}
    return as_json(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-test-1",
            "content": list(content),
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": usage,
        }
    )


def handed_in(answer: str, *, stop: str = "tool_use", **counts: int) -> Reply:
    """The answer as the tool's input."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": json.loads(answer)}
    return message(block, stop=stop, **counts)


def text(words: str, **more: Any) -> Reply:
    return message({"type": "text", "text": words}, **more)


def another_shape() -> Reply:
    return as_json({"type": "message", "content": "not a list"})


def error(status: int, kind: str, code: str | None = None, **headers: str) -> Reply:
    """The API's error document. Its message repeats the request, as the real one sometimes does."""
    told = {"type": kind, "message": "about SECRET-WORDS", "details": {"error_code": code} if code else None}
    return as_json({"type": "error", "error": told, "request_id": "req_1"}, status, **headers)
