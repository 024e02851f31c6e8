"""ConversationWorkflow: the way of one conversation, and every way it can end."""

import asyncio
from dataclasses import replace

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

from domain.contracts import (
    CANCELLED_REASON,
    CONVERSATION_WORKFLOW,
    INGEST,
    NORMALIZE,
    PERSIST,
    SETTLING_REASON,
    TRANSCRIBE,
    Attribute,
    ConcludeRequest,
    Conclusion,
    ConversationOutcome,
    ConversationRun,
    Outcome,
    PlanRequest,
)
from domain.conversation import Stage, Status
from workflows.endings import Ending, StageEnded
from workflows.stages import Stages

_ORDER = tuple(Stage)


@workflow.defn(name=CONVERSATION_WORKFLOW)
class ConversationWorkflow:
    """Runs the stages of one conversation from `enter_at` on.

    Completes as completed, completed_with_gaps, parked or superseded. Fails when a stage's retries are used up, after
    the dead letter is written. Is cancelled when asked to, after the conversation is parked.

    Its versioning behaviour is the worker's default (pinned, when deployments are versioned): the server refuses a
    behaviour declared here from a worker without a version.
    """

    @workflow.run
    async def run(self, order: ConversationRun) -> ConversationOutcome:
        stages = Stages(order.run, order.enter_at)
        try:
            ending = await self._way(order, stages)
        except StageEnded as ended:
            ending = ended.ending
        except asyncio.CancelledError:
            await asyncio.shield(self._end(order, stages, Ending(Outcome.CANCELLED, stages.current, CANCELLED_REASON)))
            raise
        ending = await self._end(order, stages, ending)
        if ending.outcome is Outcome.FAILED:
            raise ApplicationError(ending.detail, type=ending.reason, non_retryable=True)
        return ConversationOutcome(outcome=ending.outcome, reason=ending.reason, values=ending.values)

    async def _way(self, order: ConversationRun, stages: Stages) -> Ending:
        run, engine = order.run, order.transcription

        if _begins_by(order, Stage.INGEST) or (order.enter_at is Stage.TRANSCRIBE and engine is None):
            engine = (await stages.call(INGEST, run)).transcription

        if _begins_by(order, Stage.TRANSCRIBE) and engine is not None:
            await stages.call(TRANSCRIBE, run, engine)

        if _begins_by(order, Stage.NORMALIZE):
            normalized = await stages.call(NORMALIZE, run)
            if not normalized.settled:
                return Ending(Outcome.PARKED, Stage.PLAN, SETTLING_REASON)

        planned = await stages.plan(PlanRequest(run=run, task_ids=order.task_ids))

        unfinished = await stages.analyze(planned.batches)
        if superseded := _first(unfinished, Outcome.SUPERSEDED):
            return superseded

        persisted = await stages.call(PERSIST, run)
        if persisted.superseded:
            return Ending(Outcome.SUPERSEDED)
        if waiting := _first(unfinished, Outcome.PARKED):
            return replace(waiting, values=persisted.values)
        complete = persisted.status is Status.COMPLETED
        return Ending(Outcome.COMPLETED if complete else Outcome.COMPLETED_WITH_GAPS, values=persisted.values)

    async def _end(self, order: ConversationRun, stages: Stages, ending: Ending) -> Ending:
        """Records an ending that is not complete, and the search attributes: one event, whatever the ending."""
        conclusion = _CONCLUSIONS.get(ending.outcome)
        if conclusion is not None:
            request = ConcludeRequest(
                run=order.run,
                conclusion=conclusion,
                stage=ending.stage or stages.current,
                reason=ending.reason or "",
                detail=ending.detail,
                attempts=ending.attempts,
            )
            try:
                await stages.conclude(request)
            except StageEnded as ended:
                if ended.ending.outcome is not Outcome.SUPERSEDED:
                    raise ApplicationError(
                        f"the run ended as {ending.reason} and could not be concluded",
                        type="not_concluded",
                        non_retryable=True,
                    ) from None
                ending = ended.ending
        updates = [_OUTCOME.value_set(ending.outcome.value)]
        if conclusion is not None and ending.stage is not None:
            updates.append(_STAGE.value_set(ending.stage.value))
        workflow.upsert_search_attributes(updates)
        return ending


_OUTCOME = SearchAttributeKey.for_keyword(Attribute.OUTCOME.value)
_STAGE = SearchAttributeKey.for_keyword(Attribute.STAGE.value)

_CONCLUSIONS = {
    Outcome.PARKED: Conclusion.PARKED,
    Outcome.CANCELLED: Conclusion.PARKED,
    Outcome.FAILED: Conclusion.FAILED,
}


def _begins_by(order: ConversationRun, stage: Stage) -> bool:
    """Whether this entry begins at the stage or before it, so that the stage is part of it."""
    return _ORDER.index(order.enter_at) <= _ORDER.index(stage)


def _first(endings: list[Ending], outcome: Outcome) -> Ending | None:
    return next((ending for ending in endings if ending.outcome is outcome), None)
