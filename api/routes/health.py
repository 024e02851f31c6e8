"""For load balancers and supervisors; no key needed, and nothing told but which parts answer."""

from fastapi import APIRouter, Request, Response

from api.auth import principal_of
from api.deps import Services
from api.schemas.health import HealthOut, PartOut, ReadinessOut
from domain.errors import ParleyError
from domain.fields import Owner
from services.authenticate import Scope

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=HealthOut)
async def health() -> HealthOut:
    """The process answers."""
    return HealthOut()


@router.get(
    "/readyz",
    response_model=ReadinessOut,
    responses={503: {"model": ReadinessOut, "description": "A part without which nothing can be accepted is away."}},
)
async def readiness(request: Request, services: Services, response: Response) -> ReadinessOut:
    """Whether conversations are accepted. Without Temporal or search they are, so those only degrade it.

    What was seen of a part that is well is told to the platform's operators only: it counts everybody's conversations.
    """
    report = await services.readiness.report()
    if not report.ready:
        response.status_code = 503
    operator = await _is_operator(request)
    parts = [
        PartOut.model_validate(part.model_dump() | ({} if operator or not part.ok else {"detail": None}))
        for part in report.parts
    ]
    status = "not_ready" if not report.ready else "degraded" if report.degraded else "ready"
    return ReadinessOut.model_validate({"status": status, "parts": parts})


async def _is_operator(request: Request) -> bool:
    if "authorization" not in request.headers:
        return False
    try:
        principal = await principal_of(request)
    except ParleyError:
        return False
    return principal.level is Owner.OPERATOR and principal.may(Scope.OPERATE)
