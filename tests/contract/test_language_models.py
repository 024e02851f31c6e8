"""What every language model behind the Protocol has to keep: a checked answer, counts, typed failures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import jsonschema
import pytest
from pydantic import SecretStr

from domain.conversation import Role
from domain.engine import EngineConfig, EngineFamily
from domain.errors import EngineRejected
from domain.fields import answer_schema
from domain.ids import new_id
from domain.starter import CONTACT_REASON, CSAT, SENTIMENT, STARTER_FIELDS
from domain.values import EvidenceState, ValueKind
from engines.language_models.registry import FACTORIES, build
from engines.protocols import AskedTask, LanguageModelEngine
from services.answers import Ground, check, check_fields
from tests.support import gemini_server as wire
from tests.support.hosted import HOSTED
from tests.support.language_models import ask, request_for, turns_of
from tests.support.wire_server import wire_server

TURNS = turns_of(
    ("agent", "Good morning, how can I help?"),
    ("customer", "My parcel was due on Monday, it hasn't arrived and I'm really disappointed."),
    ("agent", "I'm sorry. I've sent a new one, it will be with you on Thursday."),
    ("customer", "That's ridiculous, I need it tomorrow."),
)
FIELDS = (CSAT, SENTIMENT, CONTACT_REASON)
Maker = Callable[[str], LanguageModelEngine]


def config(kind: str, endpoint: str | None = None) -> EngineConfig:
    return EngineConfig(
        id=new_id(),
        name=f"{kind}-test",
        family=EngineFamily.LANGUAGE_MODEL,
        kind=kind,
        model="gemini-2.0-flash" if kind == "gemini" else "offline-2",
        endpoint=endpoint,
    )


def _geminis_answer(received: wire.Received) -> wire.Reply:
    """What a good model would say, for whatever fields it is asked."""
    evidence = [{"turn": 2, "quote": "it hasn't arrived and I'm really disappointed"}]
    known = {"csat": 1, "sentiment": "negative", "contact_reason": "delivery"}
    asked = received.body["generationConfig"]["responseSchema"]["properties"]
    answers = {
        key: {"kind": "inferred", "value": known[key], "explanation": "Late.", "evidence": evidence}
        if key in known
        else {"kind": "unknown", "explanation": "No ground.", "evidence": []}
        for key in asked
    }
    return wire.answer(json.dumps(answers))


@pytest.fixture
def make() -> Iterator[Maker]:
    """Engines by kind, each at a server of its own that answers as a good model would."""
    with ExitStack() as servers:

        def made(kind: str) -> LanguageModelEngine:
            for hosted in HOSTED:
                if hosted.kind == kind:
                    return hosted.engine(servers.enter_context(wire_server(hosted.good_answer)))
            if kind == "gemini":
                server = servers.enter_context(wire.gemini_server())
                server.respond = _geminis_answer
                return build(config(kind, server.url), SecretStr("key"))
            return build(config(kind), None)

        yield made


@pytest.fixture(params=sorted(FACTORIES))
def engine(request: pytest.FixtureRequest, make: Maker) -> LanguageModelEngine:
    return make(request.param)


def test_it_fulfils_the_protocol(engine: LanguageModelEngine) -> None:
    assert isinstance(engine, LanguageModelEngine)


async def test_the_answer_fits_the_schema_of_the_fields(engine: LanguageModelEngine) -> None:
    for fields in (FIELDS, STARTER_FIELDS, (CSAT,)):
        answer = await ask(engine, request_for(fields, turns=TURNS))
        jsonschema.Draft202012Validator(answer_schema(fields)).validate(json.loads(answer.text))


async def test_known_values_come_with_verified_quotes_of_the_right_person(engine: LanguageModelEngine) -> None:
    answer = await ask(engine, request_for(FIELDS, turns=TURNS, evidence_role=Role.CUSTOMER))
    values = check(answer.text, FIELDS, TURNS, Role.CUSTOMER)
    assert [v.value for v in values] == [1, "negative", "delivery"]
    for value in values:
        assert value.kind is not ValueKind.UNKNOWN
        assert value.evidence_state is EvidenceState.VERIFIED
        assert {quote.role for quote in value.evidence} == {Role.CUSTOMER}


async def test_usage_and_model_are_told(engine: LanguageModelEngine) -> None:
    answer = await ask(engine, request_for(FIELDS, turns=TURNS))
    assert answer.model
    assert answer.usage.requests == 1
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


async def test_progress_is_told_and_ends_at_one(engine: LanguageModelEngine) -> None:
    shares: list[float] = []
    await engine.answer(request_for(FIELDS, turns=TURNS), shares.append)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


async def test_the_self_test_says_what_it_saw() -> None:
    offline = build(config("offline"), None)
    assert "offline-2" in await offline.test()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(EngineRejected):
        build(config("oracle"), None)


async def test_tasks_asked_together_are_all_answered_each_by_its_own_rules(engine: LanguageModelEngine) -> None:
    """A part of a shared answer is what the task alone would have got."""
    asked = (
        AskedTask(name="csat", prompt="Rate it.", fields=(CSAT,), evidence_role=Role.CUSTOMER),
        AskedTask(name="reason", prompt="Why?", fields=(CONTACT_REASON, SENTIMENT)),
    )
    fields = tuple(field for task in asked for field in task.fields)
    together = replace(request_for(fields, turns=TURNS), tasks=asked)
    given = json.loads((await ask(engine, together)).text)
    for task in asked:
        values = check_fields(given, task.fields, Ground(TURNS, task.evidence_role))
        alone = replace(together, tasks=(task,), schema=answer_schema(task.fields))
        assert values == check((await ask(engine, alone)).text, task.fields, TURNS, task.evidence_role)
        assert {value.evidence_state for value in values} == {EvidenceState.VERIFIED}


async def test_a_schema_that_knows_more_than_is_asked_is_no_obstacle(engine: LanguageModelEngine) -> None:
    """Calls that share a prefix share a schema; each answers its own fields."""
    one = request_for((CSAT,), turns=TURNS, evidence_role=Role.CUSTOMER)
    union = replace(one, schema=answer_schema(STARTER_FIELDS, required=()), prefix_shared=True)
    (value,) = check((await ask(engine, union)).text, (CSAT,), TURNS, Role.CUSTOMER)
    assert value.value == 1
