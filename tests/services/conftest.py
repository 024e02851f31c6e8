"""A connected database for each module of use-case tests."""

from collections.abc import AsyncIterator

import pytest

from storage.postgres.database import PostgresDatabase
from tests.support.stack import DatabaseUrls


@pytest.fixture(scope="module")
async def db(database: DatabaseUrls) -> AsyncIterator[PostgresDatabase]:
    connected = await PostgresDatabase.connect(database.app, database.platform, pool_max=8)
    yield connected
    await connected.close()
