"""reconcile: one round of the reconciler, started by a schedule."""

from temporalio import activity

from domain import contracts
from domain.contracts import ReconcileRequest, ReconcileResult
from services.reconcile import Reconciler


class ReconcileActivity:
    """Needs the reconciler."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name=contracts.RECONCILE.name)
    async def reconcile(self, request: ReconcileRequest) -> ReconcileResult:
        return await self._reconciler.round(request, activity.heartbeat)
