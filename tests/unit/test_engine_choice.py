"""Where a tenant's text and audio may go: engines, regions, and who answers when an engine is away."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from domain.conversation import Role
from domain.engine import EngineConfig, EngineFamily, Price, Usage
from domain.errors import NoEngineForLanguage
from domain.ledger import Reason, RunState
from engines.protocols import AnswerRequest, ModelAnswer, Progress
from services.analyze_tasks import answer_all
from services.call_plan import CallShape
from services.calls import Caller
from services.engine_choice import fallbacks, why_not_allowed
from services.language_strategy import choose
from services.plan_tasks import plan_tasks
from services.questions import TaskQuestion
from storage.protocols import AnswerRecord
from tests.support.samples import conversation, engine, rendition, task, tenant
from tests.unit.test_plan_tasks import given_

US = engine(name="us", kind="gemini", external=True, region="us-east1")
EU = engine(name="eu", kind="gemini", external=True, region="europe-west4")
NOWHERE = engine(name="nowhere", kind="gemini", external=True)
HERE = engine(name="here")


@pytest.mark.parametrize(
    ("config", "changes", "allowed"),
    [
        (US, {}, True),
        (US, {"allowed_regions": ("europe-west4",)}, False),
        (EU, {"allowed_regions": ("europe-west4",)}, True),
        (NOWHERE, {"allowed_regions": ("europe-west4",)}, False),
        (HERE, {"allowed_regions": ("europe-west4",)}, True),
        (HERE, {"allowed_regions": ()}, True),
        (EU, {"allowed_regions": ()}, False),
        (EU, {"allowed_engines": ("us",), "allowed_regions": ("europe-west4",)}, False),
        (HERE, {"allowed_engines": ("us",)}, False),
    ],
)
def test_the_tenants_allow_lists(config: EngineConfig, changes: dict[str, Any], allowed: bool) -> None:
    assert (why_not_allowed(tenant(**changes), config) is None) is allowed


def test_a_task_whose_engine_is_in_another_region_is_skipped_and_says_so() -> None:
    us = engine(external=True, region="us-east1")
    (row,) = plan_tasks(given_(engines={"offline": us}, tenant=tenant(allowed_regions=("europe-west4",))))
    assert (row.state, row.reason) == (RunState.SKIPPED, Reason.ENGINE_NOT_ALLOWED)
    assert row.detail == "offline is in us-east1, allowed is europe-west4"


def test_audio_stays_in_its_regions_too() -> None:
    us = engine(name="d-us", kind="deepgram", family=EngineFamily.TRANSCRIPTION, external=True, region="us")
    eu = us.model_copy(update={"name": "d-eu", "region": "eu"})
    wanted = tenant(transcription="d-us", allowed_engines=("d-us", "d-eu"), allowed_regions=("eu",))
    assert choose(wanted, "es", (us, eu)).engine.name == "d-eu"
    with pytest.raises(NoEngineForLanguage):
        choose(wanted, "es", (us,))


ENGINES = {e.name: e for e in (US, EU, NOWHERE, HERE)}


def chain(named: list[str], text: Any = None, **changes: Any) -> list[str]:
    config = engine(name="asked", parameters={"fallback": named})
    found = fallbacks(config, {**ENGINES, "asked": config}, tenant(**changes), text or rendition())
    return [one.name for one in found]


def test_only_what_the_tenant_allows_stands_in() -> None:
    assert chain(["us", "eu", "here"]) == ["us", "eu", "here"]
    assert chain(["us", "eu", "here"], allowed_regions=("europe-west4",)) == ["eu", "here"]
    assert chain(["us", "eu", "here"], allowed_engines=("asked", "here")) == ["here"]
    assert chain(["asked", "eu", "eu", "not-there"]) == ["eu"]
    assert chain([]) == []


def test_text_that_may_not_leave_falls_back_to_the_premises_only() -> None:
    spanish = rendition(names_detected=False, language="es")
    assert chain(["us", "here"], spanish) == ["here"]
    assert chain(["us", "here"], spanish, external_languages=("es",)) == ["us", "here"]


class _Log:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def find(self, part: str) -> None:
        return None

    def of_earlier_entry(self, call: Any) -> bool:
        return False

    async def record(self, call: Any, task_ids: Sequence[str]) -> None:
        self.calls.append(call)


class _StandIn:
    """Answers in another engine's place."""

    def __init__(self, by: EngineConfig) -> None:
        self._by = by

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        text = '{"csat": {"kind": "inferred", "value": 1, "explanation": "x", "evidence": []}}'
        return ModelAnswer(text=text, model="other-model", usage=Usage(input_tokens=1_000_000), by=self._by)

    async def test(self) -> str:
        return ""


async def test_a_value_names_the_engine_that_really_answered_and_its_price() -> None:
    other = EU.model_copy(update={"price": Price(input_per_million=7.0, version="theirs")})
    one = task({"evidence_role": Role.CUSTOMER})
    (planned,) = plan_tasks(given_(one, engines={"offline": engine()}))
    question = TaskQuestion(planned, one, HERE, conversation(), rendition())
    log = _Log()
    caller = Caller(HERE, _StandIn(other), log, asyncio.Semaphore(1), lambda share: None)
    (record,) = await answer_all([question], caller, CallShape())
    assert isinstance(record, AnswerRecord)
    assert [value.engine for value in record.values] == ["eu"]
    assert [value.model for value in record.values] == ["other-model"]
    (call,) = log.calls
    assert (call.engine, call.cost_usd, call.price_version) == ("eu", 7.0, "theirs")
