"""The trace of a conversation. Its ids follow from the conversation's id, so that whoever works on it joins the trace
without being told: the API, the run, the reconciler that starts it later, the indexer.

Hashed, because samplers decide on the low bits of a trace id, and those of a UUID are not all random.
"""

import hashlib


def trace_id(conversation_id: str) -> str:
    """32 hex digits, as in `traceparent`."""
    return _digest("trace", conversation_id)[:32]


def root_span_id(conversation_id: str) -> str:
    """16 hex digits: the span that every other one of the trace has above it, the acceptance."""
    return _digest("root span", conversation_id)[:16]


def _digest(what: str, conversation_id: str) -> str:
    return hashlib.sha256(f"parley {what}\x1f{conversation_id}".encode()).hexdigest()
