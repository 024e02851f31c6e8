"""The offline engine's answers for tests, checked like any engine's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from domain.starter import STARTER_FIELDS, STARTER_TASKS
from domain.turns import Turn
from engines.language_models.offline import OfflineEngine
from services.answers import CheckedValue, check
from tests.support.language_models import ask, request_for, turns_of

FIELDS = {field.key: field for field in STARTER_FIELDS}
ENGINE = OfflineEngine()


def values(turns: Sequence[Turn], *keys: str, language: str | None = "en") -> dict[str, CheckedValue]:
    """The starter fields' checked values (all of them, or those of `keys`)."""
    return asyncio.run(answered(turns, *keys, language=language))


async def answered(turns: Sequence[Turn], *keys: str, language: str | None = "en") -> dict[str, CheckedValue]:
    found: dict[str, CheckedValue] = {}
    for task in STARTER_TASKS:
        if keys and not set(keys) & set(task.spec.field_keys):
            continue
        fields = tuple(FIELDS[key] for key in task.spec.field_keys)
        request = request_for(fields, turns=turns, language=language, evidence_role=task.spec.evidence_role)
        answer = await ask(ENGINE, request)
        for value in check(answer.text, fields, turns, task.spec.evidence_role):
            found[value.field.key] = value
    return found


def conversation(*lines: str) -> tuple[Turn, ...]:
    """Turns from lines such as "C: hello" and "A: hello" (customer, agent, bot B, unknown U)."""
    roles = {"C": "customer", "A": "agent", "B": "bot", "U": "unknown"}
    return turns_of(*((roles[line[0]], line[2:].strip()) for line in lines))


def value_of(key: str, *lines: str, language: str | None = "en") -> object:
    """The value of one field, None when unknown."""
    return values(conversation(*lines), key, language=language)[key].value
