"""OpenAI's chat completions as they stand on the wire."""

from __future__ import annotations

from tests.support.wire_server import Reply, as_json


def answer(
    text: str | None,
    *,
    finish: str = "stop",
    refusal: str | None = None,
    prompt: int = 100,
    completion: int = 20,
    cached: int = 0,
    reasoning: int = 0,
) -> Reply:
    """completion holds the reasoning tokens, as the API counts them."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return as_json(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "test-model-2025",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens_details": {"reasoning_tokens": reasoning},
            },
        }
    )


def no_choices() -> Reply:
    return as_json({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []})


def another_shape() -> Reply:
    return as_json({"id": "x", "choices": [{"message": "not an object"}]})


def error(status: int, code: str | None, *, param: str | None = None, message: str = "", **headers: str) -> Reply:
    """The API's error document. Its message repeats the request, as the real one sometimes does."""
    told = {"message": f"{message} about SECRET-WORDS", "type": "invalid_request_error", "param": param, "code": code}
    return as_json({"error": told}, status, **headers)


def rate_limited(**headers: str) -> Reply:
    return error(429, "rate_limit_exceeded", **headers)


def form_refused(kind: str) -> Reply:
    return error(400, None, param="response_format", message=f"response_format of type {kind} is not supported")
