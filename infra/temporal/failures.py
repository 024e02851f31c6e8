"""The one place where errors become Temporal's retry decisions.

An interceptor around every activity turns what was raised into an `ApplicationError`: type = the error's code
(stable, not encrypted), message = our own words (encrypted), retryable or not as the error says. Activities raise
domain errors and never think of Temporal.

The message of an unexpected exception may hold anything, so only its type leaves the process; the log gets the
stack (file, line, function) without messages.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    FailureError,
)
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.errors import (
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineUnavailable,
    LimitExceeded,
    ParleyError,
    Superseded,
    UndecodableContent,
    where,
)
from infra.telemetry.stages import facts_of_run

TIMEOUT = "timeout"
INTERNAL = "internal"

MAX_MESSAGE = 500

_EXPECTED: tuple[type[ParleyError], ...] = (
    EngineQuotaExhausted,
    EngineRateLimited,
    LimitExceeded,
    Superseded,
    UndecodableContent,
)
"""Part of normal running: Temporal neither logs nor counts them as failures (category BENIGN)."""

_log = logging.getLogger(__name__)


def to_application_error(
    error: Exception, *, attempt: int, jitter: Callable[[], float] = random.random
) -> ApplicationError:
    """What Temporal is told. The details carry the number of the attempt; `jitter` gives a number in [0, 1)."""
    if isinstance(error, ParleyError):
        return ApplicationError(
            error.message[:MAX_MESSAGE],
            attempt,
            type=error.code,
            non_retryable=not error.retryable,
            next_retry_delay=_retry_delay(error, jitter()),
            category=ApplicationErrorCategory.BENIGN
            if isinstance(error, _EXPECTED)
            else ApplicationErrorCategory.UNSPECIFIED,
        )
    if isinstance(error, TimeoutError):
        return ApplicationError("no answer in time", attempt, type=TIMEOUT)
    return ApplicationError(f"unexpected {_type_name(error)}", attempt, type=INTERNAL)


def _retry_delay(error: ParleyError, jitter: float) -> timedelta | None:
    """As the provider says, and up to a quarter longer (at least a second), so that tries do not come back
    together. None: the policy's own back-off."""
    if not isinstance(error, EngineRateLimited | EngineUnavailable | LimitExceeded) or error.retry_after is None:
        return None
    wanted = max(0.0, error.retry_after)
    return timedelta(seconds=wanted + jitter * max(1.0, wanted / 4))


def describe(error: BaseException) -> str:
    """A decoded Temporal failure in one line: the innermost thing that was said, without stack."""
    while isinstance(error, FailureError) and error.cause is not None and isinstance(error, ActivityError):
        error = error.cause
    if isinstance(error, ApplicationError):
        return (f"{error.type}: {error.message}" if error.type else error.message)[:MAX_MESSAGE]
    if isinstance(error, FailureError):
        return error.message[:MAX_MESSAGE]
    return _type_name(error)


class FailureInterceptor(Interceptor):
    """Wraps every activity of every worker that is built on a client with the plugin."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _MapFailures(next)


class _MapFailures(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await self.next.execute_activity(input)
        except (FailureError, asyncio.CancelledError):
            raise
        except Exception as error:
            mapped = to_application_error(error, attempt=activity.info().attempt)
            if mapped.type == INTERNAL:
                _log.error("%s failed: %s", activity.info().activity_type, where(error))
        raise mapped  # outside the handler: no context, so nothing of the original error travels along


class OneLine(logging.Filter):
    """The SDK logs every failed try with the stack of its own machinery, outside of what is observed; what failed and
    whose it is, in one line, says more."""

    def filter(self, record: logging.LogRecord) -> bool:
        tried = getattr(record, "temporal_activity", None)
        if isinstance(tried, dict):
            whose = facts_of_run(str(tried.get("workflow_id")))
            record.fields = {"stage": tried.get("activity_type"), "attempt": tried.get("attempt"), **whose}
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ApplicationError):
            record.msg, record.args = f"{record.getMessage()}: {error}", ()
            record.exc_info = record.exc_text = None
        return True


def log_failures_in_one_line() -> None:
    """For worker processes, once at their start. Which try it was is told beside the line, not in it."""
    activity.logger.activity_info_on_message = False
    activity.logger.base_logger.addFilter(OneLine())


def _type_name(error: BaseException) -> str:
    return type(error).__qualname__
