"""Answers given to POSTs with an Idempotency-Key. Old ones are removed by `Platform.forget_idempotency_keys`."""

from domain.errors import IdempotencyMismatch
from storage.postgres.repository import Repository

_FIND = """
select body_hash, status, body
from idempotency_key
where tenant_id = $1
  and key = $2
"""

_KEEP = """
insert into idempotency_key (tenant_id, key, body_hash, status, body)
values ($1, $2, $3, $4, $5)
on conflict (tenant_id, key) do nothing
"""


class PostgresIdempotency(Repository):
    """See `storage.protocols.Idempotency`."""

    async def find(self, key: str, body_hash: str) -> tuple[int, bytes] | None:
        row = await self._row(_FIND, key)
        if row is None:
            return None
        if row["body_hash"] != body_hash:
            raise IdempotencyMismatch.of("Idempotency-Key", "this key was used with another body")
        return row["status"], row["body"]

    async def keep(self, key: str, body_hash: str, status: int, body: bytes) -> None:
        """The first answer stays."""
        await self._execute(_KEEP, key, body_hash, status, body)
