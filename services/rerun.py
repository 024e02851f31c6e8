"""Entering a conversation again: a re-run, or the re-drive of a dead letter. There is no second pipeline."""

from collections.abc import Sequence

from domain.conversation import Conversation, Lane, Stage
from domain.errors import Conflict, InvalidInput
from services.accept_conversation import start_entry
from services.conclude_run import resume_stage
from services.ports import Orchestrator
from storage.protocols import Database, RunEntry, TenantTx


class Reenter:
    """Needs the database and the orchestration."""

    def __init__(self, database: Database, orchestrator: Orchestrator) -> None:
        self._database = database
        self._orchestrator = orchestrator

    async def rerun(
        self, tenant_id: str, conversation_id: str, *, tasks: Sequence[str] = (), from_stage: Stage = Stage.PLAN
    ) -> RunEntry:
        """Run again from a stage; `tasks` are slugs, empty for all. Unchanged inputs are not paid for again.

        Raises NotFound, InvalidInput (unknown task, a stage that cannot be entered).
        """
        if from_stage not in (Stage.INGEST, Stage.NORMALIZE, Stage.PLAN):
            raise InvalidInput.of("from_stage", "is one of ingest, normalize, plan")
        async with self._database.tenant_tx(tenant_id) as tx:
            conversation = await tx.conversations.get(conversation_id)
            task_ids = await _task_ids(tx, tasks)
            entry = await self._enter(tx, conversation, from_stage, "rerun", task_ids)
        await start_entry(self._database, self._orchestrator, entry, conversation)
        return entry

    async def redrive(self, tenant_id: str, dead_letter_id: str, *, actor: str) -> RunEntry:
        """Resume at the stage that failed. Raises NotFound, Conflict (re-driven already, or no longer current)."""
        async with self._database.tenant_tx(tenant_id) as tx:
            letter = await tx.dead_letters.get(dead_letter_id)
            if letter.redriven_at is not None:
                raise Conflict("this dead letter was re-driven already")
            if letter.conversation_id is None:
                raise Conflict("this dead letter is about an event, which is read again instead")
            conversation = await tx.conversations.get(letter.conversation_id)
            if conversation.revision != letter.revision:
                raise Conflict("a newer revision of the conversation has taken over")
            if letter.stage is Stage.INDEX:  # no run: the indexer reads the conversation again
                await tx.outbox.search_dirty(conversation.id)
                entry = (await tx.runs.list(conversation.id))[-1]
            else:
                entry = await self._enter(tx, conversation, resume_stage(letter.stage), "redrive", ())
            await tx.dead_letters.redriven(dead_letter_id, entry.run.entry)
            await tx.audit.record(
                actor=actor, action="dead_letter.redrive", subject=dead_letter_id, origin=None, after=entry.run.entry
            )
        if letter.stage is not Stage.INDEX:
            await start_entry(self._database, self._orchestrator, entry, conversation)
        return entry

    @staticmethod
    async def _enter(
        tx: TenantTx, conversation: Conversation, stage: Stage, reason: str, task_ids: Sequence[str]
    ) -> RunEntry:
        kind = None
        if stage is Stage.TRANSCRIBE:
            kind, stage = await _transcription(tx, conversation, stage)
        return await tx.runs.enter(
            conversation.id,
            conversation.revision,
            enter_at=stage,
            lane=Lane.LIVE,
            channel=conversation.channel,
            reason=reason,
            task_ids=task_ids,
            transcription=kind,
        )


async def _transcription(tx: TenantTx, conversation: Conversation, stage: Stage) -> tuple[str | None, Stage]:
    """The engine kind chosen by ingest; without its record the run goes back to ingest."""
    recording = await tx.renditions.recording(conversation.id, conversation.revision)
    engine = next((e for e in await tx.catalog.engines() if recording and e.name == recording.engine), None)
    return (engine.kind, stage) if engine else (None, Stage.INGEST)


async def _task_ids(tx: TenantTx, slugs: Sequence[str]) -> list[str]:
    known = {t.task.slug: t.task.id for t in await tx.catalog.effective_tasks()} if slugs else {}
    unknown = [slug for slug in slugs if slug not in known]
    if unknown:
        raise InvalidInput.of("tasks", f"no active task is called {', '.join(unknown)}")
    return [known[slug] for slug in slugs]
