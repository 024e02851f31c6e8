"""Conversations as the pipeline leaves them, written through the real repositories: no worker is needed to read."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from domain.canonical import rendition_hash
from domain.clock import utc_now
from domain.contracts import ConcludeRequest, Conclusion, RunRef
from domain.conversation import Role, Stage, StageStatus, Status
from domain.engine import CallOutcome, EngineCall, Usage
from domain.ids import derived_id, new_id
from domain.intake import AttachmentIn, Automatic
from domain.ledger import Reason, RunState, TaskRun
from domain.tasks import EffectiveTask
from domain.transcript import Message, SealedRendition
from domain.turns import Mask, MaskKind, Turn
from domain.values import EvidenceState, FieldValue, Quote, ValueKind
from infra.settings import Settings
from infra.wiring import Storage, open_storage
from services import content_keys
from services.conclude_run import conclude_run
from storage.protocols import Rendition, TenantTx

ORIGINAL = "My name is Priya Nair and my parcel is late."
REDACTED = "My name is [name] and my parcel is late."


@asynccontextmanager
async def storage_of(settings: Settings) -> AsyncIterator[Storage]:
    """The API's storage, opened a second time for the test."""
    async with open_storage(settings, "tests") as storage:
        yield storage


@dataclass(frozen=True)
class Seeder:
    """Writes what stages write."""

    storage: Storage
    tenant_id: str

    async def normalized(self, conversation_id: str) -> RunRef:
        """Turns, original and redacted; the stages up to normalize are done."""
        run = RunRef(tenant_id=self.tenant_id, conversation_id=conversation_id, revision=1, entry=1)
        now = utc_now()
        original = Turn(number=1, role=Role.CUSTOMER, participant_id="c1", text=ORIGINAL, at=now)
        redacted = original.model_copy(update={"text": REDACTED})
        message = Message(
            id="m1",
            participant_id="c1",
            role=Role.CUSTOMER,
            at=now,
            text_as_sent=f"{ORIGINAL}\n> quoted",
            text=ORIGINAL,
            attachments=(AttachmentIn(name="priya-nair.pdf", media_type="application/pdf", size=120),),
            automatic=Automatic.MAILING_LIST,
        )
        mask = Mask(turn=1, start=11, end=17, kind=MaskKind.NAME, original="Priya Nair")
        sealed = SealedRendition(turns=(original,), masks=(mask,), messages=(message,))
        key = content_keys.sealed_rendition(run)
        await self.storage.content.put(self.tenant_id, key, sealed.model_dump_json().encode())
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            await tx.runs.hold(run)
            for stage in (Stage.INGEST, Stage.NORMALIZE):
                await tx.runs.stage(run, stage, StageStatus.COMPLETED)
            await tx.conversations.set_status(conversation_id, Status.PROCESSING)
            await tx.renditions.put(
                Rendition(
                    conversation_id=conversation_id,
                    revision=1,
                    turns=(redacted,),
                    content_hash=rendition_hash((redacted,), "test-1"),
                    redactor="test-1",
                    detectors=("patterns", "names:en"),
                    names_detected=True,
                    language="en",
                    sealed_key=key,
                )
            )
        return run

    async def analysed(
        self, run: RunRef, states: dict[str, tuple[RunState, Reason | None]], values: Sequence[FieldValue] = ()
    ) -> None:
        """Ledger rows of these tasks (by slug) and values; the run is closed as completed."""
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            tasks = {task.task.slug: task for task in await tx.catalog.effective_tasks()}
            rows = [_row(run, tasks[slug], state, reason) for slug, (state, reason) in states.items()]
            await tx.ledger.plan(rows)
            call = EngineCall(
                id=new_id(),
                request_hash=derived_id("call", run.conversation_id),
                engine="offline",
                model="rules-1",
                outcome=CallOutcome.ANSWERED,
                usage=Usage(input_tokens=120, output_tokens=30),
                cost_usd=0.0012,
                latency_ms=12,
                answer='{"csat": {}}',
            )
            await tx.ledger.record_call(call, run.conversation_id, None)
            await tx.values.put(values)
            gaps = any(state in (RunState.FAILED, RunState.PARKED) for state, _ in states.values())
            for stage in (Stage.PLAN, Stage.ANALYZE, Stage.PERSIST):
                await tx.runs.stage(run, stage, StageStatus.COMPLETED)
            status = Status.COMPLETED_WITH_GAPS if gaps else Status.COMPLETED
            reason = next((r for s, r in states.values() if s in (RunState.FAILED, RunState.PARKED)), None)
            await tx.conversations.set_status(run.conversation_id, status, reason)
            await tx.runs.close(run)

    async def concluded(self, run: RunRef, conclusion: Conclusion, stage: Stage, reason: str) -> None:
        """Parked or failed, as the workflow does it."""
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            await tx.runs.hold(run)
            await conclude_run(
                tx,
                ConcludeRequest(
                    run=run, conclusion=conclusion, stage=stage, reason=reason, detail="as it went", attempts=5
                ),
            )

    async def value(
        self,
        run: RunRef,
        field: str,
        value: int | str | None,
        *,
        evidence: EvidenceState = EvidenceState.VERIFIED,
    ) -> FieldValue:
        """A value of the ai layer; None is unknown."""
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            definition = await _field(tx, field)
        quote = Quote(turn=1, quote="my parcel is late", start=22, end=39, role=Role.CUSTOMER)
        known = value is not None
        return FieldValue(
            id=new_id(),
            tenant_id=self.tenant_id,
            conversation_id=run.conversation_id,
            revision=run.revision,
            subject_id=run.conversation_id,
            field_id=definition,
            field_key=field,
            kind=ValueKind.INFERRED if known else ValueKind.UNKNOWN,
            value=value,
            explanation="The customer complains.",
            evidence=(quote,) if known else (),
            evidence_state=evidence if known else EvidenceState.NONE,
            evidence_revision=run.revision if known else None,
            task_version="f" * 64,
            engine="offline",
            model="rules-1",
            input_hash="e" * 64,
            run_id=new_id(),
            turns_read=1,
            turns_total=1,
            created_at=utc_now(),
        )


async def _field(tx: TenantTx, key: str) -> str:
    return next(field.id for field in await tx.catalog.fields() if field.key == key)


def _row(run: RunRef, task: EffectiveTask, state: RunState, reason: Reason | None) -> TaskRun:
    return TaskRun(
        id=derived_id("task-run", run.workflow_id, task.task.id),
        conversation_id=run.conversation_id,
        revision=run.revision,
        entry=run.entry,
        task_id=task.task.id,
        task_slug=task.task.slug,
        task_version=task.version_id,
        engine=task.engine,
        input_hash="e" * 64,
        state=state,
        reason=reason,
        detail="why it is so" if reason else None,
        attempts=2 if state is RunState.FAILED else 0,
    )
