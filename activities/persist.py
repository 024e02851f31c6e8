"""persist: values, evidence, ledger, rollup deltas and outbox rows in one transaction, and only if this revision is
still the current one."""

from temporalio import activity

from activities.support import finish
from domain import contracts
from domain.contracts import PersistResult, RunRef
from domain.conversation import Stage
from services.persist_run import known_values, persist_run
from storage.protocols import CLOSED, Database


class PersistActivity:
    """Needs the database only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=contracts.PERSIST.name)
    async def persist(self, run: RunRef) -> PersistResult:
        async with finish(self._database, run, Stage.PERSIST) as tx:
            conversation = await tx.conversations.get(run.conversation_id)
            if (await tx.runs.get(run)).state == CLOSED:
                # An earlier try committed and its answer was lost: rollup deltas are not to be added again.
                await tx.runs.close(run)  # gives back the lease that this try has just taken
                return PersistResult(status=conversation.status, values=await known_values(tx, run))
            status, values = await persist_run(tx, run, conversation)
            await tx.runs.close(run)
        return PersistResult(status=status, values=values)
