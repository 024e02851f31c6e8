"""Fixtures every room may use. Servers are real, start on first use and end with the session."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import stack

# How fast the machine is decides nothing: two workers share two cores with real servers.
settings.register_profile("parley", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("parley")


@pytest.fixture(scope="session")
def postgres() -> Iterator[stack.PostgresServer]:
    """The session's Postgres server (one per xdist worker)."""
    with stack.postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def database(postgres: stack.PostgresServer) -> Iterator[stack.DatabaseUrls]:
    """A migrated database for this test module: `.app`, `.platform`, `.owner` and `.admin` URLs."""
    urls = postgres.new_database()
    yield urls
    postgres.drop_database(urls.name)


@pytest.fixture
def empty_database(postgres: stack.PostgresServer) -> Iterator[stack.DatabaseUrls]:
    """A database without tables, for one test."""
    urls = postgres.new_database(template="template0")
    yield urls
    postgres.drop_database(urls.name)


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[stack.TemporalServer]:
    """The session's Temporal dev server, in memory: `.address`, `.namespace` (one per xdist worker)."""
    with stack.temporal_server() as server:
        yield server
