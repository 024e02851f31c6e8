"""ImportWorkflow: reads an import's rows in stretches, and gives way to live traffic in between."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from domain.contracts import (
    CANCELLED_REASON,
    CONCLUDE_IMPORT,
    IMPORT_ROWS,
    IMPORT_WORKFLOW,
    Attribute,
    ConcludeImportRequest,
    ImportConclusion,
    ImportOutcome,
    ImportRowsRequest,
    ImportRowsResult,
    ImportRun,
    StretchEnd,
)
from domain.conversation import Lane, Stage
from domain.policies import policy
from workflows.endings import ending_of
from workflows.stages import execute_remote


@workflow.defn(name=IMPORT_WORKFLOW)
class ImportWorkflow:
    """One run of one import: from its checkpoint to the end of the file, or until it is paused or cancelled.

    What to do is written in Postgres and seen by `import_rows` with every batch; so a paused import has no run, and is
    resumed by the next one. Fails when the file cannot be read, or when the retries are used up: after that is
    written down, and with the checkpoint kept.
    """

    @workflow.run
    async def run(self, order: ImportRun) -> ImportOutcome:
        try:
            return await self._read(order)
        except asyncio.CancelledError:
            await asyncio.shield(_conclude(order, ImportConclusion.CANCELLED, CANCELLED_REASON))
            raise

    async def _read(self, order: ImportRun) -> ImportOutcome:
        for _ in range(order.stretches):
            done = await self._stretch(order)
            _tell(done)
            if done.end is StretchEnd.WAIT:
                await workflow.sleep(timedelta(seconds=done.wait_seconds))
            elif done.end is not StretchEnd.MORE:
                workflow.upsert_search_attributes([_OUTCOME.value_set(done.end.value)])
                return ImportOutcome(end=done.end, rows=done.rows, failed=done.failed)
        return workflow.continue_as_new(order)

    async def _stretch(self, order: ImportRun) -> ImportRowsResult:
        rules = policy(IMPORT_ROWS.policy, Lane.BACKFILL)
        try:
            return await execute_remote(IMPORT_ROWS, ImportRowsRequest(ref=order.ref), rules, None, IMPORT_ROWS.name)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from None
            ending = ending_of(error, Stage.INGEST, rules.maximum_attempts)
        reason = ending.reason or ""
        await _conclude(order, ImportConclusion.FAILED, reason, ending.detail)
        workflow.upsert_search_attributes([_OUTCOME.value_set(ImportConclusion.FAILED.value)])
        raise ApplicationError(ending.detail, type=reason, non_retryable=True)


async def _conclude(order: ImportRun, conclusion: ImportConclusion, reason: str, detail: str = "") -> None:
    request = ConcludeImportRequest(ref=order.ref, conclusion=conclusion, reason=reason, detail=detail)
    rules = policy(CONCLUDE_IMPORT.policy, Lane.BACKFILL)
    await execute_remote(CONCLUDE_IMPORT, request, rules, None, CONCLUDE_IMPORT.name)


def _tell(done: ImportRowsResult) -> None:
    """Progress for the Web UI: answered by a query, so it costs no event."""
    lines = [
        f"- **{done.rows}** rows, {done.percent:g} % of the file",
        f"- {done.created} created, {done.revised} revised, {done.unchanged} unchanged, {done.failed} failed",
    ]
    if done.end is StretchEnd.WAIT:
        lines.append(f"- waits {done.wait_seconds:g} s: live traffic goes first")
    workflow.set_current_details("\n".join(lines))


_OUTCOME = SearchAttributeKey.for_keyword(Attribute.OUTCOME.value)
