"""Whether the service and its parts answer."""

from typing import Literal

from api.schemas.common import Out


class HealthOut(Out):
    status: Literal["ok"] = "ok"


class PartOut(Out):
    name: str
    ok: bool
    essential: bool
    milliseconds: float
    detail: str | None


class ReadinessOut(Out):
    """ready: conversations are accepted. degraded: ready, and a part that is not essential does not answer."""

    status: Literal["ready", "degraded", "not_ready"]
    parts: list[PartOut]
