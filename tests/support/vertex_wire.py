"""Vertex AI and the Gemini API as google-genai meets them on the wire, with the token endpoint of a service account."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.wire_server import Received, Reply, as_json

ERROR_DOMAIN = "type.googleapis.com/google.rpc"
TOKEN = "token-of-the-account"


def answer(
    text: str, *, finish: str = "STOP", prompt: int = 100, candidates: int = 20, thoughts: int = 0, cached: int = 0
) -> Reply:
    """With a thought before the answer when thoughts are counted."""
    parts: list[dict[str, Any]] = [{"text": "Hm.", "thought": True}] if thoughts else []
    return as_json(
        {
            "candidates": [{"content": {"parts": [*parts, {"text": text}], "role": "model"}, "finishReason": finish}],
            "usageMetadata": {
                "promptTokenCount": prompt,
                "candidatesTokenCount": candidates,
                "thoughtsTokenCount": thoughts,
                "totalTokenCount": prompt + candidates + thoughts,
                "cachedContentTokenCount": cached,
            },
            "modelVersion": "gemini-thinker-001",
        }
    )


def withheld(finish: str) -> Reply:
    return as_json({"candidates": [{"finishReason": finish}], "usageMetadata": {"promptTokenCount": 100}})


def prompt_blocked() -> Reply:
    return as_json({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 100}})


def no_candidates() -> Reply:
    return as_json({"usageMetadata": {"promptTokenCount": 100}})


def error(status: int, name: str, *details: dict[str, Any], **headers: str) -> Reply:
    """The API's error document. Its message repeats the request, as the real one sometimes does."""
    told = {"code": status, "message": "about SECRET-WORDS", "status": name, "details": list(details)}
    return as_json({"error": told}, status, **headers)


def rate_limited(delay: str | None = "37s") -> Reply:
    retry = [{"@type": f"{ERROR_DOMAIN}.RetryInfo", "retryDelay": delay}] if delay else []
    return error(429, "RESOURCE_EXHAUSTED", *retry)


def daily_quota() -> Reply:
    quota = {
        "@type": f"{ERROR_DOMAIN}.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
    }
    return error(429, "RESOURCE_EXHAUSTED", quota)


def with_tokens(inner: Any) -> Any:
    """A `respond` that also gives out tokens at /token."""

    def respond(received: Received) -> Reply:
        if received.path == "/token":
            return as_json({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        reply: Reply = inner(received)
        return reply

    return respond


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def service_account(url: str) -> str:
    """A service account's JSON whose tokens come from this server."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "project-1",
            "client_email": "parley@project-1.iam.gserviceaccount.com",
            "private_key_id": "1",
            "private_key": _private_key(),
            "token_uri": f"{url}/token",
        }
    )
