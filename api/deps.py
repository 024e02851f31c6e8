"""Annotated aliases for what routes ask for."""

from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request

from api.auth import Caller, Require, RequirePlatform
from api.limits import require_room
from domain.ids import UUID_PATTERN
from services.authenticate import Principal, Scope
from services.facade import ApiServices


async def _services(request: Request) -> ApiServices:  # not async, it would cost a thread switch a request
    services: ApiServices = request.app.state.services
    return services


Services = Annotated[ApiServices, Depends(_services)]

Reader = Annotated[Caller, Depends(Require(Scope.READ))]
Ingester = Annotated[Caller, Depends(Require(Scope.INGEST))]
Configurer = Annotated[Caller, Depends(Require(Scope.CONFIGURE))]
Operator = Annotated[Caller, Depends(Require(Scope.OPERATE))]
PlatformConfigurer = Annotated[Principal, Depends(RequirePlatform(Scope.CONFIGURE))]
PlatformOperator = Annotated[Principal, Depends(RequirePlatform(Scope.OPERATE))]
AnyKey = Annotated[Principal, Depends(RequirePlatform())]


async def _ingester_with_room(request: Request, caller: Ingester) -> Caller:
    await require_room(request, caller)
    return caller


IngesterWithRoom = Annotated[Caller, Depends(_ingester_with_room)]
"""An ingester whose tenant's backlog is young enough for more."""

ConversationId = Annotated[str, Path(pattern=UUID_PATTERN, description="The conversation's id.")]
UploadId = Annotated[str, Path(pattern=UUID_PATTERN, description="The upload's id.")]
DeadLetterId = Annotated[str, Path(pattern=UUID_PATTERN, description="The dead letter's id.")]
SourceName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="The source's slug, or its id.")]
EventId = Annotated[str, Path(pattern=UUID_PATTERN, description="The event's id.")]
ImportId = Annotated[str, Path(pattern=UUID_PATTERN, description="The import's id.")]
TaskSlug = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="The task's slug.")]

Revision = Annotated[int | None, Query(ge=1, le=1_000_000, description="Which revision; the current one unless given.")]
WaitSeconds = Annotated[
    float,
    Query(ge=0, le=60, description="Wait up to so many seconds for the run to end, and answer with what came of it."),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="Send the same key again to get the same answer without a second effect; kept for 24 hours.",
    ),
]
