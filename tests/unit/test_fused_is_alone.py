"""With the engine that ships nothing is lost by asking the starter tasks together: that is why they may be."""

import json

import pytest

from bench.agreement import DEFAULT_FOLDERS, FIELDS, Case, load
from domain.fields import answer_schema
from domain.starter import STARTER_TASKS
from domain.turns import Turn
from engines.language_models.offline import OfflineEngine
from engines.protocols import AnswerRequest, AskedTask
from engines.redaction.redactor import PatternAndNameRedactor

ASKED = tuple(
    AskedTask(
        name=starter.task.slug,
        prompt=starter.spec.prompt,
        fields=tuple(FIELDS[key] for key in starter.spec.field_keys),
        evidence_role=starter.spec.evidence_role,
    )
    for starter in STARTER_TASKS
)


def request(turns: tuple[Turn, ...], language: str | None, *asked: AskedTask) -> AnswerRequest:
    fields = tuple(field for task in asked for field in task.fields)
    return AnswerRequest(system="", schema=answer_schema(fields), turns=turns, tasks=asked, language=language)


@pytest.fixture(scope="module")
def redactor() -> PatternAndNameRedactor:
    return PatternAndNameRedactor()


@pytest.mark.parametrize(
    "case", [case for folder in DEFAULT_FOLDERS for case in load(folder)], ids=lambda case: case.name
)
async def test_every_labelled_case_is_answered_alike_fused_and_alone(
    case: Case, redactor: PatternAndNameRedactor
) -> None:
    names = [p.name for p in case.participants if p.name]
    redacted = redactor.redact(case.turns, language=case.language or "en", names=names, progress=lambda _: None)
    turns, engine = redacted.turns, OfflineEngine()
    fused = json.loads((await engine.answer(request(turns, case.language, *ASKED), lambda _: None)).text)
    alone = {
        key: value
        for task in ASKED
        for key, value in json.loads(
            (await OfflineEngine().answer(request(turns, case.language, task), lambda _: None)).text
        ).items()
    }
    assert fused == alone


def test_all_starter_tasks_may_be_fused() -> None:
    assert all(starter.spec.fuse for starter in STARTER_TASKS)
