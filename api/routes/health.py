"""For load balancers and supervisors; no key needed, nothing told but names of parts."""

from fastapi import APIRouter, Response

from api.deps import Services
from api.schemas.health import HealthOut, PartOut, ReadinessOut

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
async def readiness(services: Services, response: Response) -> ReadinessOut:
    """Whether conversations are accepted. Without Temporal or search they are, so those only degrade it."""
    report = await services.readiness.report()
    if not report.ready:
        response.status_code = 503
    status = "not_ready" if not report.ready else "degraded" if report.degraded else "ready"
    return ReadinessOut.model_validate(
        {"status": status, "parts": [PartOut.model_validate(part.model_dump()) for part in report.parts]}
    )
