"""RateLimit headers and the 429, decided on the age of the tenant's backlog.

Header fields as in the IETF draft "RateLimit header fields for HTTP"; the quota is seconds of age, not requests.
"""

import math

from fastapi import Request

from api.auth import Caller
from services.backlog import BacklogState
from services.facade import ApiServices

_UNIT = "backlog-seconds"


async def require_room(request: Request, caller: Caller) -> None:
    """Sets the headers of the answer. Raises LimitExceeded."""
    services: ApiServices = request.app.state.services
    state = await services.backlog.state(caller.tenant_id)
    request.scope["parley.headers"] += _headers(state)
    state.require_room()


def _headers(state: BacklogState) -> list[tuple[bytes, bytes]]:
    limit, remaining = math.floor(state.limit), math.floor(state.remaining)
    after = math.ceil(state.retry_after) if remaining == 0 else 0
    return [
        (b"ratelimit-policy", f'"backlog";q={limit};qu="{_UNIT}"'.encode()),
        (b"ratelimit", f'"backlog";r={remaining};t={after}'.encode()),
    ]
