"""People signing in and out: passwords, throttled tries, sessions.

Whether an account exists is never told: not by words, not by time, and tries are counted for accounts there are not
just the same.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from domain.clock import Clock, utc_now
from domain.errors import Forbidden, InvalidInput, LimitExceeded, NotFound, ParleyError, Unauthenticated
from domain.ids import is_tenant_id, new_id
from domain.people import MAX_PASSWORD, SessionRecord, User, UserState
from services.passwords import Passwords, require_good
from services.permissions import Permission, may
from storage.protocols import Database, Tenant

FREE_TRIES_OF_ACCOUNT = 5
FREE_TRIES_OF_ADDRESS = 30
"""Tries without a wait; after them each takes twice as long as the one before, up to a quarter of an hour."""

SEEN_EVERY = timedelta(minutes=1)
"""How exactly it is known when a session was last used."""

_WRONG = "company, e-mail or password is not right"
_TOKEN = re.compile(r"([0-9a-f]{32})\.[A-Za-z0-9_-]{43}")
_MAX_NAME = 300
_OPEN_TENANTS = ("active", "suspended")
"""States of tenants whose results may be looked at."""


@dataclass(frozen=True)
class SessionRules:
    """idle: unused so long, a session is over. most: and after so long in any case."""

    idle: timedelta = timedelta(hours=2)
    most: timedelta = timedelta(hours=12)


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in, and the tenant they are at."""

    user: User
    tenant: Tenant
    session: SessionRecord

    @property
    def actor(self) -> str:
        """As it stands in the audit trail."""
        return f"user:{self.user.id}"

    def may(self, permission: Permission) -> bool:
        return may(self.user.role, permission)

    def require(self, permission: Permission) -> None:
        """Raises Forbidden."""
        if not self.may(permission):
            raise Forbidden(f"the role {self.user.role.value.replace('_', ' ')} may not do this")


@dataclass(frozen=True)
class SignedIn:
    """`token` goes to the browser and is kept nowhere else."""

    person: Person
    token: SecretStr


class SignIn:
    """Needs the database and a key that nobody else has, for the names tries are counted under."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        key: bytes,
        *,
        rules: SessionRules | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._key = hashlib.sha256(b"parley sign-in tries\x00" + key).digest()
        self._rules = rules or SessionRules()
        self._clock = clock
        self._recording: set[asyncio.Task[None]] = set()

    async def sign_in(self, slug: str, email: str, password: str, *, origin: str | None) -> SignedIn:
        """Raises Unauthenticated (whatever was wrong), LimitExceeded (too many tries), Unavailable."""
        slug, email = slug.strip().lower()[:_MAX_NAME], email.strip().lower()[:_MAX_NAME]
        account, address = self._name("account", slug, email), self._name("address", _network(origin))
        tries = [(account, FREE_TRIES_OF_ACCOUNT), (address, FREE_TRIES_OF_ADDRESS)]
        wait = await self._database.platform.sign_in_try(tries)
        if wait > 0:
            raise LimitExceeded("too many tries to sign in", wait)
        tenant = await self._database.platform.tenant_named(slug)
        found = None
        if tenant is not None:
            async with self._database.tenant_tx(tenant.id) as tx:
                found = await tx.users.find(email)
        known = found[1] if found is not None and found[0].state is UserState.ACTIVE else None
        right = await self._passwords.check(password[: MAX_PASSWORD + 1], known)
        if not right or tenant is None or found is None or known is None:
            if tenant is not None and found is not None:
                self._record_refusal(tenant.id, found[0].id, origin)
            raise Unauthenticated(_WRONG)
        if tenant.state not in _OPEN_TENANTS:
            raise Unauthenticated(_WRONG)
        await self._database.platform.signed_in(account, address)
        return await self._open(tenant, found[0], password if self._passwords.is_dated(known) else None, origin)

    async def person(self, token: str) -> Person | None:
        """Who this token is, None when it is nobody's any more. Raises Unavailable."""
        match = _TOKEN.fullmatch(token)
        if match is None or not is_tenant_id(match[1]):
            return None
        tenant = await self._tenant(match[1])
        if tenant is None:
            return None
        now = self._clock()
        async with self._database.tenant_tx(tenant.id) as tx:
            found = await tx.users.session(_hash(token))
            if found is None:
                return None
            session, user = found
            if user.state is not UserState.ACTIVE or now >= min(session.expires_at, session.seen_at + self._rules.idle):
                return None
            if now - session.seen_at >= SEEN_EVERY:
                await tx.users.seen(session.id, now)
            return Person(user, tx.tenant, session)

    async def sign_out(self, person: Person, *, origin: str | None) -> None:
        """Ends this session. Repeatable."""
        async with self._database.tenant_tx(person.tenant.id) as tx:
            await tx.users.revoke(person.user.id, at=self._clock(), session_id=person.session.id)
            await tx.audit.record(actor=person.actor, action="user.sign_out", subject=person.user.id, origin=origin)

    async def change_password(self, person: Person, old: str, new: str, *, origin: str | None) -> SignedIn:
        """Ends every session of the person and opens a new one. Raises InvalidInput, LimitExceeded."""
        account = self._name("account", person.tenant.slug, person.user.email)
        wait = await self._database.platform.sign_in_try([(account, FREE_TRIES_OF_ACCOUNT)])
        if wait > 0:
            raise LimitExceeded("too many tries", wait)
        async with self._database.tenant_tx(person.tenant.id) as tx:
            found = await tx.users.find(person.user.email)
        known = found[1] if found is not None else None
        if not await self._passwords.check(old[: MAX_PASSWORD + 1], known):
            raise InvalidInput.of("old", "is not the password you have")
        require_good(new, field="new", email=person.user.email)
        hashed = await self._passwords.hash(new)
        await self._database.platform.signed_in(account, b"")
        async with self._database.tenant_tx(person.tenant.id) as tx:
            await tx.users.set_password(person.user.id, hashed)
            await tx.users.revoke(person.user.id, at=self._clock())
            await tx.audit.record(
                actor=person.actor, action="user.password.change", subject=person.user.id, origin=origin
            )
        return await self._open(person.tenant, person.user, None, origin)

    async def _open(self, tenant: Tenant, user: User, dated_password: str | None, origin: str | None) -> SignedIn:
        token, now = f"{tenant.id}.{secrets.token_urlsafe(32)}", self._clock()
        session = SessionRecord(
            id=new_id(),
            user_id=user.id,
            origin=origin,
            created_at=now,
            seen_at=now,
            expires_at=now + self._rules.most,
        )
        rehashed = None if dated_password is None else await self._passwords.hash(dated_password)
        async with self._database.tenant_tx(tenant.id) as tx:
            if rehashed is not None:
                await tx.users.set_password(user.id, rehashed)
            await tx.users.open_session(session, _hash(token))
            await tx.audit.record(actor=f"user:{user.id}", action="user.sign_in", subject=user.id, origin=origin)
        return SignedIn(Person(user, tenant, session), SecretStr(token))

    def _record_refusal(self, tenant_id: str, user_id: str, origin: str | None) -> None:
        """Beside the answer, which would otherwise take longer for accounts there are."""

        async def record() -> None:
            with suppress(ParleyError):
                async with self._database.tenant_tx(tenant_id) as tx:
                    await tx.audit.record(
                        actor=f"user:{user_id}", action="user.sign_in.refused", subject=user_id, origin=origin
                    )

        task = asyncio.get_running_loop().create_task(record())
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def _tenant(self, tenant_id: str) -> Tenant | None:
        try:
            async with self._database.tenant_tx(tenant_id) as tx:
                return tx.tenant if tx.tenant.state in _OPEN_TENANTS else None
        except NotFound:
            return None

    def _name(self, kind: str, *parts: str) -> bytes:
        """What tries are counted under: nobody can tell from it who tried."""
        return hmac.digest(self._key, "\x1f".join((kind, *parts)).encode(), "sha256")


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _network(origin: str | None) -> str:
    """An address as tries are counted: of IPv6 the network, since one household has a whole one."""
    try:
        address = ipaddress.ip_address(origin or "")
    except ValueError:
        return ""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
