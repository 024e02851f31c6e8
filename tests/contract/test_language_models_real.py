"""The OpenAI-compatible adapter against a real model in a real server. The model is tiny: its answers are judged by
form and counts, never by what they say, and a constrained answer may run away inside a text until its limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from domain.engine import EngineConfig, EngineFamily
from domain.errors import EngineAnswerTruncated, EngineRejected
from domain.fields import answer_schema
from domain.ids import new_id
from domain.starter import CSAT
from engines.language_models.registry import build
from engines.protocols import AnswerRequest, LanguageModelEngine
from tests.support import model_server
from tests.support.language_models import ask, request_for, turns_of

pytestmark = pytest.mark.skipif(model_server.missing() is not None, reason=str(model_server.missing()))

TURNS = turns_of(
    ("agent", "Good morning, how can I help?"),
    ("customer", "My parcel was due on Monday and it hasn't arrived. I'm really disappointed."),
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with model_server.model_server() as running:
        yield running


def engine(address: str, **parameters: object) -> LanguageModelEngine:
    config = EngineConfig(
        id=new_id(),
        name="local",
        family=EngineFamily.LANGUAGE_MODEL,
        kind="openai_compatible",
        model=model_server.MODEL,
        endpoint=address,
        parameters=parameters,
    )
    return build(config, None)


MOOD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "mood": {"type": "string", "enum": ["glad", "cross", "even"]},
        "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
    },
    "required": ["mood", "score"],
    "additionalProperties": False,
}
"""Without a free text: such an answer cannot run away."""


def question(prompt: str = "How does the customer feel?", **changes: Any) -> AnswerRequest:
    request = request_for((CSAT,), turns=TURNS, prompt=prompt, timeout=120)
    return replace(request, **{"schema": MOOD, "max_output_tokens": 60, **changes})


async def test_the_schema_holds_while_a_real_model_writes(address: str) -> None:
    for seed in (1, 2, 3):
        answer = await ask(engine(address, seed=seed, temperature=1.0), question())
        jsonschema.Draft202012Validator(MOOD).validate(json.loads(answer.text))
        assert answer.model
        assert answer.usage.requests == 1, "the server takes the schema as it is"
        assert answer.usage.input_tokens > 50
        assert 0 < answer.usage.output_tokens <= 60


async def test_the_schema_of_a_task_is_taken_and_its_answer_ends_or_is_cut_off(address: str) -> None:
    schema = answer_schema((CSAT,))
    try:
        answer = await ask(engine(address), question(schema=schema, max_output_tokens=30))
    except EngineAnswerTruncated as cut:
        told = cut.usage.output_tokens if cut.usage else 0
    else:
        jsonschema.Draft202012Validator(schema).validate(json.loads(answer.text))
        told = answer.usage.output_tokens
    assert 0 < told <= 30


async def test_a_real_answer_that_is_cut_off_says_so(address: str) -> None:
    with pytest.raises(EngineAnswerTruncated):
        await ask(engine(address), question(max_output_tokens=3))


async def test_a_shared_prefix_is_read_from_the_servers_cache(address: str) -> None:
    """llama.cpp keeps the last prompt: what tasks share comes first, so the second task reads it from there."""
    local = engine(address)
    await ask(local, question("How does the customer feel?"))
    second = await ask(local, question("Is the customer likely to leave?"))
    assert second.usage.cached_tokens > 0


async def test_a_real_server_refuses_what_is_longer_than_its_context(address: str) -> None:
    long = request_for((CSAT,), texts=("word " * (model_server.CONTEXT + 100),), timeout=120)
    with pytest.raises(EngineRejected):
        await ask(engine(address), long)


async def test_the_self_test_of_a_real_server(address: str) -> None:
    assert "tokens" in await engine(address).test()
