"""One answer to "why is this empty?" and "why is this stuck?".

Put together from what Postgres knows (stages, runs, the ledger, values, dead letters) and, if it answers soon, what
Temporal is trying right now. Without Temporal the answer is still given, and says so.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from domain.conversation import Conversation, Frozen, Note
from domain.errors import Unavailable
from domain.fields import CustomField
from domain.ledger import TaskRun
from domain.tasks import EffectiveTask
from domain.values import FieldValue, Layer
from services.explain_fields import FieldExplanation, explain_field
from services.explain_progress import Moment, Progress, explain_progress
from services.ports import Orchestrator, RunInspection
from services.read_conversation import latest_runs
from storage.protocols import Database, DeadLetter, RunEntry

INSPECT_SECONDS = 2.0
"""How long Temporal may take before the answer is given without it."""


class Explanation(Frozen):
    """answer and remedy are for people; the rest says the same for programs. temporal_answered is None when there was
    nothing to ask Temporal, False when it did not answer."""

    conversation: Conversation
    answer: str
    remedy: str
    progress: Progress
    entry: RunEntry | None
    inspection: RunInspection | None
    temporal_answered: bool | None
    dead_letters: tuple[DeadLetter, ...]
    fields: tuple[FieldExplanation, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Known:
    conversation: Conversation
    entries: Sequence[RunEntry]
    letters: Sequence[DeadLetter]
    task_runs: Sequence[TaskRun]
    tasks: Sequence[EffectiveTask]
    fields: Sequence[CustomField]
    values: Sequence[FieldValue]

    @property
    def entry(self) -> RunEntry | None:
        """The newest run of the current revision."""
        of_revision = [e for e in self.entries if e.run.revision == self.conversation.revision]
        return of_revision[-1] if of_revision else None


class Explain:
    """Needs the database and the orchestration."""

    def __init__(
        self, database: Database, orchestrator: Orchestrator, *, inspect_seconds: float = INSPECT_SECONDS
    ) -> None:
        self._database = database
        self._orchestrator = orchestrator
        self._inspect_seconds = inspect_seconds

    async def explain(self, tenant_id: str, conversation_id: str) -> Explanation:
        """Raises NotFound, Unavailable (the database)."""
        known = await self._read(tenant_id, conversation_id)
        entry = known.entry
        inspection, answered = None, None
        if entry is not None and entry.state != "closed":
            inspection = await self._inspect(entry)
            answered = inspection is not None
        conversation = known.conversation
        progress = explain_progress(Moment(conversation, entry, known.letters, inspection, answered))
        fields = _explain_fields(known)
        summary = _summary(fields)
        return Explanation(
            conversation=conversation,
            answer=f"{progress.words} {summary}".strip(),
            remedy=progress.remedy,
            progress=progress,
            entry=entry,
            inspection=inspection,
            temporal_answered=answered,
            dead_letters=tuple(known.letters),
            fields=fields,
            notes=conversation.notes,
        )

    async def _read(self, tenant_id: str, conversation_id: str) -> _Known:
        async with self._database.tenant_tx(tenant_id) as tx:
            conversation = await tx.conversations.get(conversation_id)
            return _Known(
                conversation=conversation,
                entries=await tx.runs.list(conversation_id),
                letters=await tx.dead_letters.of_conversation(conversation_id),
                task_runs=latest_runs(await tx.ledger.of_conversation(conversation_id, conversation.revision)),
                tasks=await tx.catalog.effective_tasks(),
                fields=await tx.catalog.fields(),
                values=await tx.values.current(conversation_id, Layer.EFFECTIVE),
            )

    async def _inspect(self, entry: RunEntry) -> RunInspection | None:
        try:
            async with asyncio.timeout(self._inspect_seconds):
                return await self._orchestrator.inspect(entry.run)
        except (Unavailable, TimeoutError):
            return None


def _explain_fields(known: _Known) -> tuple[FieldExplanation, ...]:
    task_of = {key: task for task in known.tasks for key in task.spec.field_keys}
    run_of = {run.task_id: run for run in known.task_runs}
    value_of: dict[str, FieldValue] = {}
    for value in known.values:
        value_of.setdefault(value.field_key, value)
    explained = []
    for field in known.fields:
        task = task_of.get(field.key)
        run = run_of.get(task.task.id) if task else None
        explained.append(explain_field(field, known.conversation, task, run, value_of.get(field.key)))
    return tuple(explained)


def _summary(fields: Sequence[FieldExplanation]) -> str:
    if not fields:
        return "There are no fields to fill."
    counts: dict[str, int] = {}
    for field in fields:
        counts[field.state.value] = counts.get(field.state.value, 0) + 1
    told = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
    return f"Fields: {told}."
