"""The offline engine: answers tasks by rules, lexicons and embeddings, and says `unknown` when they see no ground.

It is no language model and reads no prompt: it knows the starter fields by their keys, and treats other fields by
their type. Same conversation, same fields: same answer, on every machine.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from domain.conversation import Role
from domain.engine import Usage
from domain.fields import CustomField, FieldType
from domain.turns import Turn
from domain.values import ValueKind
from engines.language_models.offline.analysis import Analysis, AnalysisCache
from engines.language_models.offline.found import Found, Question
from engines.language_models.offline.solvers import (
    choice,
    churn,
    contact_reason,
    csat,
    next_actions,
    plain,
    sentiment,
    summary,
)
from engines.protocols import AnswerRequest, AskedTask, ModelAnswer, Progress

MODEL = "offline-2"
"""Changes whenever the same conversation may be answered differently: it is part of every value's provenance."""

CHARACTERS_PER_TOKEN = 4
"""Usage is counted as a model would roughly count it, so that estimates have something to go by. It costs nothing."""

MAX_EXPLANATION = 1000

Solver = Callable[[Analysis, CustomField, Question], Found]

SOLVERS: Mapping[str, tuple[FieldType, Solver]] = {
    "csat": (FieldType.INTEGER, csat.solve),
    "sentiment": (FieldType.CHOICE, sentiment.solve),
    "summary": (FieldType.TEXT, summary.solve),
    "contact_reason": (FieldType.CHOICE, contact_reason.solve),
    "churn_risk": (FieldType.CHOICE, churn.solve_risk),
    "churn_reason": (FieldType.TEXT, churn.solve_reason),
    "next_actions": (FieldType.TEXT, next_actions.solve),
}
"""Solvers by field key; a field of that key with another type is treated by its type."""


def solver_of(field: CustomField) -> Solver:
    kind, solver = SOLVERS.get(field.key, (None, None))
    if solver is not None and kind is field.type:
        return solver
    if field.type in (FieldType.CHOICE, FieldType.MULTI_CHOICE):
        return choice.solve
    return plain.solve


class OfflineEngine:
    """Fulfils `engines.protocols.LanguageModelEngine` without a network, a key or a cost."""

    def __init__(self) -> None:
        self._analyses = AnalysisCache()

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        """Raises EngineRejected when the embedding model's files are not the expected ones."""
        text = await asyncio.to_thread(self._answer, request, progress)
        asked = sum(len(task.prompt) for task in request.tasks)
        read = len(request.system) + asked + sum(len(t.text) for t in request.turns)
        usage = Usage(input_tokens=_tokens(read), output_tokens=_tokens(len(text)))
        return ModelAnswer(text=text, model=MODEL, usage=usage)

    async def test(self) -> str:
        from domain.starter import CONTACT_REASON

        turn = Turn(
            number=1, role=Role.CUSTOMER, participant_id="c", text="I was charged twice for my order last week."
        )
        task = AskedTask(name="test", prompt="", fields=(CONTACT_REASON,))
        request = AnswerRequest(system="", schema={}, turns=(turn,), tasks=(task,), language="en")
        answer = json.loads((await self.answer(request, lambda _: None)).text)
        return f"{MODEL} answered {answer['contact_reason'].get('value', 'unknown')} for a test sentence"

    def _answer(self, request: AnswerRequest, progress: Progress) -> str:
        """Field by field: what is asked besides changes nothing, so tasks asked together are answered as alone."""
        analysis = self._analyses.get(request.turns, request.language)
        answers: dict[str, Any] = {}
        for task in request.tasks:
            question = Question(evidence_role=task.evidence_role)
            for field in task.fields:
                answers[field.key] = _as_json(solver_of(field)(analysis, field, question))
                progress(len(answers) / len(request.fields))
        return json.dumps(answers, ensure_ascii=False)


def _as_json(found: Found) -> dict[str, Any]:
    answer: dict[str, Any] = {"kind": found.kind.value, "explanation": found.explanation[:MAX_EXPLANATION]}
    if found.kind is not ValueKind.UNKNOWN:
        answer["value"] = list(found.value) if isinstance(found.value, tuple) else found.value
    answer["evidence"] = [{"turn": e.turn, "quote": e.quote} for e in found.evidence]
    return answer


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
