"""The contracts between workflows and activities: each activity's name, input, output and policy key.

Ids and small facts only cross this boundary; texts stay in Postgres and the content store. Bounds are checked when
this module is imported: a contract whose model could grow past the payload limit is a start-up error, not an
incident.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

from annotated_types import MaxLen
from pydantic import BaseModel, Field, StringConstraints

from domain.conversation import Channel, Frozen, Lane, Slug, Stage, Status
from domain.ids import IdStr, TenantIdStr

MAX_ENGINES_PER_RUN = 8
MAX_RUNS_PER_ENGINE = 64

Code = Annotated[str, StringConstraints(max_length=64)]
Detail = Annotated[str, StringConstraints(max_length=500)]


class RunRef(Frozen):
    """Which run of which conversation: what every activity of the pipeline gets."""

    tenant_id: TenantIdStr
    conversation_id: IdStr
    revision: int = Field(ge=1)
    entry: int = Field(ge=1)
    lane: Lane = Lane.LIVE

    @property
    def workflow_id(self) -> str:
        return f"conversation/{self.tenant_id}/{self.conversation_id}/{self.revision}/{self.entry}"


class ConversationRun(Frozen):
    """Input of ConversationWorkflow. `enter_at` is where this entry begins; everything before it is known already.

    Planned runs belong to an entry, so an entry at `analyze` or `persist` begins at `plan`; engine calls that were
    recorded are found there and not repeated. task_ids limits analysis to some AI Tasks (a re-run); empty means all
    that are active. transcription is the engine kind for an entry at `transcribe`; without it `ingest` chooses again.
    """

    run: RunRef
    channel: Channel
    enter_at: Stage = Stage.INGEST
    transcription: Slug | None = None
    task_ids: Annotated[tuple[IdStr, ...], Field(max_length=MAX_RUNS_PER_ENGINE)] = ()


class Outcome(StrEnum):
    """How a run of the workflow ended; also the value of the search attribute."""

    COMPLETED = "completed"
    COMPLETED_WITH_GAPS = "completed_with_gaps"
    PARKED = "parked"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


class ConversationOutcome(Frozen):
    """Result of ConversationWorkflow. A run that fails or is cancelled has none: Temporal shows it as such."""

    outcome: Outcome
    reason: Code | None = None
    values: int = 0


class ReconcileRequest(Frozen):
    """Bounds of one round. Ages in seconds: `grace` is what the accepting process gets to start an entry itself,
    `stale` is how long a lease may be silent before Temporal is asked about its run."""

    entries: int = Field(default=200, ge=1, le=1000)
    leases: int = Field(default=100, ge=1, le=1000)
    grace: float = Field(default=3.0, ge=0)
    stale: float = Field(default=60.0, ge=0)


class ReconcileResult(Frozen):
    """started: pending entries; restarted: runs Temporal had lost; dead_lettered: runs that ended without a
    conclusion; deferred: entries that could not be looked at this time; events: raw events read to their end; imports:
    those that were started."""

    started: int = 0
    restarted: int = 0
    dead_lettered: int = 0
    deferred: int = 0
    events: int = 0
    imports: int = 0


class IngestResult(Frozen):
    """transcription: the engine kind whose task queue transcribes; None when there is nothing to transcribe."""

    transcription: Slug | None = None


class TranscribeResult(Frozen):
    segments: int = 0


class NormalizeResult(Frozen):
    """settled is False when the source asks for quiet before analysis: the run parks and is re-entered at `plan`."""

    turns: int
    settled: bool = True


class PlanRequest(Frozen):
    run: RunRef
    task_ids: Annotated[tuple[IdStr, ...], Field(max_length=MAX_RUNS_PER_ENGINE)] = ()


class EngineBatch(Frozen):
    """The planned runs of one engine. `kind` picks the task queue."""

    engine: Slug
    kind: Slug
    task_run_ids: Annotated[tuple[IdStr, ...], Field(max_length=MAX_RUNS_PER_ENGINE)]


class PlanResult(Frozen):
    batches: Annotated[tuple[EngineBatch, ...], Field(max_length=MAX_ENGINES_PER_RUN)] = ()
    skipped: int = 0


class AnalyzeRequest(Frozen):
    run: RunRef
    batch: EngineBatch


class AnalyzeResult(Frozen):
    ran: int = 0
    failed: int = 0
    parked: int = 0


class PersistResult(Frozen):
    """superseded: a newer revision had taken over; nothing was written."""

    status: Status
    values: int = 0
    superseded: bool = False


CANCELLED_REASON = "cancelled"
BACKPRESSURE_REASON = "backpressure"
SETTLING_REASON = "settling"
LOST_REASON = "ended_without_conclusion"
TIMEOUT_REASON = "stage_timeout"
HEARTBEAT_REASON = "heartbeat_lost"


class Conclusion(StrEnum):
    PARKED = "parked"
    FAILED = "failed"


class ConcludeRequest(Frozen):
    """How a run ends that is not complete: parked with a reason, or failed into the dead letters.

    `reason` is an error's code or one of the *_REASON constants. A run that has persisted what it could is
    concluded as parked afterwards when some engine's batch has to wait (backpressure, quota): the stage is `analyze`.
    """

    run: RunRef
    conclusion: Conclusion
    stage: Stage
    reason: Code
    detail: Detail = ""
    attempts: int = 0


class ConcludeResult(Frozen):
    dead_letter_id: IdStr | None = None


class ImportRef(Frozen):
    """Which run of which import. Each resumption has the next entry: an older run may not write any more."""

    tenant_id: TenantIdStr
    import_id: IdStr
    entry: int = Field(ge=1)

    @property
    def workflow_id(self) -> str:
        return f"import/{self.tenant_id}/{self.import_id}/{self.entry}"


class ImportRun(Frozen):
    """Input of ImportWorkflow. stretches: after so many it continues as new, long before its history grows heavy."""

    ref: ImportRef
    stretches: int = Field(default=200, ge=1, le=1000)


class StretchEnd(StrEnum):
    """Why a stretch of rows ended: its time was up, live traffic has to go first, or nothing is left to do."""

    MORE = "more"
    WAIT = "wait"
    DONE = "done"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class ImportRowsRequest(Frozen):
    """One stretch: rows are read and accepted, batch by batch, from the checkpoint on, for about so many seconds."""

    ref: ImportRef
    seconds: float = Field(default=60.0, gt=0, le=600)


class ImportRowsResult(Frozen):
    """Counts are of the whole import so far; percent of the file's bytes, 0 to 100. wait_seconds: when to look again
    whether there is room."""

    end: StretchEnd
    wait_seconds: float = Field(default=0.0, ge=0, le=3600)
    rows: int = 0
    created: int = 0
    revised: int = 0
    unchanged: int = 0
    failed: int = 0
    percent: float = 0.0


class ImportOutcome(Frozen):
    """Result of ImportWorkflow. A run that fails or is cancelled in Temporal has none."""

    end: StretchEnd
    rows: int = 0
    failed: int = 0


class ImportConclusion(StrEnum):
    FAILED = "failed"
    CANCELLED = "cancelled"


class ConcludeImportRequest(Frozen):
    """How an import ends that was not read to its end. `reason` is an error's code or a *_REASON constant."""

    ref: ImportRef
    conclusion: ImportConclusion
    reason: Code
    detail: Detail = ""


class ConcludeImportResult(Frozen):
    """concluded: False when it had ended, was paused or belongs to a newer run by then."""

    concluded: bool


class QueueKind(StrEnum):
    """Which task queue serves a contract. ENGINE queues are one per engine kind: `parley-{family}-{kind}`."""

    CONVERSATIONS = "conversations"
    IMPORTS = "imports"
    TRANSCRIPTION = "transcription"
    LANGUAGE_MODEL = "language-model"


I = TypeVar("I", bound=BaseModel)  # noqa: E741
O = TypeVar("O", bound=BaseModel)  # noqa: E741


@dataclass(frozen=True)
class Contract(Generic[I, O]):
    """One activity as both sides see it. `policy` is the key in temporal-config/policies.toml."""

    name: str
    input: type[I]
    output: type[O]
    queue: QueueKind
    policy: str
    local: bool = False

    def __post_init__(self) -> None:
        for model in (self.input, self.output):
            _require_bounded(model, self.name)


CONVERSATIONS_QUEUE = "parley-conversations"
IMPORTS_QUEUE = "parley-imports"

_ONLY_ONE = {QueueKind.CONVERSATIONS: CONVERSATIONS_QUEUE, QueueKind.IMPORTS: IMPORTS_QUEUE}


def task_queue(queue: QueueKind, kind: str | None = None) -> str:
    """The task queue's name; engine queues need the engine's kind."""
    if queue in _ONLY_ONE:
        return _ONLY_ONE[queue]
    if kind is None:
        raise ValueError(f"queue {queue.value} needs the engine's kind")
    return f"parley-{queue.value}-{kind}"


def _require_bounded(model: type[BaseModel], where: str) -> None:
    for name, info in model.model_fields.items():
        _require_bounded_type(info.annotation, list(info.metadata), f"{where}: {model.__name__}.{name}")


def _require_bounded_type(annotation: Any, metadata: list[Any], where: str) -> None:
    if get_origin(annotation) is Annotated:
        inner, *extra = get_args(annotation)
        _require_bounded_type(inner, [*metadata, *extra], where)
    elif annotation is str:
        if not any(getattr(m, "max_length", None) or getattr(m, "pattern", None) for m in metadata):
            raise TypeError(f"{where} is a text without bound")
    elif get_origin(annotation) in (tuple, list, dict):
        if not any(isinstance(m, MaxLen) or getattr(m, "max_length", None) for m in metadata):
            raise TypeError(f"{where} is a collection without bound")
        for part in get_args(annotation):
            if part is not Ellipsis:
                _require_bounded_type(part, [], where)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        _require_bounded(annotation, where)
    else:
        for part in get_args(annotation):
            _require_bounded_type(part, [], where)


INGEST = Contract("ingest", RunRef, IngestResult, QueueKind.CONVERSATIONS, "ingest")
TRANSCRIBE = Contract("transcribe", RunRef, TranscribeResult, QueueKind.TRANSCRIPTION, "transcribe")
NORMALIZE = Contract("normalize", RunRef, NormalizeResult, QueueKind.CONVERSATIONS, "normalize")
PLAN = Contract("plan", PlanRequest, PlanResult, QueueKind.CONVERSATIONS, "plan", local=True)
ANALYZE = Contract("analyze", AnalyzeRequest, AnalyzeResult, QueueKind.LANGUAGE_MODEL, "analyze")
PERSIST = Contract("persist", RunRef, PersistResult, QueueKind.CONVERSATIONS, "persist")
CONCLUDE = Contract("conclude", ConcludeRequest, ConcludeResult, QueueKind.CONVERSATIONS, "conclude")

RECONCILE = Contract("reconcile", ReconcileRequest, ReconcileResult, QueueKind.CONVERSATIONS, "reconcile")

IMPORT_ROWS = Contract("import_rows", ImportRowsRequest, ImportRowsResult, QueueKind.IMPORTS, "import_rows")
CONCLUDE_IMPORT = Contract(
    "conclude_import", ConcludeImportRequest, ConcludeImportResult, QueueKind.IMPORTS, "conclude"
)

CONTRACTS: tuple[Contract[Any, Any], ...] = (
    INGEST,
    TRANSCRIBE,
    NORMALIZE,
    PLAN,
    ANALYZE,
    PERSIST,
    CONCLUDE,
    RECONCILE,
    IMPORT_ROWS,
    CONCLUDE_IMPORT,
)

CONVERSATION_WORKFLOW = "ConversationWorkflow"
IMPORT_WORKFLOW = "ImportWorkflow"
RECONCILE_WORKFLOW = "ReconcileWorkflow"


class Attribute(StrEnum):
    """Search attributes of a run, all keywords (`temporal-config/search-attributes.toml`). Never encrypted."""

    TENANT = "ParleyTenant"
    CHANNEL = "ParleyChannel"
    STAGE = "ParleyStage"
    OUTCOME = "ParleyOutcome"
    SOURCE = "ParleySource"
    LANE = "ParleyLane"
