"""Requests to language models for tests."""

from __future__ import annotations

from collections.abc import Sequence

from domain.conversation import Role
from domain.fields import CustomField, answer_schema
from domain.turns import Turn
from engines.protocols import AnswerRequest, AskedTask, LanguageModelEngine, ModelAnswer


def turns_of(*said: tuple[str, str]) -> tuple[Turn, ...]:
    """Turns from ("customer" | "agent" | …, text) pairs."""
    return tuple(
        Turn(number=number, role=Role(role), participant_id=role, text=text)
        for number, (role, text) in enumerate(said, start=1)
    )


def request_for(
    fields: Sequence[CustomField],
    *,
    texts: Sequence[str] = ("I was charged twice for my order last week.",),
    turns: Sequence[Turn] | None = None,
    prompt: str = "Do it.",
    evidence_role: Role | None = None,
    language: str | None = "en",
    timeout: float = 10.0,
) -> AnswerRequest:
    """One task asked alone."""
    return AnswerRequest(
        system="Answer with JSON.",
        schema=answer_schema(tuple(fields)),
        turns=tuple(turns) if turns is not None else turns_of(*(("customer", text) for text in texts)),
        tasks=(AskedTask(name="task", prompt=prompt, fields=tuple(fields), evidence_role=evidence_role),),
        language=language,
        timeout_seconds=timeout,
    )


async def ask(engine: LanguageModelEngine, request: AnswerRequest) -> ModelAnswer:
    return await engine.answer(request, lambda share: None)
