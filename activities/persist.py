"""persist: values, evidence, ledger, rollup deltas and outbox rows in one transaction, and only if this revision is
still the current one."""

from temporalio import activity

from activities.support import finish
from domain import contracts
from domain.contracts import PersistResult, RunRef
from domain.conversation import Stage
from services.persist_run import persist_run
from storage.protocols import Database


class PersistActivity:
    """Needs the database only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=contracts.PERSIST.name)
    async def persist(self, run: RunRef) -> PersistResult:
        async with finish(self._database, run, Stage.PERSIST) as tx:
            conversation = await tx.conversations.get(run.conversation_id)
            status, values = await persist_run(tx, run, conversation)
            await tx.runs.close(run)
        return PersistResult(status=status, values=values)
