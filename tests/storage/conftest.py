"""A connected database with two tenants, for each module of storage tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from storage.postgres.database import PostgresDatabase
from storage.protocols import Tenant
from tests.support.stack import DatabaseUrls
from tests.support.storage import make_tenant


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def db(database: DatabaseUrls) -> AsyncIterator[PostgresDatabase]:
    connected = await PostgresDatabase.connect(database.app, database.platform, pool_max=12)
    yield connected
    await connected.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(database: DatabaseUrls) -> Tenant:
    return await make_tenant(database.owner)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def other(database: DatabaseUrls) -> Tenant:
    return await make_tenant(database.owner)
