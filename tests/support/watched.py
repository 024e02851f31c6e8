"""A running stack that is watched from outside: its spans come to a collector of ours, its metrics are read as a
Prometheus reads them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from api.schemas.conversations import ConversationOut
from cli.client import ParleyClient
from domain.conversation import Status
from domain.traces import trace_id
from services.starter_library import HOSTED_ENGINES
from storage.postgres.provisioning import Provisioning
from tests.support.gemini_server import GeminiServer, Received, Reply, gemini_server
from tests.support.otlp import Collector, ReceivedSpan, collector
from tests.support.running_stack import RunningStack, provision, running_stack, until
from tests.support.stack import ROOT

PATIENCE = 120.0
ENDED = {Status.COMPLETED, Status.COMPLETED_WITH_GAPS, Status.PARKED, Status.FAILED}


@dataclass
class Watched:
    """A stack whose spans come to us, and what was handed in to it."""

    stack: RunningStack
    collector: Collector
    model: GeminiServer
    tenant_id: str
    client: ParleyClient
    ids: dict[str, str] = field(default_factory=dict)

    def hand_in(self, name: str, body: dict[str, Any], client: ParleyClient | None = None) -> str:
        self.ids[name] = (client or self.client).start(body).id
        return self.ids[name]

    def ended(self, name: str, client: ParleyClient | None = None) -> ConversationOut:
        """The conversation at its end, whatever the end."""
        asked, seen = client or self.client, []

        def at_its_end() -> bool:
            seen.append(asked.conversation(self.ids[name]))
            return seen[-1].status in ENDED

        until(at_its_end, PATIENCE, self.stack.told)
        return seen[-1]

    def trace(self, conversation_id: str, complete: set[str]) -> list[ReceivedSpan]:
        """The conversation's spans, once they are all there and the run has ended; indexing comes after the last
        stage."""

        def there() -> bool:
            spans = self.collector.traces().get(trace_id(conversation_id), [])
            last = max((span.end for span in spans if span.name in ("persist", "conclude")), default=0)
            indexed = any(span.name == "index" and span.end > last for span in spans)
            whole = {span.parent_id for span in spans} <= {"", *(span.span_id for span in spans)}
            return complete <= {span.name for span in spans} and indexed and whole

        until(there, PATIENCE, lambda: str(self.collector.traces().get(trace_id(conversation_id))))
        return self.collector.traces()[trace_id(conversation_id)]

    def pages(self) -> dict[str, str]:
        """Every process's metrics, as a Prometheus would see them."""
        return {
            name.removeprefix("metrics_"): httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
            for name, port in self.stack.record.ports.items()
            if name.startswith("metrics_")
        }


@contextmanager
def watched_stack() -> Iterator[Watched]:
    """`parley up` as talkative as it can be, with everything watched; its engine `gemini` is a server of ours."""
    with (
        collector() as spans,
        gemini_server() as model,
        running_stack(
            "telemetry",
            OTEL_EXPORTER_OTLP_ENDPOINT=spans.endpoint,
            OTEL_BSP_SCHEDULE_DELAY="100",
            PARLEY_TRACE_SQL="true",
            PARLEY_LOG_LEVEL="debug",
            GEMINI_API_KEY="key-of-the-test",
        ) as stack,
    ):
        gemini = next(engine for engine in HOSTED_ENGINES if engine.name == "gemini")

        async def point_to_it(provisioning: Provisioning) -> None:
            async with provisioning.configuration() as configuration:
                await configuration.put_engine(gemini.model_copy(update={"endpoint": model.url}))

        provision(stack, point_to_it)
        tenant_id = stack.new_tenant("watched")
        with stack.client(tenant_id) as client:
            yield Watched(stack, spans, model, tenant_id, client)


def chat(external_id: str, *said: str, **more: Any) -> dict[str, Any]:
    authors = ("c", "a")
    texts = said or ("My kettle arrived broken and I want a refund.", "I have arranged it.", "Thank you, great help.")
    return {
        "source": "telemetry",
        "external_id": external_id,
        "channel": "chat",
        "language": "en",
        "participants": [{"id": "c", "role": "customer"}, {"id": "a", "role": "agent"}],
        "messages": [
            {"author": authors[number % 2], "at": f"2026-11-02T09:{30 + number}:00Z", "text": text}
            for number, text in enumerate(texts)
        ],
        **more,
    }


def demo_call(client: ParleyClient, external_id: str) -> dict[str, Any]:
    recording = ROOT / "cli/demo_data/audio/call-0007.ogg"
    return {
        "source": "telemetry-calls",
        "external_id": external_id,
        "channel": "call",
        "language": "en",
        "participants": [{"id": "c", "role": "customer"}, {"id": "a", "role": "agent"}],
        "audio": [{"id": client.upload(recording), "channels": ["agent", "customer"]}],
    }


class Echo:
    """A model that repeats all it was given: is not there at first, then refuses, or answers something unreadable."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self, received: Received) -> Reply:
        self._asked += 1
        words = json.dumps(received.body)
        if self._asked <= 2:
            return Reply(status=503, body=words.encode())
        if self._asked % 2:
            return Reply(status=200, body=words.encode(), content_type="text/html")
        body = {"error": {"code": 400, "message": f"cannot read {words}", "status": "INVALID_ARGUMENT"}}
        return Reply(status=400, body=json.dumps(body).encode())
