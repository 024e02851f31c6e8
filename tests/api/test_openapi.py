"""The OpenAPI document: kept in the repository, complete, and true."""

import json
from pathlib import Path
from typing import Any

import httpx

from api.app import bare_app
from api.openapi import text

KEPT = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_document_in_the_repository_is_the_current_one() -> None:
    assert KEPT.read_text() == text(bare_app()), "the API has changed: python -m api.openapi > docs/openapi.json"


def test_it_is_served_and_tells_what_every_operation_needs(client: httpx.Client) -> None:
    document: dict[str, Any] = client.get("/openapi.json").json()
    assert document == json.loads(KEPT.read_text())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method} {path}"
            assert operation.get("description") or operation.get("summary"), name
            responses = operation["responses"]
            assert "HTTPValidationError" not in json.dumps(responses), name
            if not path.startswith("/v1"):
                continue
            assert operation["security"][0] == {"apiKey": []}, name
            for status in ("401", "403", "422", "503"):
                assert "application/problem+json" in responses[status]["content"], name
            changes_nothing = path.startswith("/v1/search") or path.endswith("/test")
            if method == "post" and not path.startswith("/v1/platform") and not changes_nothing:
                headers = [p["name"] for p in operation["parameters"] if p["in"] == "header"]
                assert "Idempotency-Key" in headers, name
            if method in ("post", "patch", "put") and "requestBody" in operation:
                assert "413" in responses, name


def test_every_reference_leads_somewhere() -> None:
    document = json.loads(KEPT.read_text())
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= known


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [reference for inner in value.values() for reference in _references(inner)]
    if isinstance(value, list):
        return [reference for inner in value for reference in _references(inner)]
    return []


def test_the_reference_for_people_names_every_operation_and_needs_nobody_else(client: httpx.Client) -> None:
    answer = client.get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for path, operations in bare_app().openapi()["paths"].items():
        for operation in operations.values():
            assert path in answer.text
            assert f'id="{operation["operationId"]}"' in answer.text
    assert "<script" not in answer.text
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert "https://" not in answer.text
