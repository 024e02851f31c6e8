"""The tenants' data keys, kept wrapped in Postgres and unwrapped in memory for a while."""

import time
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from storage.crypto import DataKey, MasterKeys, WrappedKey, new_data_key
from storage.postgres.database import PostgresTenantTx

_FRESH_SECONDS = 300.0
"""How soon a rotated key is used by every process."""

_NEWEST = """
select version, master_key_id, wrapped
from tenant_key
where tenant_id = $1
order by version desc
limit 1
"""

_VERSION = """
select version, master_key_id, wrapped
from tenant_key
where tenant_id = $1
  and version = $2
"""

_ADD = """
insert into tenant_key (tenant_id, version, master_key_id, wrapped)
values ($1, $2, $3, $4)
on conflict (tenant_id, version) do nothing
"""


class Transactions(Protocol):
    """What is needed of the database."""

    def tenant_tx(self, tenant_id: str) -> AbstractAsyncContextManager[PostgresTenantTx]: ...


class PostgresDataKeys:
    """See `storage.crypto.DataKeys`."""

    def __init__(self, database: Transactions, master_keys: MasterKeys) -> None:
        self._database = database
        self._master_keys = master_keys
        self._known: dict[tuple[str, int], DataKey] = {}
        self._current: dict[str, tuple[float, DataKey]] = {}

    async def current(self, tenant_id: str) -> DataKey:
        read_at, key = self._current.get(tenant_id, (0.0, None))
        if key is not None and time.monotonic() - read_at < _FRESH_SECONDS:
            return key
        async with self._database.tenant_tx(tenant_id) as tx:
            row = await tx.session.row(_NEWEST, tenant_id)
            if row is None:
                made = self._master_keys.wrap(tenant_id, new_data_key(1))
                # Whoever else makes the first key at this moment: one of the two stays, and both use that one.
                await tx.session.execute(_ADD, tenant_id, made.version, made.master_key_id, made.wrapped)
                row = await tx.session.row(_NEWEST, tenant_id)
        assert row is not None
        key = self._remember(tenant_id, WrappedKey(**dict(row)))
        self._current[tenant_id] = (time.monotonic(), key)
        return key

    async def version(self, tenant_id: str, version: int) -> DataKey | None:
        known = self._known.get((tenant_id, version))
        if known is not None:
            return known
        if not 0 < version < 2**31:  # not a number a key was ever given
            return None
        async with self._database.tenant_tx(tenant_id) as tx:
            row = await tx.session.row(_VERSION, tenant_id, version)
        return None if row is None else self._remember(tenant_id, WrappedKey(**dict(row)))

    def _remember(self, tenant_id: str, wrapped: WrappedKey) -> DataKey:
        key = self._master_keys.unwrap(tenant_id, wrapped)
        self._known[(tenant_id, key.version)] = key
        return key
