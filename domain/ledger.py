"""Task runs: the ledger that answers "why is this empty?"."""

from enum import StrEnum

from pydantic import AwareDatetime

from domain.conversation import Frozen, Slug
from domain.ids import IdStr


class RunState(StrEnum):
    PLANNED = "planned"
    RAN = "ran"
    SKIPPED = "skipped"
    FAILED = "failed"
    PARKED = "parked"


class Reason(StrEnum):
    """Why a run is in its state. Words and remedy: `REASONS`."""

    FILTERED_OUT = "filtered_out"
    SAMPLED_OUT = "sampled_out"
    NOT_ACTIVATED = "not_activated"
    CHANNEL_NOT_COVERED = "channel_not_covered"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    NO_TRANSCRIPT = "no_transcript"
    NO_SPEECH = "no_speech"
    ENGINE_NOT_ALLOWED = "engine_not_allowed"
    NO_NAME_DETECTOR = "no_name_detector"
    UNCHANGED_INPUT = "unchanged_input"
    JOB_PAUSED = "job_paused"
    TASK_RETIRED = "task_retired"
    BUDGET_EXHAUSTED = "budget_exhausted"
    ENGINE_QUOTA = "engine_quota"
    ENGINE_RATE_LIMITED = "engine_rate_limited"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    ENGINE_TIMEOUT = "engine_timeout"
    ENGINE_REJECTED = "engine_rejected"
    ANSWER_REFUSED = "answer_refused"
    ANSWER_BLOCKED = "answer_blocked"
    ANSWER_TRUNCATED = "answer_truncated"
    ANSWER_RUNAWAY = "answer_runaway"
    ANSWER_EMPTY = "answer_empty"
    ANSWER_MALFORMED = "answer_malformed"
    SCHEMA_MISMATCH = "schema_mismatch"
    PROMPT_FAILED = "prompt_failed"
    ENGINE_NOT_CONFIGURED = "engine_not_configured"
    INTERNAL = "internal"


class ReasonText(Frozen):
    words: str
    remedy: str


REASONS: dict[Reason, ReasonText] = {
    Reason.FILTERED_OUT: ReasonText(
        words="The task's filter does not match this conversation.",
        remedy="Change the task's filter, or override it for this tenant.",
    ),
    Reason.SAMPLED_OUT: ReasonText(
        words="The task runs on a sample, and this conversation is not in it.",
        remedy="Raise the task's sample share.",
    ),
    Reason.NOT_ACTIVATED: ReasonText(
        words="No active task of this tenant fills the field.", remedy="Activate a task that fills it."
    ),
    Reason.CHANNEL_NOT_COVERED: ReasonText(
        words="The task does not cover this channel.", remedy="Add the channel to the task."
    ),
    Reason.TOO_SHORT: ReasonText(
        words="There is too little text from the customer to analyse.", remedy="Nothing: this is no gap."
    ),
    Reason.TOO_LONG: ReasonText(
        words="The conversation is longer than the task, or its engine, reads.",
        remedy="Set the task's long input to windowed, raise its limit, or choose an engine with a larger context.",
    ),
    Reason.NO_TRANSCRIPT: ReasonText(
        words="There is no transcript.", remedy="See the transcribe stage; re-drive the conversation."
    ),
    Reason.NO_SPEECH: ReasonText(words="Nobody speaks in the recording.", remedy="Nothing: this is no gap."),
    Reason.ENGINE_NOT_ALLOWED: ReasonText(
        words="The task's engine is not on this tenant's allow list.",
        remedy="Allow the engine, or choose another.",
    ),
    Reason.NO_NAME_DETECTOR: ReasonText(
        words="Names cannot be detected in this language, and the engine is outside.",
        remedy="Allow the language for external engines, or use an engine on the premises.",
    ),
    Reason.UNCHANGED_INPUT: ReasonText(
        words="Nothing the task reads has changed; the value stands.", remedy="Nothing to do."
    ),
    Reason.JOB_PAUSED: ReasonText(words="The AI Assistant job is paused.", remedy="Resume the job."),
    Reason.TASK_RETIRED: ReasonText(words="The task's version is retired.", remedy="Publish a newer version."),
    Reason.BUDGET_EXHAUSTED: ReasonText(
        words="The tenant's budget is used up; the run waits for the next window.",
        remedy="Raise the budget, or wait.",
    ),
    Reason.ENGINE_QUOTA: ReasonText(
        words="The engine's quota is used up; the run waits.",
        remedy="Raise the quota with the provider, or wait.",
    ),
    Reason.ENGINE_RATE_LIMITED: ReasonText(
        words="The engine limits the rate, after all retries; the run waits.",
        remedy="Nothing: it is tried again by itself. If it lasts, lower the concurrency.",
    ),
    Reason.ENGINE_UNAVAILABLE: ReasonText(
        words="The engine did not answer after all retries.", remedy="Check the engine, then re-drive."
    ),
    Reason.ENGINE_TIMEOUT: ReasonText(
        words="The engine took too long after all retries.", remedy="Check the engine, then re-drive."
    ),
    Reason.ENGINE_REJECTED: ReasonText(
        words="The engine refused the request.",
        remedy="Check credentials, model name and region with `parley doctor`.",
    ),
    Reason.ANSWER_REFUSED: ReasonText(
        words="The model declined to answer.",
        remedy="Look at the task's prompt and at the conversation, or choose another engine for the task.",
    ),
    Reason.ANSWER_BLOCKED: ReasonText(
        words="A filter of the provider's (safety, recitation, personal data) withheld the answer.",
        remedy="Set the engine's `safety` parameter to block less, or choose another engine for the task.",
    ),
    Reason.ANSWER_TRUNCATED: ReasonText(
        words="The answer stopped at the output limit.", remedy="Raise the task's max_output_tokens."
    ),
    Reason.ANSWER_RUNAWAY: ReasonText(
        words="The model repeated itself until the output limit, also after one repair.",
        remedy="Re-run, or choose another engine; a higher output limit does not help.",
    ),
    Reason.ANSWER_EMPTY: ReasonText(words="The model answered nothing.", remedy="Re-run, or choose another engine."),
    Reason.ANSWER_MALFORMED: ReasonText(
        words="The answer is not readable JSON, also after one repair.",
        remedy="Re-run, or choose another engine.",
    ),
    Reason.SCHEMA_MISMATCH: ReasonText(
        words="The answer does not fit the fields' schema, also after one repair.",
        remedy="Look at the raw answer; mend prompt or options.",
    ),
    Reason.PROMPT_FAILED: ReasonText(
        words="The task's prompt could not be rendered.",
        remedy="Mend the prompt; the message names the line.",
    ),
    Reason.ENGINE_NOT_CONFIGURED: ReasonText(
        words="The task names an engine that does not exist here.",
        remedy="Configure the engine, or name another.",
    ),
    Reason.INTERNAL: ReasonText(
        words="A defect in Parley stopped the run.",
        remedy="See the dead letter; report it with the request id.",
    ),
}

GAP_STATES = frozenset({RunState.FAILED, RunState.PARKED})
"""A skip is not a gap; a planned task that failed or is parked is one."""


class TaskRun(Frozen):
    """One row of the ledger. Key: (conversation, revision, task, input_hash, entry)."""

    id: IdStr
    conversation_id: IdStr
    revision: int
    entry: int
    task_id: IdStr
    task_slug: Slug
    task_version: str
    engine: Slug | None = None
    input_hash: str
    state: RunState
    reason: Reason | None = None
    detail: str | None = None
    attempts: int = 0
    engine_calls: tuple[IdStr, ...] = ()
    job_id: IdStr | None = None
    updated_at: AwareDatetime | None = None
