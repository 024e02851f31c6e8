"""How a stage's failure ends a run: superseded, parked, or failed. Pure: Temporal's errors in, an Ending out."""

from dataclasses import dataclass

from temporalio.exceptions import ActivityError, ApplicationError, FailureError, RetryState, TimeoutError, TimeoutType

from domain.contracts import BACKPRESSURE_REASON, HEARTBEAT_REASON, TIMEOUT_REASON, Outcome
from domain.conversation import Stage
from domain.errors import (
    EngineQuotaExhausted,
    EngineRateLimited,
    InvalidInput,
    LimitExceeded,
    NoEngineForLanguage,
    ParleyError,
    Superseded,
    TooLarge,
    UndecodableContent,
    UnsupportedMedia,
)

PARKING = frozenset(
    error.code
    for error in (
        # what only decoding could tell: somebody has to look at the input
        UndecodableContent,
        UnsupportedMedia,
        TooLarge,
        InvalidInput,
        # somebody has to allow or configure an engine
        NoEngineForLanguage,
        # what a later try mends by itself
        EngineQuotaExhausted,
        EngineRateLimited,
        LimitExceeded,
    )
)
"""Codes that park a run instead of failing it; the retryable ones get here when their retries are used up."""

_MAX_DETAIL = 500
_MAX_CODE = 64
_QUEUED = (TimeoutType.SCHEDULE_TO_CLOSE, TimeoutType.SCHEDULE_TO_START)


@dataclass(frozen=True)
class Ending:
    """How a run ends. `attempts` of the stage that ended it, 0 when Temporal does not say."""

    outcome: Outcome
    stage: Stage | None = None
    reason: str | None = None
    detail: str = ""
    attempts: int = 0
    values: int = 0


class StageEnded(Exception):
    """A stage ended the run, or its own part of it."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


def ending_of(error: FailureError, stage: Stage, maximum_attempts: int) -> Ending:
    """What the last failure of a stage means for the run."""
    cause = _cause(error)
    if isinstance(cause, ApplicationError):
        return _of_code(cause, stage)
    if isinstance(cause, TimeoutError) and isinstance(error, ActivityError):
        return _of_timeout(error, cause, stage, maximum_attempts)
    return Ending(Outcome.FAILED, stage, ParleyError.code, "the activity failed without a reason")


def may_succeed_elsewhere(error: FailureError) -> bool:
    """Whether the same activity is worth a remote try after its local ones."""
    cause = _cause(error)
    return not (isinstance(cause, ApplicationError) and cause.non_retryable)


def _cause(error: FailureError) -> BaseException | None:
    """A remote activity's failure comes wrapped in an ActivityError, a local one's as it was raised."""
    return error.cause if isinstance(error, ActivityError) else error


def _of_code(cause: ApplicationError, stage: Stage) -> Ending:
    code = (cause.type or ParleyError.code)[:_MAX_CODE]
    if code == Superseded.code:
        return Ending(Outcome.SUPERSEDED, stage, code)
    attempts = cause.details[0] if cause.details and isinstance(cause.details[0], int) else 0
    outcome = Outcome.PARKED if code in PARKING else Outcome.FAILED
    return Ending(outcome, stage, code, cause.message[:_MAX_DETAIL], attempts)


def _of_timeout(error: ActivityError, cause: TimeoutError, stage: Stage, maximum_attempts: int) -> Ending:
    last = cause.cause
    if cause.type in _QUEUED and isinstance(last, ApplicationError):
        return _of_code(last, stage)  # it was tried, and waited for its next try when the time was up
    if cause.type in _QUEUED and not error.started_event_id:
        return Ending(Outcome.PARKED, stage, BACKPRESSURE_REASON, "no worker was free within the time allowed")
    attempts = maximum_attempts if error.retry_state is RetryState.MAXIMUM_ATTEMPTS_REACHED else 0
    if cause.type is TimeoutType.HEARTBEAT:
        return Ending(Outcome.FAILED, stage, HEARTBEAT_REASON, "the worker stopped reporting progress", attempts)
    return Ending(Outcome.FAILED, stage, TIMEOUT_REASON, "the stage did not end within its time", attempts)
