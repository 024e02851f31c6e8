"""Who calls: `Authorization: Bearer …`, the scopes a route needs, and the tenant it acts on."""

from dataclasses import dataclass

from fastapi import Request

from domain.errors import Unauthenticated
from services.authenticate import Principal, Scope
from services.facade import ApiServices

TENANT_HEADER = "Parley-Tenant"

_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Caller:
    """A request's caller and the tenant it acts on. origin: the address it came from."""

    principal: Principal
    tenant_id: str
    origin: str | None

    @property
    def actor(self) -> str:
        return self.principal.actor

    def may(self, scope: Scope) -> bool:
        return self.principal.may(scope)

    @property
    def operates(self) -> bool:
        """May see sensitive fields, links into Temporal, and what engines answered."""
        return self.principal.may(Scope.OPERATE)


class Require:
    """Dependency of every tenant's route: a known key with these scopes, acting on one tenant.

    The OpenAPI document and the tests read the scopes from here.
    """

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request) -> Caller:
        principal = await principal_of(request)
        principal.require(*self.scopes)
        services: ApiServices = request.app.state.services
        tenant = await services.authenticate.tenant_for(
            principal, request.headers.get(TENANT_HEADER), changes=request.method not in _READING
        )
        request.scope["parley.tenant"] = tenant.id
        return Caller(principal, tenant.id, origin_of(request))


class RequirePlatform:
    """Dependency of the platform's own routes: a known key with these scopes; what it may do there is the service's."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request) -> Principal:
        principal = await principal_of(request)
        principal.require(*self.scopes)
        return principal


async def principal_of(request: Request) -> Principal:
    """Raises Unauthenticated, Unavailable."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if not key:
        raise Unauthenticated("send the API key as Authorization: Bearer …")
    if scheme.lower() != "bearer":
        raise Unauthenticated("the scheme of Authorization is Bearer")
    services: ApiServices = request.app.state.services
    principal = await services.authenticate.principal(key.strip())
    request.scope["parley.key"] = principal.key_id
    return principal


def origin_of(request: Request) -> str | None:
    """The caller's address, for the audit trail."""
    return request.client.host if request.client else None
