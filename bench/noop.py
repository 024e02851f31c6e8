"""The baseline of `pipeline_vs_noop`: what Temporal itself costs for a run of the shape a chat's run has.

Four remote activities (the third on the queue of a language model), one local one, one upsert of search attributes:
the events of ConversationWorkflow for a chat, with activities that do nothing. No start options beyond the id
policies, no summaries, no payload but an id. The bench refuses to measure when the two histories differ in length.
"""

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey

EMPTY_WORKFLOW = "BenchEmptyWorkflow"
EMPTY_ACTIVITY = "bench-empty"

_ENOUGH = timedelta(minutes=5)
_OUTCOME = SearchAttributeKey.for_keyword("ParleyOutcome")


@activity.defn(name=EMPTY_ACTIVITY)
async def empty(run: str) -> None:
    """Nothing."""


@workflow.defn(name=EMPTY_WORKFLOW)
class EmptyWorkflow:
    """`engine_queue`: the task queue of the third remote activity."""

    @workflow.run
    async def run(self, engine_queue: str) -> None:
        run = workflow.info().workflow_id
        await workflow.execute_activity(EMPTY_ACTIVITY, run, schedule_to_close_timeout=_ENOUGH)
        await workflow.execute_activity(EMPTY_ACTIVITY, run, schedule_to_close_timeout=_ENOUGH)
        await workflow.execute_local_activity(EMPTY_ACTIVITY, run, schedule_to_close_timeout=_ENOUGH)
        await workflow.execute_activity(EMPTY_ACTIVITY, run, schedule_to_close_timeout=_ENOUGH, task_queue=engine_queue)
        await workflow.execute_activity(EMPTY_ACTIVITY, run, schedule_to_close_timeout=_ENOUGH)
        workflow.upsert_search_attributes([_OUTCOME.value_set("completed")])
