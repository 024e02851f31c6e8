"""Gathers what the planning rules read, in one tenant transaction."""

from collections.abc import Sequence

from domain.clock import utc_now
from domain.contracts import RunRef
from domain.filters import FilterFacts, FilterSchema, parse
from domain.values import Layer
from services.call_plan import CallShape
from services.plan_tasks import PlanInput
from storage.protocols import TenantTx


async def gather(tx: TenantTx, run: RunRef, task_ids: Sequence[str] = (), shape: CallShape | None = None) -> PlanInput:
    """task_ids limits the tasks; empty means all that are active. Raises NotFound, InvalidFilter."""
    conversation = await tx.conversations.get(run.conversation_id)
    rendition = await tx.renditions.find(run.conversation_id, run.revision)
    tasks = [t for t in await tx.catalog.effective_tasks() if not task_ids or t.task.id in task_ids]
    engines = {e.name: e for e in await tx.catalog.engines()}
    current = await tx.values.current(run.conversation_id) if conversation.revision > 1 or run.entry > 1 else ()
    filtered = [t for t in tasks if t.spec.filter is not None]
    schema = FilterSchema.of(await tx.catalog.fields(), may_see_sensitive=True) if filtered else FilterSchema.of(())
    return PlanInput(
        run=run,
        tenant=tx.tenant,
        conversation=conversation,
        rendition=rendition,
        tasks=tasks,
        engines=engines,
        filters={
            t.task.id: parse(t.spec.filter or "", schema, now=utc_now(), zone=tx.tenant.time_zone) for t in filtered
        },
        facts=FilterFacts.of(
            conversation,
            current,
            duration_s=None if conversation.duration_ms is None else conversation.duration_ms / 1000,
            turns=len(rendition.turns) if rendition else 0,
        ),
        current=[v for v in current if v.layer is Layer.AI and v.revision == run.revision],
        shape=shape or CallShape(),
    )
