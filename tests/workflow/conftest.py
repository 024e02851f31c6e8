"""A connected client, and a world with fast policies for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.client import Client

from domain import policies
from tests.support import stack, workflows
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
