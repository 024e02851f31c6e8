"""How an import ends that was not read to its end: failed, or cancelled by an operator of Temporal."""

from domain.clock import Clock, utc_now
from domain.contracts import ConcludeImportRequest, ImportConclusion
from domain.imports import ImportState
from storage.protocols import Database


async def conclude_import(database: Database, request: ConcludeImportRequest, clock: Clock = utc_now) -> bool:
    """Whether it was this run's to conclude. Repeatable. A failed one keeps its file: it can be resumed.

    An operator's cancellation pauses it: whose import it is decides whether it goes on. Raises Unavailable.
    """
    ref = request.ref
    async with database.tenant_tx(ref.tenant_id) as tx:
        found = await tx.imports.locked(ref.import_id)
        if found.entry != ref.entry or not found.state.is_open:
            return False
        failed = request.conclusion is ImportConclusion.FAILED
        changed = {
            "state": ImportState.FAILED if failed else ImportState.PAUSED,
            "reason": request.reason,
            "detail": request.detail or None,
            "waits": None,
            "ended_at": clock() if failed else None,
        }
        await tx.imports.save(found.model_copy(update=changed))
    return True
