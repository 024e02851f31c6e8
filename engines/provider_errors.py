"""What a provider's HTTP answer means in our error tree: the same for every provider that says it with status codes."""

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime

from domain.clock import utc_now
from domain.errors import (
    EngineAnswerMalformed,
    EngineBlocked,
    EngineError,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)

LONGEST_WAIT_SECONDS = 3600.0
"""A provider that says to come back later than this means a daily quota, whatever it calls it."""

_QUOTA = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_error",
        "quota_exceeded",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
    }
)
_FILTERED = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
_SAFE_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,60}")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def error_of_status(
    said_by: str,
    status: int,
    *,
    headers: Mapping[str, str] | None = None,
    codes: Iterable[object] = (),
    wait: float | None = None,
) -> EngineError:
    """Our error for an HTTP status that is no answer.

    said_by: who answered, in our words; codes: what the body calls the error, used and repeated only where it is a
    plain code; wait: seconds to wait where the body says so, else the headers do. Provider messages are never
    repeated: they may quote the request.
    """
    named = [code for code in codes if isinstance(code, str) and _SAFE_CODE.fullmatch(code)]
    said = f"{said_by} answered {status}" + (f" ({named[0]})" if named else "")
    if wait is None:
        wait = retry_after(headers or {})
    if _FILTERED.intersection(named):
        return EngineBlocked(f"{said}: the provider's content filter")
    if status in (402, 429) or _QUOTA.intersection(named):
        daily = status != 429 or bool(_QUOTA.intersection(named)) or (wait or 0) > LONGEST_WAIT_SECONDS
        return EngineQuotaExhausted(f"{said}: the quota is used up") if daily else EngineRateLimited(said, wait)
    if status in (408, 504):
        return EngineTimeout(said)
    if status >= 500:
        return EngineUnavailable(said)
    if status >= 400:
        return EngineRejected(said)
    return EngineAnswerMalformed(f"{said} with something that is not readable")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `retry-after-ms` or `Retry-After` (seconds or a date, RFC 9110 section 10.2.3)."""
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    milliseconds = lower.get("retry-after-ms", "")
    if re.fullmatch(r"\d+(\.\d+)?", milliseconds):
        return float(milliseconds) / 1000
    value = lower.get("retry-after", "")
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - utc_now()).total_seconds())
    except (ValueError, TypeError):
        return None


def seconds_of(duration: object) -> float | None:
    """`37s`, `1.5s`, `6m0s`, `1h2m3s` in seconds; None for anything else."""
    match = _DURATION.fullmatch(duration) if isinstance(duration, str) and duration else None
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
