"""Answers given to POSTs with an Idempotency-Key. Old ones are removed by `Platform.forget_idempotency_keys`."""

from domain.errors import IdempotencyMismatch
from storage.postgres.repository import Repository
from storage.protocols import IdempotencyClaim

_UNDER_WAY = 0
"""Status of a key that somebody has claimed and not answered yet."""

_FIND = """
select body_hash, status, body
from idempotency_key
where tenant_id = $1
  and key = $2
"""

# Whoever comes second waits for the first one's transaction, then inserts nothing.
_CLAIM = """
insert into idempotency_key (tenant_id, key, body_hash, status, body)
values ($1, $2, $3, 0, '')
on conflict (tenant_id, key) do nothing
"""

_DROP_ABANDONED = """
delete from idempotency_key
where tenant_id = $1
  and key = $2
  and status = 0
  and created_at < now() - make_interval(secs => $3)
"""

_RELEASE = """
delete from idempotency_key
where tenant_id = $1
  and key = $2
  and status = 0
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
        if row is None or row["status"] == _UNDER_WAY:
            return None
        if row["body_hash"] != body_hash:
            raise _mismatch()
        return row["status"], row["body"]

    async def claim(self, key: str, body_hash: str, *, abandoned_after_seconds: float) -> IdempotencyClaim:
        await self._execute(_DROP_ABANDONED, key, abandoned_after_seconds)
        if await self._execute(_CLAIM, key, body_hash):
            return IdempotencyClaim(ours=True)
        row = await self._row(_FIND, key)
        if row is None:  # released in between: the caller asks again
            return IdempotencyClaim(ours=False)
        if row["body_hash"] != body_hash:
            raise _mismatch()
        if row["status"] == _UNDER_WAY:
            return IdempotencyClaim(ours=False)
        return IdempotencyClaim(ours=False, status=row["status"], body=row["body"])

    async def keep(self, key: str, body_hash: str, status: int, body: bytes) -> None:
        await self.release(key)
        await self._execute(_KEEP, key, body_hash, status, body)

    async def renew(self, key: str, body_hash: str) -> None:
        if await self._execute(_RELEASE, key):
            await self._execute(_CLAIM, key, body_hash)

    async def release(self, key: str) -> None:
        await self._execute(_RELEASE, key)


def _mismatch() -> IdempotencyMismatch:
    return IdempotencyMismatch.of("Idempotency-Key", "this key was used with another body")
