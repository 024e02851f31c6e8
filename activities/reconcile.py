"""reconcile: starts what was accepted and never started, settles what ended without a conclusion."""

from temporalio import activity

from domain import contracts
from domain.contracts import ReconcileRequest, ReconcileResult
from services.import_starts import ImportStarts
from services.reconcile import Reconciler


class ReconcileActivity:
    """Needs a reconciler, and who starts imports."""

    def __init__(self, reconciler: Reconciler, imports: ImportStarts) -> None:
        self._reconciler = reconciler
        self._imports = imports

    @activity.defn(name=contracts.RECONCILE.name)
    async def reconcile(self, request: ReconcileRequest) -> ReconcileResult:
        result = await self._reconciler.round(request, activity.heartbeat)
        imports = await self._imports.round(activity.heartbeat, fresh_seconds=request.grace)
        return result.model_copy(update={"imports": imports})
