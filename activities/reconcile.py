"""reconcile: starts what was accepted and never started, settles what ended without a conclusion."""

from temporalio import activity

from domain import contracts
from domain.contracts import ReconcileRequest, ReconcileResult
from services.reconcile import Reconciler


class ReconcileActivity:
    """Needs a reconciler."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name=contracts.RECONCILE.name)
    async def reconcile(self, request: ReconcileRequest) -> ReconcileResult:
        return await self._reconciler.round(request, activity.heartbeat)
