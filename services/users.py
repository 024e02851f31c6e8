"""Accounts of people: made, changed and locked by whoever may configure the tenant."""

from collections.abc import Sequence

from domain.clock import Clock, utc_now
from domain.errors import Forbidden, NotFound
from domain.fields import Owner
from domain.ids import new_id
from domain.people import NewUser, User, UserChange, UserRole, UserState
from services.authenticate import Principal
from services.passwords import Passwords, require_good
from storage.protocols import Database, TenantTx

_GIVEN_BY: dict[UserRole, tuple[Owner, ...]] = {
    UserRole.OPERATOR: (Owner.OPERATOR,),
    UserRole.PARTNER_ADMIN: (Owner.OPERATOR, Owner.PARTNER),
}
"""Roles above the tenant are given from above; every other one by any key that may configure."""


class ManageUsers:
    """Needs the database. Everything is audited, and no password is kept or told anywhere."""

    def __init__(self, database: Database, passwords: Passwords, clock: Clock = utc_now) -> None:
        self._database = database
        self._passwords = passwords
        self._clock = clock

    async def list(self, tenant_id: str) -> Sequence[User]:
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.users.list()

    async def create(
        self, principal: Principal, tenant_id: str, new: NewUser, password: str, *, origin: str | None
    ) -> User:
        """Raises InvalidInput (the password), Conflict (the address is taken), Forbidden (the role)."""
        _require_may_give(principal, new.role)
        require_good(password, email=new.email)
        hashed = await self._passwords.hash(password)
        async with self._database.tenant_tx(tenant_id) as tx:
            user = await tx.users.add(new_id(), new, hashed)
            await tx.audit.record(
                actor=principal.actor, action="user.create", subject=user.id, origin=origin, after={"role": user.role}
            )
        return user

    async def change(
        self, principal: Principal, tenant_id: str, user_id: str, change: UserChange, *, origin: str | None
    ) -> User:
        """A person who is locked, gone or given another role is signed out. Raises NotFound, Forbidden."""
        async with self._database.tenant_tx(tenant_id) as tx:
            before = await _account(tx, user_id)
            _require_may_give(principal, before.role)
            if change.role is not None:
                _require_may_give(principal, change.role)
            after = await tx.users.change(user_id, change)
            if after.state is not UserState.ACTIVE or after.role is not before.role:
                await tx.users.revoke(user_id, at=self._clock())
            await tx.audit.record(
                actor=principal.actor,
                action="user.change",
                subject=user_id,
                origin=origin,
                before={"role": before.role, "state": before.state},
                after={"role": after.role, "state": after.state},
            )
        return after

    async def set_password(
        self, principal: Principal, tenant_id: str, user_id: str, password: str, *, origin: str | None
    ) -> User:
        """Signs the person out everywhere. Raises NotFound, InvalidInput, Forbidden."""
        async with self._database.tenant_tx(tenant_id) as tx:
            user = await _account(tx, user_id)
        _require_may_give(principal, user.role)
        require_good(password, email=user.email)
        hashed = await self._passwords.hash(password)
        async with self._database.tenant_tx(tenant_id) as tx:
            await tx.users.set_password(user_id, hashed)
            await tx.users.revoke(user_id, at=self._clock())
            await tx.audit.record(actor=principal.actor, action="user.password.set", subject=user_id, origin=origin)
            return await tx.users.get(user_id)


async def _account(tx: TenantTx, user_id: str) -> User:
    user = await tx.users.get(user_id)
    if user.state is UserState.GONE:
        raise NotFound("no such account")
    return user


def _require_may_give(principal: Principal, role: UserRole) -> None:
    if principal.level not in _GIVEN_BY.get(role, tuple(Owner)):
        raise Forbidden(f"this key may not give or change the role {role.value}")
