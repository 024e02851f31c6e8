"""ReconcileWorkflow: one short round, started by a schedule."""

from temporalio import workflow

from domain.contracts import RECONCILE, RECONCILE_WORKFLOW, ReconcileRequest, ReconcileResult
from domain.conversation import Lane
from domain.policies import policy
from workflows.stages import execute_remote


@workflow.defn(name=RECONCILE_WORKFLOW)
class ReconcileWorkflow:
    """Starts what was accepted and never started, and closes what ended without a conclusion.

    A round that fails is no drama: the next one begins in seconds with the same questions.
    """

    @workflow.run
    async def run(self, request: ReconcileRequest) -> ReconcileResult:
        return await execute_remote(RECONCILE, request, policy(RECONCILE.policy, Lane.LIVE), None, "one round")
