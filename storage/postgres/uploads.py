"""Uploads: promised bytes and bytes that came."""

from domain.errors import Conflict, NotFound
from storage.postgres.repository import Repository
from storage.protocols import Upload

_OPEN = """
insert into upload (tenant_id, id, size, sha256, media_type, state, content_key, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""

_GET = """
select id, size, sha256, media_type, state, content_key, created_at
from upload
where tenant_id = $1
  and id = $2
"""

_STORED = """
update upload
set state = 'stored',
    size = $3,
    sha256 = $4,
    media_type = coalesce($5, media_type),
    stored_at = coalesce(stored_at, now())
where tenant_id = $1
  and id = $2
  and (state = 'open' or sha256 = $4)
"""


class PostgresUploads(Repository):
    """See `storage.protocols.Uploads`."""

    async def open(self, upload: Upload) -> None:
        await self._execute(
            _OPEN,
            upload.id,
            upload.size,
            upload.sha256,
            upload.media_type,
            upload.state,
            upload.content_key,
            upload.created_at,
        )

    async def get(self, upload_id: str) -> Upload:
        row = await self._row(_GET, upload_id)
        if row is None:
            raise NotFound("no such upload")
        return Upload.model_validate(dict(row))

    async def stored(self, upload_id: str, *, size: int, sha256: str, media_type: str | None = None) -> None:
        """Raises Conflict when it is complete already with other bytes."""
        if not await self._execute(_STORED, upload_id, size, sha256, media_type):
            await self.get(upload_id)
            raise Conflict("the upload is complete already, with other content")

    async def remove(self, upload_id: str) -> None:
        await self._execute("delete from upload where tenant_id = $1 and id = $2", upload_id)
