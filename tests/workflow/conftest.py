"""A connected client, and a world with fast policies for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.client import Client

from domain import policies
from tests.support import stack, workflows
from tests.support.import_ground import Ground, Sender, import_ground, sender_of
from tests.support.workflows import Script, World


@pytest.fixture(scope="session")
async def client(temporal_server: stack.TemporalServer) -> AsyncIterator[Client]:
    yield await workflows.connect(temporal_server.address, temporal_server.namespace)
    await asyncio.sleep(0.3)  # an interpreter that ends right after its last call may crash


@pytest.fixture
def world(client: Client) -> Iterator[World]:
    workflows.use_policies()
    yield World(client, Script())
    policies.use({})


@pytest.fixture(scope="module")
def ground(
    database: stack.DatabaseUrls, temporal_server: stack.TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    """An API for imports; tests start its workers."""
    with import_ground(database, tmp_path_factory.mktemp("imports"), temporal_server.address) as made:
        yield made


@pytest.fixture
def sender(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Sender]:
    """A tenant of this test's own."""
    with sender_of(ground, request.node.name.replace("_", "-").removeprefix("test-")[:60].strip("-")) as made:
        yield made
