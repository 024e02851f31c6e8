"""conclude: the end of a run that could not persist. Parked runs say why; failed ones leave a dead letter."""

from temporalio import activity

from domain import contracts
from domain.contracts import ConcludeRequest, ConcludeResult
from services.conclude_run import conclude_run
from storage.protocols import Database


class ConcludeActivity:
    """Needs the database only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=contracts.CONCLUDE.name)
    async def conclude(self, request: ConcludeRequest) -> ConcludeResult:
        async with self._database.tenant_tx(request.run.tenant_id) as tx:
            await tx.runs.hold(request.run)
            return ConcludeResult(dead_letter_id=await conclude_run(tx, request))
