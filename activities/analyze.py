"""analyze: one engine answers its planned tasks. What was answered is committed before anything uses it."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from temporalio import activity

from activities.support import begin, finish, heartbeat_on_progress, held_while_away, waiting_for_provider
from domain import contracts
from domain.contracts import AnalyzeRequest, AnalyzeResult, RunRef
from domain.conversation import Stage
from domain.engine import CallOutcome, EngineCall, EngineConfig
from domain.errors import EngineDefect, EngineError, EngineRejected, ParleyError, where
from domain.ledger import RunState
from domain.policies import policy
from engines.protocols import LanguageModelEngine, Progress
from services import engine_calls
from services.analyze_tasks import TaskQuestion, ask, unanswered
from services.engine_calls import Engines
from services.engine_choice import fallbacks
from services.observation import Observer, Unobserved
from storage.protocols import AnswerRecord, Database, TenantTx, UsageEvent

DEFAULT_CONCURRENCY = 4

_log = logging.getLogger(__name__)


@dataclass
class _Calls:
    """The call log of one conversation: an external engine's calls are committed one by one, because each costs;
    a local engine's answers can be had again for nothing and go with the stage's last transaction."""

    database: Database
    run: RunRef
    config: EngineConfig
    costs: bool
    known: dict[str, EngineCall]
    waiting: list[tuple[EngineCall, UsageEvent]] = field(default_factory=list)

    def find(self, request_hash: str) -> EngineCall | None:
        return self.known.get(request_hash)

    async def record(self, call: EngineCall, task_id: str) -> None:
        event = engine_calls.usage_event(call, self.config, task_id)
        if not self.costs:
            self.waiting.append((call, event))
            return

        async def commit() -> None:
            async with self.database.tenant_tx(self.run.tenant_id) as tx:
                await tx.ledger.record_call(call, self.run.conversation_id, event)

        await held_while_away(commit)

    async def flush(self, tx: TenantTx) -> None:
        await tx.ledger.record_calls(self.waiting, self.run.conversation_id)
        self.waiting.clear()


@dataclass(frozen=True)
class _Work:
    """What one attempt has to do: the questions still open, and the answers already there."""

    config: EngineConfig
    fallback: Sequence[EngineConfig]
    questions: Sequence[TaskQuestion]
    answered: Sequence[AnswerRecord]
    calls: _Calls


class AnalyzeActivity:
    """Needs the database, the process's engines, and whom to tell what became of the tasks."""

    def __init__(self, database: Database, engines: Engines, observer: Observer | None = None) -> None:
        self._database = database
        self._engines = engines
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
        questions = [
            TaskQuestion(row, tasks[row.task_id], config, conversation, rendition)
            for row in rows
            if row.state is RunState.PLANNED and row.task_id in tasks
        ]
        known = {c.request_hash: c for c in calls if c.outcome is CallOutcome.ANSWERED}
        answered = [answers[row.id] for row in rows if row.id in answers]
        return _Work(config, fallback, questions, answered, _Calls(self._database, run, config, costs, known))

    async def _answer_all(self, run: RunRef, work: _Work) -> list[AnswerRecord]:
        """Asks side by side; one task's trouble is not another's. Raises the first retryable error when tries are
        left; on the last try the tasks it hit are failed by name."""
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

    async def _ask_all(self, work: _Work) -> list[AnswerRecord | EngineError]:
        engine = self._engines.language_model(work.config, work.fallback)
        gate = asyncio.Semaphore(work.config.limits.concurrency or DEFAULT_CONCURRENCY)
        beat = heartbeat_on_progress()
        async with waiting_for_provider() if work.calls.costs else nullcontext():
            # All are waited for, also when one fails: nothing is under way any more when the next try begins.
            outcomes = await asyncio.gather(
                *(_ask(q, engine, work.calls, gate, beat) for q in work.questions), return_exceptions=True
            )
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, EngineError):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, AnswerRecord | EngineError)]

    @staticmethod
    async def _write(tx: TenantTx, work: _Work, records: Sequence[AnswerRecord]) -> None:
        await work.calls.flush(tx)
        await tx.ledger.record_answers(records)


async def _ask(
    question: TaskQuestion, engine: LanguageModelEngine, calls: _Calls, gate: asyncio.Semaphore, beat: Progress
) -> AnswerRecord | EngineError:
    """Every trouble an engine makes is its task's alone, also one that no adapter foresaw."""
    async with gate:
        try:
            return await ask(question, engine, calls, beat)
        except EngineError as error:
            return error
        except ParleyError:
            raise
        except Exception as error:
            _log.error("%s of engine %s failed: %s", question.run.task_slug, question.config.name, where(error))
            return EngineDefect(f"unexpected {type(error).__qualname__}")
        finally:
            beat(1.0)
