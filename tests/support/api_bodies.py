"""Bodies to hand in."""

from itertools import count
from typing import Any

_numbers = count(1)


def chat(**more: Any) -> dict[str, Any]:
    """A small chat of its own."""
    return {
        "source": "web-chat",
        "external_id": f"chat-{next(_numbers)}",
        "channel": "chat",
        "started_at": "2026-11-13T16:41:20+00:00",
        "participants": [
            {"id": "a1", "role": "agent", "name": "Tom Ashdown"},
            {"id": "c1", "role": "customer", "name": "Priya Nair", "address": "priya@example.com"},
        ],
        "metadata": {"plan": "gold", "order_value": 42.5, "first_contact": True},
        "messages": [
            {"id": "m1", "author": "c1", "at": "2026-11-13T16:41:20+00:00", "text": "My parcel has not come."},
            {"id": "m2", "author": "a1", "at": "2026-11-13T16:42:08+00:00", "text": "I will look into it, Priya."},
        ],
        **more,
    }


def call(*audio: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A call with this audio."""
    return {
        "source": "phone",
        "external_id": f"call-{next(_numbers)}",
        "channel": "call",
        "started_at": "2026-11-13T16:41:20+00:00",
        "participants": [{"id": "a1", "role": "agent"}, {"id": "c1", "role": "customer"}],
        **({"audio": list(audio)} if audio else {}),
        **more,
    }
