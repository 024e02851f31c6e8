"""Accounts of people and their sessions."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from domain.errors import Conflict, NotFound
from domain.people import NewUser, SessionRecord, User, UserChange
from storage.postgres.repository import Repository

if TYPE_CHECKING:
    from asyncpg import Record

_COLUMNS = """
  u.tenant_id, u.id, u.email, u.name, u.role, u.state, u.password_hash is not null as has_password, u.created_at
"""

_ADD = f"""
insert into user_account as u (tenant_id, id, email, name, role, password_hash)
values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, email) do nothing
returning {_COLUMNS}
"""  # noqa: S608 - constants of this module

_LIST = f"""
select {_COLUMNS}
from user_account u
where u.tenant_id = $1
  and u.state <> 'gone'
order by u.email
"""  # noqa: S608

_GET = f"""
select {_COLUMNS}
from user_account u
where u.tenant_id = $1
  and u.id = $2
"""  # noqa: S608

_FIND = f"""
select {_COLUMNS}, u.password_hash
from user_account u
where u.tenant_id = $1
  and u.email = $2
"""  # noqa: S608

_CHANGE = f"""
update user_account u
set name = coalesce($3, u.name),
    role = coalesce($4, u.role),
    state = coalesce($5, u.state)
where u.tenant_id = $1
  and u.id = $2
returning {_COLUMNS}
"""  # noqa: S608

_SET_HASH = """
update user_account
set password_hash = $3
where tenant_id = $1
  and id = $2
"""

_OPEN_SESSION = """
with over as (
  delete from user_session
  where tenant_id = $1
    and user_id = $3
    and (expires_at < $5 or revoked_at is not null)
)
insert into user_session (tenant_id, id, user_id, origin, created_at, seen_at, expires_at, token_hash)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""

_SESSION = f"""
select {_COLUMNS}, s.id as session_id, s.origin, s.created_at as opened_at, s.seen_at, s.expires_at
from user_session s
join user_account u on u.tenant_id = s.tenant_id and u.id = s.user_id
where s.tenant_id = $1
  and s.token_hash = $2
  and s.revoked_at is null
"""  # noqa: S608

_SEEN = """
update user_session
set seen_at = greatest(seen_at, $3)
where tenant_id = $1
  and id = $2
"""

_REVOKE = """
update user_session
set revoked_at = $3
where tenant_id = $1
  and user_id = $2
  and revoked_at is null
  and ($4::uuid is null or id = $4)
"""


class PostgresUsers(Repository):
    """See `storage.protocols.Users`."""

    async def add(self, user_id: str, new: NewUser, password_hash: str) -> User:
        row = await self._row(_ADD, user_id, new.email, new.name, new.role, password_hash)
        if row is None:
            raise Conflict("there is an account with this address already")
        return _user(row)

    async def list(self) -> Sequence[User]:
        return [_user(row) for row in await self._rows(_LIST)]

    async def get(self, user_id: str) -> User:
        return _user(_found(await self._row(_GET, user_id)))

    async def find(self, email: str) -> tuple[User, str | None] | None:
        row = await self._row(_FIND, email)
        return None if row is None else (_user(row), row["password_hash"])

    async def change(self, user_id: str, change: UserChange) -> User:
        return _user(_found(await self._row(_CHANGE, user_id, change.name, change.role, change.state)))

    async def set_password(self, user_id: str, password_hash: str) -> None:
        if not await self._execute(_SET_HASH, user_id, password_hash):
            raise NotFound("no such account")

    async def open_session(self, session: SessionRecord, token_hash: bytes) -> None:
        await self._execute(
            _OPEN_SESSION,
            session.id,
            session.user_id,
            session.origin,
            session.created_at,
            session.seen_at,
            session.expires_at,
            token_hash,
        )

    async def session(self, token_hash: bytes) -> tuple[SessionRecord, User] | None:
        row = await self._row(_SESSION, token_hash)
        if row is None:
            return None
        session = SessionRecord(
            id=row["session_id"],
            user_id=row["id"],
            origin=row["origin"],
            created_at=row["opened_at"],
            seen_at=row["seen_at"],
            expires_at=row["expires_at"],
        )
        return session, _user(row)

    async def seen(self, session_id: str, at: datetime) -> None:
        await self._execute(_SEEN, session_id, at)

    async def revoke(self, user_id: str, *, at: datetime, session_id: str | None = None) -> None:
        await self._execute(_REVOKE, user_id, at, session_id)


def _user(row: "Record") -> User:
    return User.model_validate({name: row[name] for name in User.model_fields})


def _found(row: "Record | None") -> "Record":
    if row is None:
        raise NotFound("no such account")
    return row
