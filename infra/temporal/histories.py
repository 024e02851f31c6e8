"""Recorded histories: taken from a server, scrubbed of whose they are, sealed with a key that is no secret.

A history decides what a run's code may be changed to, so those of real runs are kept as files and replayed. Replay
looks at the order and kind of the steps; it does not look at whose ids pass through, so these are replaced.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.common.v1 import Header, Payload, SearchAttributes
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import NotFound
from infra.temporal.codec import KeyRing, SealingCodec
from infra.temporal.rpc import bounded

RECORDING_KEYS = KeyRing(bytes(range(32)))
"""What recorded histories are sealed with. No secret: it keeps the form that histories have, and the replay reads them
as it reads any."""

SCRUBBED = "scrubbed"

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_TOLD = frozenset({"detail", "message", "stack_trace", "source", "ParleySource"})
"""Keys whose values are words, or names a tenant gave."""

FETCH_SECONDS = 60.0


async def fetch(client: Client, workflow_id: str, run_id: str | None = None) -> WorkflowHistory:
    """The run's history so far, as the server has it. Raises NotFound, Unavailable."""
    async with bounded("fetch a history", FETCH_SECONDS):
        try:
            return await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise NotFound("there is no such run, or its history is gone") from None
            raise


def scrubbed(history: WorkflowHistory, keys: KeyRing) -> WorkflowHistory:
    """The same steps, of nobody: other ids (the same for the same), no words, no names of machines, no headers.

    Raises PayloadUnreadable: a payload was sealed with a key that is not among `keys`.
    """
    scrub = _Scrub(keys)
    events = [HistoryEvent.FromString(event.SerializeToString()) for event in history.events]
    for event in events:
        event.ClearField("user_metadata")
        event.ClearField("links")
        scrub.message(event)
    return WorkflowHistory(scrub.text(history.workflow_id), events)


class _Scrub:
    """Goes through a message and all that is in it."""

    def __init__(self, keys: KeyRing) -> None:
        self._given = SealingCodec(keys)
        self._ours = SealingCodec(RECORDING_KEYS)
        self._salt = secrets.token_bytes(16)

    def message(self, message: Message) -> None:
        if isinstance(message, Payload):
            self._payload(message)
            return
        if isinstance(message, Header):
            message.ClearField("fields")
            return
        if isinstance(message, SearchAttributes):
            for name, value in message.indexed_fields.items():
                self._payload(value, name)
            return
        if isinstance(message, Failure) and not message.HasField("encoded_attributes"):
            message.message, message.stack_trace = SCRUBBED, ""
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                for inner in _messages(value):
                    self.message(inner)
            elif isinstance(value, str):
                setattr(message, field.name, SCRUBBED if field.name == "identity" else self.text(value))

    def text(self, text: str) -> str:
        """Every id in it replaced."""
        return _ID.sub(lambda found: self._other(found[0]), text)

    def _other(self, known: str) -> str:
        digits = hashlib.sha256(self._salt + known.encode()).hexdigest()
        if "-" not in known:
            return digits[:32]
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))

    def _payload(self, payload: Payload, name: str = "") -> None:
        opened = self._given.open_all([payload])[0]
        sealed = opened is not payload
        plain = Payload.FromString(opened.SerializeToString())
        if plain.metadata.get("encoding", b"").startswith(b"json/"):
            plain.data = json.dumps(self._json(json.loads(plain.data), name)).encode()
        payload.CopyFrom(self._ours.seal(plain) if sealed else plain)

    def _json(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return {key: self._json(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._json(inner, name) for inner in value]
        if isinstance(value, str):
            return SCRUBBED if name in _TOLD and value else self.text(value)
        return value


def _messages(value: Any) -> Iterable[Message]:
    """The messages of a field: one, several, or the values of a map."""
    if isinstance(value, Message):
        return (value,)
    found = value.values() if hasattr(value, "values") else value
    return [inner for inner in found if isinstance(inner, Message)]
