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
from domain.tenants import Limit, NewTenant, TenantLimits
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


_ADD_OWNER = """
insert into owner (id, level, parent_id, slug, name)
values ($1, $2, $3, $4, $5)
"""

_ADD_TENANT = """
insert into tenant (
  id, slug, name, cell, time_zone, languages, partner_id, external_languages, allowed_engines, language_model,
  transcription, audio_retention_days, text_retention_days, insight_retention_days
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
returning *
"""

_ADD_LIMIT = """
insert into tenant_limit (tenant_id, kind, warn_at, stop_at)
values ($1, $2, $3, $4)
"""

_ADD_KEY = """
insert into api_key (id, tenant_id, partner_id, name, key_hash, scopes, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""


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
        await self._session.execute(_ADD_OWNER, partner_id, "partner", OPERATOR, slug, name)
        return partner_id

    async def partner(self, slug: str) -> str | None:
        """The partner's id, if there is such a partner."""
        found = await self._session.value("select id from owner where level = 'partner' and slug = $1", slug)
        return None if found is None else str(found)

    async def create_tenant(self, new: NewTenant) -> Tenant:
        """Raises Conflict when the slug is taken, NotFound without the partner."""
        tenant_id = new_tenant_id()
        parent = new.partner_id or OPERATOR
        with domain_errors():
            async with self._connection.transaction():
                await self._session.execute(_ADD_OWNER, tenant_id, "tenant", parent, new.slug, new.name)
                row = await self._session.row(
                    _ADD_TENANT,
                    tenant_id,
                    new.slug,
                    new.name,
                    new.cell,
                    new.time_zone,
                    new.languages,
                    parent,
                    new.external_languages,
                    new.allowed_engines,
                    new.language_model,
                    new.transcription,
                    new.retention.audio_days,
                    new.retention.text_days,
                    new.retention.insight_days,
                )
                for kind in TenantLimits.model_fields:
                    limit: Limit = getattr(new.limits, kind)
                    await self._session.execute(_ADD_LIMIT, tenant_id, kind, limit.warn_at, limit.stop_at)
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
        await self._session.execute(
            _ADD_KEY, key_id, tenant_id, partner_id, name, api_key_hash(key), list(scopes), expires_at
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
