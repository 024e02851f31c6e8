"""The real API, over the session's Postgres and Temporal servers."""

from collections.abc import Iterator

import httpx
import pytest

from infra.embedded.process import free_port
from tests.support.api_server import ApiServer, Tenant, api_server, api_settings
from tests.support.stack import DatabaseUrls, TemporalServer


@pytest.fixture(scope="module")
def api(
    database: DatabaseUrls, temporal_server: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """The API with everything there. Nobody works on the runs it starts."""
    settings = api_settings(database, tmp_path_factory.mktemp("api"), temporal_address=temporal_server.address)
    with api_server(settings, database) as server:
        yield server


@pytest.fixture(scope="module")
def api_without_temporal(database: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The API with nothing at Temporal's address."""
    settings = api_settings(database, tmp_path_factory.mktemp("api"), temporal_address=f"127.0.0.1:{free_port()}")
    with api_server(settings, database) as server:
        yield server


@pytest.fixture(scope="module")
def tenant(api: ApiServer) -> Tenant:
    return api.tenant("acme")


@pytest.fixture(scope="module")
def client(api: ApiServer, tenant: Tenant) -> Iterator[httpx.Client]:
    """With a key of every scope."""
    with api.client(tenant.key) as client:
        yield client
