"""The catalogue as a tenant sees it, and what it activates of it."""

from collections.abc import Sequence

from domain.errors import Conflict, NotFound
from domain.fields import CustomField
from domain.tasks import TaskListing, TaskSpec
from storage.protocols import Database, TenantTx


class Catalogue:
    """Needs the database. Raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fields(self, tenant_id: str) -> Sequence[CustomField]:
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.catalog.fields()

    async def tasks(self, tenant_id: str) -> Sequence[TaskListing]:
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.catalog.tasks()

    async def activate(
        self,
        tenant_id: str,
        slug: str,
        *,
        version: str | None = None,
        override: TaskSpec | None = None,
        actor: str,
        origin: str | None,
    ) -> TaskListing:
        """Activate a version (the newest published one unless named). Repeatable.

        Raises NotFound (task, version), Conflict (nothing published, or another active task fills one of its fields).
        """
        async with self._database.tenant_tx(tenant_id) as tx:
            listing = await _listing(tx, slug)
            chosen = version or (listing.newest.id if listing.newest else None)
            if chosen is None:
                raise Conflict("the task has no published version")
            await tx.catalog.activate(listing.task.id, chosen, override)
            await tx.audit.record(
                actor=actor,
                action="task.activate",
                subject=slug,
                origin=origin,
                before={"version": listing.active.id if listing.active else None},
                after={"version": chosen, "overridden": override is not None},
            )
            return await _listing(tx, slug)

    async def deactivate(self, tenant_id: str, slug: str, *, actor: str, origin: str | None) -> TaskListing:
        """The task runs no more; its values stay. Repeatable. Raises NotFound."""
        async with self._database.tenant_tx(tenant_id) as tx:
            listing = await _listing(tx, slug)
            if listing.active is not None:
                await tx.catalog.deactivate(listing.task.id)
                await tx.audit.record(
                    actor=actor,
                    action="task.deactivate",
                    subject=slug,
                    origin=origin,
                    before={"version": listing.active.id},
                )
            return await _listing(tx, slug)


async def _listing(tx: TenantTx, slug: str) -> TaskListing:
    for listing in await tx.catalog.tasks():
        if listing.task.slug == slug:
            return listing
    raise NotFound("no such task")
