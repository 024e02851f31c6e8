"""Connections: with tracing, with a lazy client, with keys that were rotated."""

import asyncio

import pytest
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client
from temporalio.contrib.opentelemetry import _otel_interceptor, create_tracer_provider

from domain.contracts import Outcome
from domain.errors import Unavailable
from infra.embedded.process import free_port
from infra.temporal.client import Connection, connect
from infra.temporal.codec import KeyRing
from infra.temporal.failures import describe
from tests.support.stack import TemporalServer
from tests.support.workflows import TEST_KEYS, Script, World

NEWER = KeyRing(bytes(range(1, 33)), older=(TEST_KEYS.current,))


def connection(server: TemporalServer, **changes: object) -> Connection:
    return Connection(**{"address": server.address, "namespace": server.namespace, "keys": TEST_KEYS, **changes})  # type: ignore[arg-type]


async def test_tracing_and_sealing_go_together(
    world: World, temporal_server: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), create_tracer_provider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    monkeypatch.setattr(_otel_interceptor, "get_tracer_provider", lambda: provider)  # not the whole session's
    monkeypatch.setattr(_otel_interceptor, "get_tracer", provider.get_tracer)
    traced = World(await connect(connection(temporal_server, tracing=True)), world.script)
    with provider.get_tracer("test").start_as_current_span("POST") as post:
        handle = await traced.start()
    async with traced.workers():
        assert (await handle.result()).outcome is Outcome.COMPLETED
    history = await handle.fetch_history()
    raw = b"".join(event.SerializeToString() for event in history.events)
    assert b"conversation_id" not in raw
    assert f"{post.get_span_context().trace_id:032x}".encode() in raw  # the trace goes on through the run's headers


async def test_runs_begun_with_an_older_key_go_on_with_a_newer_one(
    world: World, temporal_server: TemporalServer
) -> None:
    handle = await world.start()
    rotated = World(await connect(connection(temporal_server, keys=NEWER)), world.script, queue=world.queue)
    async with rotated.workers():
        outcome = await rotated.client.get_workflow_handle(handle.id).result()
    assert outcome["outcome"] == "completed"


async def test_nobody_there_is_said_in_words() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await connect(Connection(f"127.0.0.1:{free_port()}", "default", TEST_KEYS))


async def test_a_lazy_client_needs_nobody_there() -> None:
    client = await connect(Connection(f"127.0.0.1:{free_port()}", "default", TEST_KEYS), lazy=True)
    assert isinstance(client, Client)
    with pytest.raises(Unavailable):
        await World(client, Script()).orchestrator.ping()


def test_a_connection_shows_no_secret() -> None:
    shown = repr(Connection("host:1", "default", TEST_KEYS, api_key="very-secret"))
    assert "very-secret" not in shown
    assert "x01" not in shown


def test_a_failure_that_is_none_of_ours_shows_its_type() -> None:
    assert describe(asyncio.InvalidStateError("jane@example.com")) == "InvalidStateError"
