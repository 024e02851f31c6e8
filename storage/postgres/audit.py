"""The audit trail: append-only, also for the role that writes it."""

from storage.postgres.repository import Repository

_RECORD = """
insert into audit_event (tenant_id, actor, action, subject, origin, before, after)
values ($1, $2, $3, $4, $5, nullif($6::jsonb, 'null'), nullif($7::jsonb, 'null'))
"""


class PostgresAudit(Repository):
    """See `storage.protocols.Audit`."""

    async def record(
        self, *, actor: str, action: str, subject: str, origin: str | None, before: object = None, after: object = None
    ) -> None:
        await self._execute(_RECORD, actor, action, subject, origin, before, after)
