"""How the pages say things: times in the tenant's zone, lengths, numbers, and the words for states."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

CHANNELS = {"call": "Calls", "chat": "Chats", "email": "Emails", "ticket": "Tickets"}
CHANNEL = {"call": "Call", "chat": "Chat", "email": "Email", "ticket": "Ticket"}
STATUSES = {
    "received": "Received",
    "processing": "In progress",
    "completed": "Completed",
    "completed_with_gaps": "Completed with gaps",
    "parked": "Waiting",
    "failed": "Failed",
}
TONES = {
    "completed": "good",
    "completed_with_gaps": "warn",
    "parked": "warn",
    "failed": "bad",
    "received": "busy",
    "processing": "busy",
    "running": "busy",
    "pending": "busy",
    "skipped": "quiet",
    "ran": "good",
    "planned": "busy",
    "value": "good",
    "unknown": "quiet",
    "unsupported": "warn",
    "not_planned": "quiet",
    "not_activated": "quiet",
}
"""How a state is coloured; its word always stands beside the colour."""

STATES = {
    "ran": "Done",
    "planned": "Planned",
    "skipped": "Skipped",
    "failed": "Failed",
    "parked": "Waiting",
    "completed": "Done",
    "running": "Running",
    "pending": "Pending",
    "value": "Known",
    "unknown": "Unknown",
    "unsupported": "Not supported by quotes",
    "not_planned": "Not planned",
    "not_activated": "Not switched on",
}
STAGES = {
    "ingest": "Read and check",
    "transcribe": "Transcribe",
    "normalize": "Turns and masking",
    "plan": "Plan tasks",
    "analyze": "Analyse",
    "persist": "Store values",
    "index": "Make searchable",
    "deliver": "Deliver",
}
ROLES = {"agent": "Agent", "customer": "Customer", "bot": "Bot", "system": "System", "unknown": "Speaker"}
KINDS = {"stated": "Stated", "inferred": "Inferred", "unknown": "Unknown"}
DIMENSIONS = {"channel": "Channel", "source": "Source", "queue": "Queue", "team": "Team", "language": "Language"}


def channel(value: str) -> str:
    return CHANNEL.get(value, value)


def channels(value: str) -> str:
    return CHANNELS.get(value, value)


def status(value: str) -> str:
    return STATUSES.get(value, value)


def tone(value: str) -> str:
    return TONES.get(value, "quiet")


def state(value: str) -> str:
    return STATES.get(value, sentence(value))


def stage(value: str) -> str:
    return STAGES.get(value, value)


def speaker(value: str) -> str:
    return ROLES.get(value, value)


def sentence(value: str) -> str:
    """`tenant_admin` → `Tenant admin`."""
    return value.replace("_", " ").replace("-", " ").capitalize()


def dimension_value(value: str, dimension: str) -> str:
    """A value of a dimension as it is offered; an empty one stands for none."""
    if not value:
        return f"No {dimension}"
    return CHANNEL.get(value, value) if dimension == "channel" else value


def moment(at: datetime | None, zone: str) -> str:
    """`20 Oct 2026, 10:05`."""
    return "" if at is None else f"{at.astimezone(ZoneInfo(zone)):%-d %b %Y, %H:%M}"


def clock(at: datetime | None, zone: str) -> str:
    """`10:05:33`."""
    return "" if at is None else f"{at.astimezone(ZoneInfo(zone)):%H:%M:%S}"


def iso(at: datetime | None) -> str:
    """For machines."""
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="seconds")


def day(value: date) -> str:
    """`20 Oct 2026`."""
    return f"{value:%-d %b %Y}"


def short_day(value: date) -> str:
    """`20 Oct`."""
    return f"{value:%-d %b}"


def position(ms: int | None) -> str:
    """Where in a call: `1:02` or `1:00:02`."""
    if ms is None:
        return ""
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def lasting(seconds: float | None) -> str:
    """How long something took: `2 min 5 s`."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days"


def count(value: int) -> str:
    return f"{value:,}"


def counted(value: int, one: str, many: str | None = None) -> str:
    """`1 value`, `2 values`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def number(value: float | None) -> str:
    """Two decimals at most, and none that say nothing."""
    if value is None:
        return "–"
    return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"


def average(value: float | None) -> str:
    """Always one decimal, so that columns line up."""
    return "–" if value is None else f"{value:,.1f}"


def percent(share: float) -> str:
    if 0 < share < 0.005:
        return "<1%"
    return f"{share:.0%}"


FILTERS: Mapping[str, Callable[..., Any]] = {
    "channel": channel,
    "channels": channels,
    "status": status,
    "tone": tone,
    "state": state,
    "stage": stage,
    "speaker": speaker,
    "sentence": sentence,
    "dimension_value": dimension_value,
    "moment": moment,
    "clock": clock,
    "iso": iso,
    "day": day,
    "short_day": short_day,
    "position": position,
    "lasting": lasting,
    "count_": count,
    "counted": counted,
    "number": number,
    "average": average,
    "percent": percent,
    "kind": lambda value: KINDS.get(value, value),
    "dimension": lambda value: DIMENSIONS.get(value, value),
}
