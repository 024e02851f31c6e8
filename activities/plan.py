"""plan: which AI Tasks run and which are skipped, by which rule. Local: a few reads, the filters, one insert."""

from collections.abc import Sequence
from itertools import groupby

from temporalio import activity

from activities.support import finish
from domain import contracts
from domain.contracts import EngineBatch, PlanRequest, PlanResult
from domain.conversation import Stage
from domain.ledger import RunState, TaskRun
from services.call_plan import CallShape
from services.observation import Observer, Unobserved
from services.plan_input import gather
from services.plan_tasks import plan_tasks
from storage.protocols import Database


class PlanActivity:
    """Needs the database. shape: how much engines read at once; observer: whom to tell what is skipped."""

    def __init__(self, database: Database, shape: CallShape | None = None, observer: Observer | None = None) -> None:
        self._database = database
        self._shape = shape
        self._observer: Observer = observer or Unobserved()

    @activity.defn(name=contracts.PLAN.name)
    async def plan(self, request: PlanRequest) -> PlanResult:
        run = request.run
        async with finish(self._database, run, Stage.PLAN) as tx:
            given = await gather(tx, run, request.task_ids, self._shape)
            rows = plan_tasks(given)
            await tx.ledger.plan(rows)
        self._observer.tasks(rows)
        kinds = {name: config.kind for name, config in given.engines.items()}
        planned = [row for row in rows if row.state is RunState.PLANNED]
        return PlanResult(batches=_batches(planned, kinds), skipped=sum(row.state is RunState.SKIPPED for row in rows))


def _batches(planned: Sequence[TaskRun], kinds: dict[str, str]) -> tuple[EngineBatch, ...]:
    """The planned runs by engine, in the order of the engines' names."""
    ordered = sorted(planned, key=lambda row: row.engine or "")
    return tuple(
        EngineBatch(engine=engine, kind=kinds[engine], task_run_ids=tuple(row.id for row in rows))
        for engine, rows in groupby(ordered, key=lambda row: row.engine or "")
    )
