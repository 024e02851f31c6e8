"""The one error tree.

Every error has a stable `code` (dashboards, problem documents and the Temporal failure type use it), a
message without secrets or personal data, and says whether trying again can help. `infra.temporal.failures`
is the one place that turns these into Temporal's retry decisions, `api.problems` the one that turns them
into HTTP answers.
"""

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from domain.engine import Usage


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong with one field of an input. `field` is a path such as `messages[3].at`."""

    field: str
    reason: str


class ParleyError(Exception):
    """Anything Parley raises on purpose."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# -- what a caller did ------------------------------------------------------------------------------------


class InvalidInput(ParleyError):
    """The input is refused; names each field and why. Nothing was stored."""

    code = "invalid_input"
    title = "The input is not valid"

    def __init__(self, message: str, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems

    @classmethod
    def of(cls, field: str, reason: str) -> Self:
        return cls(f"{field}: {reason}", (FieldProblem(field, reason),))


class InvalidFilter(InvalidInput):
    """A filter expression that does not parse or names an unknown field.

    `column` (1, 2, 3 …) is where in the text form the trouble starts; None when there is no text, as in the JSON form.
    """

    code = "invalid_filter"
    title = "The filter is not valid"

    def __init__(self, message: str, problems: tuple[FieldProblem, ...] = (), column: int | None = None) -> None:
        super().__init__(message, problems)
        self.column = column

    @classmethod
    def at(cls, column: int | None, reason: str) -> "InvalidFilter":
        where = reason if column is None else f"column {column}: {reason}"
        return cls(f"filter: {where}", (FieldProblem("filter", where),), column)


class TooLarge(InvalidInput):
    """A body, upload or part of one is over its cap."""

    code = "too_large"
    title = "The input is too large"


class UnsupportedMedia(InvalidInput):
    """Bytes that are not what they say they are, or of a kind that is not read here."""

    code = "unsupported_media"
    title = "This kind of content is not supported"


class NotFound(ParleyError):
    """There is no such thing for this caller: absent and forbidden look the same."""

    code = "not_found"
    title = "Not found"


class Conflict(ParleyError):
    """The request contradicts what is stored."""

    code = "conflict"
    title = "Conflict with the current state"


class IdempotencyMismatch(InvalidInput):
    """The same Idempotency-Key came with another body."""

    code = "idempotency_mismatch"
    title = "This Idempotency-Key was used with another body"


class Unauthenticated(ParleyError):
    code = "unauthenticated"
    title = "Authentication is required"


class Forbidden(ParleyError):
    """The caller is known and may not do this."""

    code = "forbidden"
    title = "Not allowed"


class LimitExceeded(ParleyError):
    """A tenant's limit is used up. `retry_after` is in seconds."""

    code = "limit_exceeded"
    title = "A limit is used up"
    retryable = True

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


# -- what a stage met -------------------------------------------------------------------------------------


class Unavailable(ParleyError):
    """A part Parley stands on does not answer: database, content store, search, Temporal."""

    code = "unavailable"
    title = "A part of the service is not available"
    retryable = True


class ContentMissing(ParleyError):
    """A content reference leads nowhere."""

    code = "content_missing"
    title = "The raw content is gone"


class ContentDamaged(ParleyError):
    """Stored content does not decrypt or does not match its hash."""

    code = "content_damaged"
    title = "The raw content is damaged"


class UndecodableContent(ParleyError):
    """Only decoding could tell: the audio or the thread cannot be read. Parks the conversation."""

    code = "undecodable_content"
    title = "The content cannot be decoded"


class NoEngineForLanguage(ParleyError):
    """No transcription engine the tenant may use hears this language. Parks the conversation."""

    code = "no_engine_for_language"
    title = "No transcription engine for this language"


class Superseded(ParleyError):
    """A newer revision or entry has taken the conversation over; this run may not write."""

    code = "superseded"
    title = "A newer run has taken over"


# -- what an engine answered ------------------------------------------------------------------------------


class EngineError(ParleyError):
    """Base of everything that goes wrong at a transcription engine or language model."""

    code = "engine_error"
    title = "The engine failed"


class EngineUnavailable(EngineError):
    """5xx, connection refused or dropped: worth another try. `retry_after` in seconds where it is known to be of no
    use before."""

    code = "engine_unavailable"
    title = "The engine is not available"
    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineTimeout(EngineError):
    """No answer within the time given: worth another try."""

    code = "engine_timeout"
    title = "The engine did not answer in time"
    retryable = True


class EngineRateLimited(EngineError):
    """429. `retry_after` in seconds as the provider says, None when it does not."""

    code = "engine_rate_limited"
    title = "The engine limits the rate"
    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineQuotaExhausted(EngineError):
    """A daily or paid quota is used up: no retry helps today, so the run is parked."""

    code = "engine_quota_exhausted"
    title = "The engine's quota is used up"


class EngineRejected(EngineError):
    """4xx: the request itself is refused (credentials, unknown model, bad audio)."""

    code = "engine_rejected"
    title = "The engine refused the request"


class EngineDefect(EngineError):
    """An adapter raised what it never should: a defect of ours. Worth another try, and a look at the log."""

    code = "engine_defect"
    title = "The engine's adapter failed"
    retryable = True


class EngineAnswerError(EngineError):
    """The engine answered, and the answer is of no use. The raw answer is kept with the engine call.

    raw: what came, as far as it came; usage: what it is billed for. An adapter gives both where the provider does.
    They travel with the exception only, never in its message. call_id: the engine call it is recorded as.
    """

    code = "engine_answer"
    title = "The engine's answer is of no use"

    def __init__(self, message: str, *, raw: str | None = None, usage: "Usage | None" = None) -> None:
        super().__init__(message)
        self.raw = raw
        self.usage = usage
        self.call_id: str | None = None


class EngineRefused(EngineAnswerError):
    """The model itself declines to answer."""

    code = "engine_refused"
    title = "The engine refused to answer"


class EngineBlocked(EngineAnswerError):
    """A filter of the provider's (safety, recitation, personal data) withheld the request or the answer."""

    code = "engine_blocked"
    title = "The provider's filter withheld the answer"


class EngineAnswerTruncated(EngineAnswerError):
    """The answer stopped at the output limit."""

    code = "engine_answer_truncated"
    title = "The engine's answer is cut off"


class EngineAnswerEmpty(EngineAnswerError):
    code = "engine_answer_empty"
    title = "The engine's answer is empty"


class EngineAnswerMalformed(EngineAnswerError):
    """Not JSON, HTML, half a JSON, or not of the schema."""

    code = "engine_answer_malformed"
    title = "The engine's answer is not readable"


def where(error: BaseException) -> str:
    """The chain of types and the stack of an unexpected error: what a developer needs, without any message, because
    that may hold anything."""
    chain: list[str] = []
    current: BaseException | None = error
    while current is not None and len(chain) < _CHAIN:
        chain.append(type(current).__qualname__)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    frames = traceback.extract_tb(error.__traceback__)
    stack = "; ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{' from '.join(chain)} at {stack}"


_CHAIN = 10
