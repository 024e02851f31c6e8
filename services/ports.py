"""What use cases need from the orchestration; `infra.temporal` fulfils it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.contracts import ImportRef, RunRef
from domain.conversation import Conversation, Frozen
from domain.imports import Import
from storage.protocols import RunEntry


class PendingStep(Frozen):
    """One activity Temporal is trying. last_failure is our own text: no personal data, no secret."""

    stage: str
    state: str
    attempt: int
    maximum_attempts: int
    last_failure: str | None = None
    next_retry_at: datetime | None = None


class RunInspection(Frozen):
    """What Temporal knows of a run. status is Temporal's word in lower case, `unknown` when it has no such run."""

    workflow_id: str
    temporal_run_id: str | None
    status: str
    pending: tuple[PendingStep, ...] = ()
    link: str | None = None


class Orchestrator(Protocol):
    """Starts and looks at runs. Every method raises Unavailable when Temporal does not answer."""

    async def start(self, entry: RunEntry, conversation: Conversation) -> str:
        """Starts the entry's workflow, or finds it running or completed; answers Temporal's run id. Idempotent."""
        ...

    async def inspect(self, run: RunRef) -> RunInspection: ...

    async def wait(self, run: RunRef, timeout_seconds: float) -> bool:
        """True when the run ended within the time."""
        ...

    async def cancel(self, run: RunRef, reason: str) -> None: ...

    async def ping(self) -> None: ...

    def link(self, run: RunRef, temporal_run_id: str | None = None) -> str | None:
        """Address of the run in the Temporal Web UI, when one is configured."""
        ...


class ImportStarter(Protocol):
    """Starts the run of an import. Raises Unavailable when Temporal does not answer."""

    async def start_import(self, ref: ImportRef, found: Import) -> None:
        """Idempotent: a run that is there, or was, is left as it is, unless it failed."""
        ...


class Pollers(Frozen):
    task_queue: str
    workflow_pollers: int
    activity_pollers: int
    backlog: int
    backlog_age_seconds: float


class QueueInspector(Protocol):
    async def queues(self) -> Sequence[Pollers]: ...
