"""Ports: chosen where nobody else takes them meanwhile, and a taken one for metrics does not stop a process."""

import socket
from collections.abc import Iterator

import pytest

from infra.embedded.process import free_port
from infra.settings import Profile, Settings
from infra.telemetry.exposition import serve_metrics


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_any_port_is_one_that_outgoing_connections_do_not_get() -> None:
    chosen = [free_port() for _ in range(20)]
    assert all(20_000 <= port < 32_000 for port in chosen)
    assert len(set(chosen)) > 10


def test_a_process_goes_on_without_metrics(taken: int, caplog: pytest.LogCaptureFixture) -> None:
    assert serve_metrics(Settings(profile=Profile.EMBEDDED, metrics_port=taken), "test") is None
    assert f"port {taken}" in caplog.text
