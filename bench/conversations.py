"""The conversations the bench hands in: chats of the demo, each time under another external id."""

import json
from typing import Any

from cli.demo.corpus import FOLDER
from domain.intake import ConversationIn

PLAIN = "chat-0001"
"""Fifteen messages, 237 words: every starter task runs on it."""

VARIED = ("chat-0001", "chat-0002", "chat-0003", "chat-0004", "chat-0006", "chat-0007", "chat-0008")
"""Every chat of the demo but the one that is too short to analyse; 13 to 35 messages, one of them in German."""


def body(name: str, external_id: str) -> dict[str, Any]:
    """A body of `POST /v1/conversations`."""
    found: dict[str, Any] = json.loads((FOLDER / "conversations" / f"{name}.json").read_text(encoding="utf-8"))
    return {**found, "external_id": external_id, "source": "bench"}


def intake(name: str, external_id: str) -> ConversationIn:
    """The same, as services take it."""
    return ConversationIn.model_validate(body(name, external_id))
