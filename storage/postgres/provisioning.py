"""What only the owner of the schema may do: set up the operator, partners and tenants, and hand out their keys.

    async with Provisioning.connect(owner_url) as provisioning:
        tenant = await provisioning.create_tenant(NewTenant(…))

Used by set-up commands, which have the owner's URL; processes that serve tenants never have it. Each method is one
transaction.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg
from pydantic import AwareDatetime, SecretStr

from domain.errors import Conflict, InvalidInput, NotFound
from domain.fields import Owner
from domain.ids import new_id, new_tenant_id
from domain.tenants import NewTenant
from storage.api_keys import SCOPES, api_key_hash, new_api_key
from storage.postgres.configuration import ConfigurationWriter
from storage.postgres.connections import prepare
from storage.postgres.errors import domain_errors
from storage.postgres.session import Session
from storage.postgres.tenants import to_tenant
from storage.protocols import NewApiKey, Tenant

if TYPE_CHECKING:
    from asyncpg import Connection, Record

OPERATOR = "operator"
"""Id of the one operator, which the first migration creates."""


class Provisioning:
    """One connection of the schema's owner."""

    def __init__(self, connection: "Connection[Record]") -> None:
        self._connection = connection
        self._session = Session(connection)

    @classmethod
    @asynccontextmanager
    async def connect(cls, owner_url: str) -> "AsyncIterator[Provisioning]":
        """Raises Unavailable."""
        with domain_errors():
            connection = await asyncpg.connect(owner_url, timeout=10, command_timeout=60)
            await prepare(connection)
        try:
            yield cls(connection)
        finally:
            await connection.close(timeout=5)

    async def create_operator(self, name: str) -> None:
        """Names the operator; there is one, and it is there from the start."""
        await self._session.execute("update owner set name = $2 where id = $1", OPERATOR, name)

    async def create_partner(self, slug: str, name: str) -> str:
        """The partner's id. Raises Conflict when the slug is taken."""
        partner_id = new_tenant_id()
        await self._session.value("select platform_create_partner($1, $2, $3)", partner_id, slug, name)
        return partner_id

    async def partner(self, slug: str) -> str | None:
        """The partner's id, if there is such a partner."""
        found = await self._session.value("select id from owner where level = 'partner' and slug = $1", slug)
        return None if found is None else str(found)

    async def create_tenant(self, new: NewTenant) -> Tenant:
        """Raises Conflict when the slug is taken, NotFound without the partner."""
        row = await self._session.row("select * from platform_create_tenant($1, $2)", new_tenant_id(), new)
        assert row is not None
        return to_tenant(row)

    async def tenant(self, slug: str) -> Tenant | None:
        row = await self._session.row("select * from tenant where slug = $1", slug)
        return None if row is None else to_tenant(row)

    async def create_api_key(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        tenant_id: str | None = None,
        partner_id: str | None = None,
        expires_at: AwareDatetime | None = None,
    ) -> NewApiKey:
        """Without tenant and partner: a key of the platform. Raises InvalidInput for a scope there is not."""
        unknown = set(scopes) - set(SCOPES)
        if unknown or not scopes:
            raise InvalidInput.of("scopes", f"choose from {', '.join(SCOPES)}")
        key, key_id = new_api_key(), new_id()
        await self._session.value(
            "select platform_create_api_key($1, $2, $3, $4, $5, $6, $7)",
            key_id,
            tenant_id,
            partner_id,
            name,
            api_key_hash(key),
            list(scopes),
            expires_at,
        )
        return NewApiKey(id=key_id, key=SecretStr(key))

    async def revoke_api_key(self, key_id: str, at: datetime) -> None:
        """Repeatable. Raises NotFound."""
        touched = await self._session.execute(
            "update api_key set revoked_at = coalesce(revoked_at, $2) where id = $1", key_id, at
        )
        if not touched:
            raise NotFound("no such API key")

    @asynccontextmanager
    async def configuration(
        self, level: Owner = Owner.OPERATOR, owner_id: str = OPERATOR
    ) -> AsyncIterator[ConfigurationWriter]:
        """Writes fields, tasks, versions and engines of one level, in one transaction.

        `owner_id` is the partner's or tenant's id.
        """
        known = await self._session.value("select level from owner where id = $1", owner_id)
        if known != level.value:
            raise Conflict(f"there is no {level.value} with this id")
        with domain_errors():
            transaction = self._connection.transaction()
            await transaction.start()
        try:
            yield ConfigurationWriter(self._session, {level: owner_id})
        except BaseException:
            await transaction.rollback()
            raise
        with domain_errors():
            await transaction.commit()
