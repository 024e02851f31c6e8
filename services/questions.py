"""What is asked of one conversation, part by part, and by what each part is known again.

A part is one task on one stretch of turns. Its hash covers everything that can change its answer and nothing else: not
with which other parts it shares a call, not how the call is laid out, no label. So an answer that was recorded is found
again however the calls are cut next time, and what was paid for once is not paid for again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from domain.conversation import Conversation
from domain.engine import EngineConfig
from domain.fields import CustomField, answer_schema
from domain.ledger import TaskRun
from domain.suspicion import Suspicion
from domain.tasks import EffectiveTask, content_hash
from domain.turns import Turn
from engines.protocols import AnswerRequest, AskedTask
from services.answers import Ground
from services.call_plan import SHAPE_PARAMETERS, Ask, CallShape
from services.prompting import SYSTEM_TEXT, asked, render
from services.reading import Reading, TooLong, own_tokens, read, schema_tokens
from storage.protocols import Rendition

LEAST_SECONDS = 60.0
SLOWEST_TOKENS_PER_SECOND = 40
"""A request is waited for as long as a slow model needs for the longest answer it may give, and a minute at least."""


@dataclass(frozen=True)
class TaskQuestion:
    """One planned run with all that is needed to ask it. suspicions: orders to a model in the conversation."""

    run: TaskRun
    task: EffectiveTask
    config: EngineConfig
    conversation: Conversation
    rendition: Rendition
    suspicions: Sequence[Suspicion] = ()

    @property
    def turns(self) -> tuple[Turn, ...]:
        return self.rendition.turns

    def reading(self, shape: CallShape) -> Reading | TooLong:
        """Raises PromptFailed."""
        return read(self.turns, self.task.spec, asked(self.task, self.conversation, self.turns), shape)

    def part(
        self,
        turns: tuple[Turn, ...],
        fields: tuple[CustomField, ...] | None = None,
        findings: tuple[str, ...] = (),
    ) -> "Part":
        """The task on these turns: about all its fields, or some of them. Raises PromptFailed."""
        fields = self.task.fields if fields is None else fields
        hashed = {
            "conversation": self.run.conversation_id,
            "engine": self.config.name,
            "model": self.config.model,
            "parameters": {k: v for k, v in self.config.parameters.items() if k not in SHAPE_PARAMETERS},
            "system": SYSTEM_TEXT,
            "prompt": render(self.task, self.conversation, turns, named=False),
            "schema": answer_schema(fields),
            "descriptions": {one.key: one.description for one in fields},
            "role": self.task.spec.evidence_role,
            "language": self.task.spec.answer_language,
            "max_output_tokens": self.task.spec.max_output_tokens,
            "turns": self.rendition.content_hash if turns == self.turns else turns_hash(turns),
            "findings": findings,
        }
        said = replace(asked(self.task, self.conversation, turns, fields), findings=findings)
        return Part(question=self, turns=turns, asked=said, hashed=hashed)


@dataclass(frozen=True)
class Part:
    """One task's share of a request. hashed: all that its answer depends on."""

    question: TaskQuestion
    turns: tuple[Turn, ...]
    asked: AskedTask
    hashed: Mapping[str, Any] = field(repr=False)

    @cached_property
    def hash(self) -> str:
        return content_hash(dict(self.hashed))

    @property
    def fields(self) -> tuple[CustomField, ...]:
        return self.asked.fields

    @property
    def key(self) -> str:
        """Which task it is, among those of one conversation."""
        return f"{self.asked.name} {self.question.run.id}"

    @property
    def stretch(self) -> str:
        """Which turns it reads: parts with the same may share their calls."""
        return str(self.hashed["turns"])

    @property
    def ask(self) -> Ask:
        """What the call plan has to know of it."""
        task = self.question.task
        return Ask(
            key=self.key,
            owner=task.task.owner,
            sensitive=task.sensitive,
            fuse=task.spec.fuse,
            own_tokens=own_tokens(self.asked),
            schema_tokens=schema_tokens(self.asked),
            output_tokens=task.spec.max_output_tokens,
            fields=len(self.fields),
        )

    @property
    def ground(self) -> Ground:
        """What its answer is held against."""
        return Ground(
            turns=self.question.turns,
            evidence_role=self.asked.evidence_role,
            read=self.turns,
            barred=self.question.suspicions,
            answer_language=self.asked.answer_language,
            language=self.question.rendition.language,
        )

    def repaired(self, message: str) -> "Part":
        """The same, told why the last answer was refused."""
        return replace(self, asked=replace(self.asked, repair=message), hashed={**self.hashed, "repair": message})

    def apart(self) -> "Part":
        """The same, asked alone because the answer to several was of no use."""
        return replace(self, hashed={**self.hashed, "apart": True})

    def anew(self, entry: int) -> "Part":
        """The same, asked again in a later entry because what was answered before is of no use."""
        return replace(self, hashed={**self.hashed, "anew": entry})


@dataclass(frozen=True)
class Layout:
    """What the requests of a call group have in common: whose fields are in the schema, and whether all of them have to
    be in each answer. shared: further requests with this prefix follow."""

    fields: tuple[CustomField, ...]
    shared: bool = False

    @classmethod
    def of(cls, parts: Sequence[Part], *, shared: bool) -> "Layout":
        return cls(tuple(field for part in parts for field in part.fields), shared)

    def schema(self) -> Mapping[str, Any]:
        required: Collection[str] | None = () if self.shared else None
        return answer_schema(self.fields, required)


def turns_hash(turns: Sequence[Turn]) -> str:
    """The same stretch of the same turns has the same hash."""
    return content_hash([[turn.number, turn.role.value, turn.text] for turn in turns])


def request_of(parts: Sequence[Part], layout: Layout) -> AnswerRequest:
    """One request for parts on the same turns."""
    output = sum(part.question.task.spec.max_output_tokens for part in parts)
    return AnswerRequest(
        system=SYSTEM_TEXT,
        schema=layout.schema(),
        turns=parts[0].turns,
        tasks=tuple(part.asked for part in parts),
        language=parts[0].question.rendition.language,
        max_output_tokens=output,
        timeout_seconds=max(LEAST_SECONDS, output / SLOWEST_TOKENS_PER_SECOND),
        prefix_shared=layout.shared,
    )


def request_hash(parts: Sequence[Part]) -> str:
    """What a call is recorded under: the parts it asks."""
    hashes = sorted(part.hash for part in parts)
    return hashes[0] if len(hashes) == 1 else content_hash(hashes)
