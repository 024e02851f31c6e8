"""What is particular to Anthropic: the answer as a tool's input, the mark for its cache, its counts, thinking."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from domain.fields import answer_schema
from domain.starter import CHURN_RISK, CSAT
from tests.support import anthropic_wire as wire
from tests.support.hosted import ANTHROPIC
from tests.support.language_models import ask, request_for
from tests.support.wire_server import WireServer, wire_server


@pytest.fixture
def server() -> Iterator[WireServer]:
    with wire_server(lambda _: wire.handed_in("{}")) as running:
        yield running


async def test_the_answer_is_a_tools_input_and_the_counts_are_whole(server: WireServer) -> None:
    server.script.append(
        wire.handed_in(
            '{"csat": {"value": 1}}',
            input_tokens=50,
            cache_read_input_tokens=800,
            cache_creation_input_tokens=40,
            output_tokens=30,
        )
    )
    answer = await ask(ANTHROPIC.engine(server), request_for((CSAT,)))
    assert json.loads(answer.text) == {"csat": {"value": 1}}
    assert answer.model == "claude-test-1"
    usage = answer.usage
    assert (usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens) == (890, 800, 40)
    assert usage.output_tokens == 30
    body = server.received[0].body
    assert server.received[0].path == "/v1/messages"
    assert body["tool_choice"] == {"type": "tool", "name": "answer"}
    assert body["tools"][0]["input_schema"] == answer_schema((CSAT,))
    assert (body["max_tokens"], body["temperature"]) == (1024, 0.0)


async def test_the_conversation_is_marked_for_the_cache_where_others_share_it(server: WireServer) -> None:
    engine = ANTHROPIC.engine(server)
    alone = request_for((CSAT,), prompt="First task.")
    await ask(engine, alone)
    await ask(engine, replace(alone, prefix_shared=True))
    await ask(engine, replace(request_for((CHURN_RISK,), prompt="Second."), prefix_shared=True))
    one, two, three = (r.body["messages"][0]["content"] for r in server.received)
    assert "cache_control" not in one[0], "writing a cache that nobody reads costs"
    assert two[0] == three[0], "byte for byte the same"
    assert two[0]["cache_control"] == {"type": "ephemeral"}
    assert all("cache_control" not in content[1] for content in (one, two, three))


@pytest.mark.parametrize(("cache", "marked"), [("always", True), ("never", False)])
async def test_the_operator_may_decide_about_the_cache(server: WireServer, cache: str, marked: bool) -> None:
    request = replace(request_for((CSAT,)), prefix_shared=cache == "never")
    await ask(ANTHROPIC.engine(server, cache=cache), request)
    assert ("cache_control" in server.received[0].body["messages"][0]["content"][0]) is marked


async def test_models_that_think_answer_in_a_format(server: WireServer) -> None:
    said: dict[str, Any] = {"csat": {"kind": "unknown", "value": None, "explanation": "", "evidence": []}}
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    server.script.append(wire.message(thought, {"type": "text", "text": json.dumps(said)}))
    answer = await ask(ANTHROPIC.engine(server, thinking_budget=2048), request_for((CSAT,)))
    assert "value" not in json.loads(answer.text)["csat"], "null stands for what is left out"
    body = server.received[0].body
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert body["max_tokens"] == 1024 + 2048
    assert "tools" not in body
    assert "temperature" not in body
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert "maximum" not in json.dumps(body["output_config"])
