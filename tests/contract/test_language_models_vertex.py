"""What is particular to google-genai: Vertex AI with a service account, the Gemini API with a key, thinking."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from domain.engine import EngineConfig, EngineFamily
from domain.errors import EngineRejected
from domain.fields import Owner
from domain.ids import new_id
from domain.starter import CHURN_RISK, CSAT
from engines.language_models.registry import build
from engines.language_models.vertex import TOKEN_ADDRESS, VertexEngine
from tests.support import vertex_wire as wire
from tests.support.hosted import VERTEX
from tests.support.language_models import ask, request_for
from tests.support.wire_server import WireServer, as_json, wire_server


@pytest.fixture
def server() -> Iterator[WireServer]:
    with wire_server(wire.with_tokens(lambda _: wire.answer("{}"))) as running:
        yield running


def vertex(server: WireServer, secret: str, owner: Owner = Owner.OPERATOR, **parameters: Any) -> VertexEngine:
    config = EngineConfig(
        id=new_id(),
        name="vertex-test",
        family=EngineFamily.LANGUAGE_MODEL,
        kind="vertex",
        model="gemini-thinker",
        endpoint=server.url,
        region="europe-west4",
        parameters=parameters,
        owner=owner,
    )
    built = build(config, SecretStr(secret) if secret else None)
    assert isinstance(built, VertexEngine)
    return built


async def test_thoughts_are_counted_and_billed_and_stand_in_no_answer(server: WireServer) -> None:
    server.script.append(wire.answer('{"csat": 1}', prompt=900, candidates=40, thoughts=300, cached=512))
    answer = await ask(VERTEX.engine(server), request_for((CSAT,)))
    assert answer.text == '{"csat": 1}'
    assert answer.model == "gemini-thinker-001"
    usage = answer.usage
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.thinking_tokens) == (900, 512, 340, 300)


async def test_the_gemini_api_is_asked_with_the_key(server: WireServer) -> None:
    engine = VERTEX.engine(server)
    await ask(engine, request_for((CSAT,), prompt="First."))
    await ask(engine, request_for((CHURN_RISK,), prompt="Second."))
    one, two = server.received
    assert one.path.endswith("/models/test-model:generateContent")
    assert one.body["contents"][0]["parts"][0] == two.body["contents"][0]["parts"][0]
    assert one.body["systemInstruction"] == two.body["systemInstruction"]
    generation = one.body["generationConfig"]
    assert generation["responseMimeType"] == "application/json"
    assert generation["maxOutputTokens"] > 1024, "thoughts count against the limit"
    assert "maxLength" not in json.dumps(generation)
    assert len(one.body["safetySettings"]) == 4


async def test_vertex_is_asked_in_its_region_with_the_accounts_token(server: WireServer) -> None:
    engine = vertex(server, wire.service_account(server.url), thinking_budget=0)
    await ask(engine, request_for((CSAT,)))
    await ask(engine, request_for((CSAT,)))
    token, first, second = server.received
    assert token.path == "/token"
    assert first.path.endswith(
        "/projects/project-1/locations/europe-west4/publishers/google/models/gemini-thinker:generateContent"
    )
    assert first.headers["authorization"] == second.headers["authorization"] == f"Bearer {wire.TOKEN}"
    # the SDK writes the name as it was given; the API reads both ways
    assert list(first.body["generationConfig"]["thinkingConfig"].values()) == [0]
    assert first.body["generationConfig"]["maxOutputTokens"] == 1024


async def test_an_account_that_gets_no_token_is_rejected(server: WireServer) -> None:
    server.respond = lambda _: as_json({"error": "invalid_grant", "error_description": "about SECRET-WORDS"}, 400)
    with pytest.raises(EngineRejected) as raised:
        await ask(vertex(server, wire.service_account(server.url)), request_for((CSAT,)))
    assert "SECRET" not in str(raised.value)


def test_only_the_operator_says_where_tokens_come_from(server: WireServer) -> None:
    for owner in (Owner.TENANT, Owner.PARTNER):
        engine = vertex(server, wire.service_account(server.url), owner)
        assert engine._account is not None
        assert engine._account["token_uri"] == TOKEN_ADDRESS


@pytest.mark.parametrize("secret", ['{"project_id": "p"}', "{not JSON SECRET", ""])
def test_a_credential_that_is_none_is_refused(server: WireServer, secret: str) -> None:
    with pytest.raises(EngineRejected) as raised:
        vertex(server, secret)
    assert "SECRET" not in str(raised.value)


def test_the_processs_own_identity_is_for_the_operators_engines(server: WireServer) -> None:
    vertex(server, "", application_default=True)
    with pytest.raises(EngineRejected):
        vertex(server, "", Owner.TENANT, application_default=True)
