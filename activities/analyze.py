"""analyze: one engine answers its planned tasks. What was answered is committed before anything uses it."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from temporalio import activity

from activities.support import begin, finish, heartbeat_on_progress, held_while_away, waiting_for_provider
from domain import contracts
from domain.contracts import AnalyzeRequest, AnalyzeResult, RunRef
from domain.conversation import Stage
from domain.engine import CallOutcome, EngineCall, EngineConfig
from domain.errors import EngineError, EngineRejected
from domain.ledger import RunState
from domain.policies import policy
from domain.suspicion import suspicions
from services import engine_calls
from services.analyze_tasks import Outcome, answer_all
from services.call_plan import CallShape
from services.calls import Caller
from services.engine_calls import Engines
from services.engine_choice import fallbacks
from services.observation import Observer, Unobserved
from services.outcomes import unanswered
from services.questions import TaskQuestion
from storage.protocols import AnswerRecord, ChargedCall, Database, TenantTx

DEFAULT_CONCURRENCY = 4


@dataclass
class _Calls:
    """The call log of one conversation: an external engine's calls are committed one by one, because each costs;
    a local engine's answers can be had again for nothing and go with the stage's last transaction."""

    database: Database
    run: RunRef
    config: EngineConfig
    costs: bool
    known: dict[str, EngineCall]
    earlier: Collection[str]
    waiting: list[ChargedCall] = field(default_factory=list)

    def find(self, part: str) -> EngineCall | None:
        return self.known.get(part)

    def of_earlier_entry(self, call: EngineCall) -> bool:
        return call.id in self.earlier

    async def record(self, call: EngineCall, task_ids: Sequence[str]) -> None:
        events = engine_calls.usage_events(call, task_ids)
        if not self.costs:
            self.waiting.append((call, events))
            return

        async def commit() -> None:
            async with self.database.tenant_tx(self.run.tenant_id) as tx:
                await tx.ledger.record_call(call, self.run.conversation_id, events)

        await held_while_away(commit)

    async def flush(self, tx: TenantTx) -> None:
        await tx.ledger.record_calls(self.waiting, self.run.conversation_id)
        self.waiting.clear()


@dataclass(frozen=True)
class _Work:
    """What one attempt has to do: the questions still open, those that are settled, and their answers."""

    config: EngineConfig
    fallback: Sequence[EngineConfig]
    questions: Sequence[TaskQuestion]
    beside: Sequence[TaskQuestion]
    answered: Sequence[AnswerRecord]
    calls: _Calls


class AnalyzeActivity:
    """Needs the database and the process's engines. shape: the thresholds for how calls are cut; observer: whom to
    tell what became of the tasks."""

    def __init__(
        self,
        database: Database,
        engines: Engines,
        shape: CallShape | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._database = database
        self._engines = engines
        self._shape = shape or CallShape()
        self._observer: Observer = observer or Unobserved()

    @activity.defn(name=contracts.ANALYZE.name)
    async def analyze(self, request: AnalyzeRequest) -> AnalyzeResult:
        work = await self._load(request)
        records = await self._answer_all(request.run, work)
        states = [r.task_run.state for r in (*work.answered, *records)]
        return AnalyzeResult(
            ran=states.count(RunState.RAN), failed=states.count(RunState.FAILED), parked=states.count(RunState.PARKED)
        )

    async def _load(self, request: AnalyzeRequest) -> _Work:
        run = request.run
        async with begin(self._database, run, Stage.ANALYZE) as tx:
            engines = {e.name: e for e in await tx.catalog.engines()}
            config = engines.get(request.batch.engine)
            if config is None:
                raise EngineRejected(f"engine {request.batch.engine} is not configured")
            conversation = await tx.conversations.get(run.conversation_id)
            rendition = await tx.renditions.get(run.conversation_id, run.revision)
            fallback = fallbacks(config, engines, tx.tenant, rendition)
            costs = any(engine.external for engine in (config, *fallback))
            tasks = {t.task.id: t for t in await tx.catalog.effective_tasks()}
            rows = [r for r in await tx.ledger.of_entry(run) if r.id in request.batch.task_run_ids]
            again = activity.info().attempt > 1 or run.entry > 1
            # What costs is always looked for: a first try may also be that of a run which Temporal had forgotten.
            calls = await tx.ledger.calls_of(run.conversation_id) if again or costs else ()
            answers = {a.task_run.id: a for a in await tx.ledger.answers(run)} if again else {}
            before = await tx.ledger.of_conversation(run.conversation_id, run.revision) if run.entry > 1 else ()
        suspected = suspicions(rendition.turns)
        every = [
            TaskQuestion(row, tasks[row.task_id], config, conversation, rendition, suspected)
            for row in rows
            if row.task_id in tasks
        ]
        questions = [question for question in every if question.run.state is RunState.PLANNED]
        beside = [question for question in every if question.run.state is not RunState.PLANNED]
        answered = [answers[row.id] for row in rows if row.id in answers]
        earlier = frozenset(call for row in before if row.entry < run.entry for call in row.engine_calls)
        log = _Calls(self._database, run, config, costs, _by_part(calls), earlier)
        return _Work(config, fallback, questions, beside, answered, log)

    async def _answer_all(self, run: RunRef, work: _Work) -> list[AnswerRecord]:
        """Raises the first retryable error when tries are left; on the last try the tasks it hit are failed by name."""
        outcomes = await self._ask_all(work)
        errors = [(q.run, o) for q, o in zip(work.questions, outcomes, strict=True) if isinstance(o, EngineError)]
        records = [o for o in outcomes if isinstance(o, AnswerRecord)]
        last_try = (
            activity.info().attempt >= policy(contracts.ANALYZE.policy, run.lane, work.config.kind).maximum_attempts
        )
        if errors and not last_try:
            async with self._database.tenant_tx(run.tenant_id) as tx:
                await self._write(tx, work, records)
            self._observer.tasks([r.task_run for r in records])
            raise errors[0][1]
        records += [unanswered(task_run, error) for task_run, error in errors]
        async with finish(self._database, run, Stage.ANALYZE) as tx:
            await self._write(tx, work, records)
        self._observer.tasks([r.task_run for r in records])
        return records

    async def _ask_all(self, work: _Work) -> list[Outcome]:
        caller = Caller(
            config=work.config,
            engine=self._engines.language_model(work.config, work.fallback),
            log=work.calls,
            gate=asyncio.Semaphore(work.config.limits.concurrency or DEFAULT_CONCURRENCY),
            progress=heartbeat_on_progress(),
        )
        shape = self._shape.of(work.config.parameters, external=work.config.external)
        async with waiting_for_provider() if work.calls.costs else nullcontext():
            return await answer_all(work.questions, caller, shape, work.beside)

    @staticmethod
    async def _write(tx: TenantTx, work: _Work, records: Sequence[AnswerRecord]) -> None:
        await work.calls.flush(tx)
        await tx.ledger.record_answers(records)


def _by_part(calls: Sequence[EngineCall]) -> dict[str, EngineCall]:
    """By what was asked; an answer goes before a failure, a later call before an earlier one."""
    known: dict[str, EngineCall] = {}
    for call in sorted(calls, key=lambda call: call.outcome is CallOutcome.ANSWERED):
        known |= dict.fromkeys(call.parts, call)
    return known
