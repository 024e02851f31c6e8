"""Every operation of the OpenAPI document under generated requests, right and wrong: no 5xx, and only what it says."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import bare_app
from tests.support.api_server import ApiServer, Tenant

EXAMPLES = 12
"""Requests per operation and mode: the whole file stays well below a minute."""

schema = schemathesis.openapi.from_dict(bare_app().openapi())
schema.config.generation.update(codec="utf-8")


@pytest.fixture(scope="module")
def fuzzed(api: ApiServer) -> tuple[str, Tenant]:
    return api.url, api.tenant("fuzzed")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_it(case: "schemathesis.Case[Any]", api: ApiServer, fuzzed: tuple[str, Tenant]) -> None:
    url, tenant = fuzzed
    key = api.platform_key if case.path.startswith("/v1/platform") else tenant.key
    if isinstance(case.query, dict):
        case.query.pop("wait", None)  # waiting is tested elsewhere; here it would only take time
    case.call_and_validate(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"},
        checks=[not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance],
    )
