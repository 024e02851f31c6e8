"""Accounts of the people who look at a tenant's pages."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from api.body import JsonBody, Received
from api.deps import Configurer, IdempotencyKey, Services
from api.idempotency import once
from api.schemas.users import PasswordIn, UserIn, UserListOut, UserOut
from domain.ids import UUID_PATTERN
from domain.people import UserChange

router = APIRouter(prefix="/v1/users", tags=["users"])

UserId = Annotated[str, Path(pattern=UUID_PATTERN, description="The account's id.")]

_SMALL = 16 * 1024


@router.get("", response_model=UserListOut)
async def list_users(caller: Configurer, services: Services) -> UserListOut:
    """The tenant's accounts, by address; those that were removed are left out."""
    return UserListOut(items=[UserOut.of(user) for user in await services.users.list(caller.tenant_id)])


@router.post("", status_code=201, response_model=UserOut)
async def create_user(
    request: Request,
    caller: Configurer,
    services: Services,
    body: Annotated[Received[UserIn], Depends(JsonBody(UserIn, limit=_SMALL))],
    key: IdempotencyKey = None,
) -> Response:
    """An account that can sign in. 409 when the address is taken. The roles operator and partner_admin are given by
    keys of the platform or the partner only."""
    new = body.value.account()

    async def create() -> tuple[int, BaseModel]:
        user = await services.users.create(
            caller.principal,
            caller.tenant_id,
            new,
            body.value.password.get_secret_value(),
            origin=caller.origin,
        )
        return 201, UserOut.of(user)

    # The password is no part of what makes a request the same: nothing made from it is kept but its slow hash.
    return await once(request, caller, new.model_dump_json().encode(), create)


@router.patch("/{user_id}", response_model=UserOut)
async def change_user(
    user_id: UserId,
    caller: Configurer,
    services: Services,
    body: Annotated[Received[UserChange], Depends(JsonBody(UserChange, limit=_SMALL))],
) -> UserOut:
    """Name, role, state. Whoever is locked, removed or given another role is signed out."""
    changed = await services.users.change(caller.principal, caller.tenant_id, user_id, body.value, origin=caller.origin)
    return UserOut.of(changed)


@router.put("/{user_id}/password", response_model=UserOut)
async def set_password(
    user_id: UserId,
    caller: Configurer,
    services: Services,
    body: Annotated[Received[PasswordIn], Depends(JsonBody(PasswordIn, limit=_SMALL))],
) -> UserOut:
    """Another password; the person is signed out everywhere."""
    changed = await services.users.set_password(
        caller.principal,
        caller.tenant_id,
        user_id,
        body.value.password.get_secret_value(),
        origin=caller.origin,
    )
    return UserOut.of(changed)
