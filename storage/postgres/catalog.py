"""Fields, tasks and engines as one tenant sees them, and its sources."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.clock import utc_now
from domain.engine import EngineConfig
from domain.errors import Conflict, Forbidden, NotFound
from domain.fields import CustomField, Owner
from domain.ids import is_id, new_id
from domain.tasks import AITask, EffectiveTask, TaskListing, TaskSpec
from storage.postgres.configuration import (
    ENGINE_COLUMNS,
    FIELD_COLUMNS,
    NEAREST,
    TASK_COLUMNS,
    ConfigurationWriter,
    to_engine,
    to_field,
    to_task,
)
from storage.postgres.session import Session
from storage.protocols import SealedSecret, Source, Tenant

if TYPE_CHECKING:
    from asyncpg import Record

DEFAULT_LANGUAGE_MODEL = "offline"
"""Named when a task, its tenant and the configuration name no engine: `plan` then says it is not configured."""

# Where two levels have the same key, the nearer one wins.
_FIELDS = f"""
select distinct on (key) {FIELD_COLUMNS}
from custom_field
where owner_id = any ($1::text[])
order by key, {NEAREST}
"""  # noqa: S608 - constants of this module and its neighbour

_ENGINES = f"""
select distinct on (name) {ENGINE_COLUMNS}
from engine
where owner_id = any ($1::text[])
order by name, {NEAREST}
"""  # noqa: S608

_TASK = f"""
select {TASK_COLUMNS}
from ai_task
where owner_id = any ($1::text[])
  and slug = $2
order by {NEAREST}
limit 1
"""  # noqa: S608

_VERSION_COLUMNS = "id, task_id, spec, state, author, reason, created_at"

# A nearer level's task hides one with the same slug above it.
_TASKS = f"""
select seen.*, to_jsonb(newest) as newest, to_jsonb(active) as active, a.override is not null as overridden
from (
  select distinct on (slug) {TASK_COLUMNS}
  from ai_task
  where owner_id = any ($2::text[])
  order by slug, {NEAREST}
) seen
left join task_activation a on a.tenant_id = $1 and a.task_id = seen.id
left join lateral (
  select {_VERSION_COLUMNS}
  from task_version
  where task_id = seen.id
    and state = 'published'
  order by created_at desc, id
  limit 1
) newest on true
left join lateral (
  select {_VERSION_COLUMNS}
  from task_version
  where task_id = a.task_id
    and id = a.version_id
) active on true
order by seen.slug
"""  # noqa: S608

_EFFECTIVE_TASKS = f"""
select {TASK_COLUMNS}, a.version_id, coalesce(a.override, v.spec) as spec,
  (
    select e.name
    from engine e
    where e.owner_id = any ($2::text[])
      and e.family = 'language_model'
    order by {NEAREST.replace("owner_level", "e.owner_level")}, e.external, e.name
    limit 1
  ) as nearest_engine
from task_activation a
join task_version v on v.task_id = a.task_id and v.id = a.version_id
join ai_task on ai_task.id = a.task_id
where a.tenant_id = $1
order by slug
"""  # noqa: S608

_VERSION = """
select spec, state
from task_version
where owner_id = any ($1::text[])
  and task_id = $2
  and id = $3
"""

_ACTIVATE = """
insert into task_activation (tenant_id, task_id, version_id, override)
values ($1, $2, $3, nullif($4::jsonb, 'null'))
on conflict (tenant_id, task_id) do update
  set version_id = excluded.version_id,
      override = excluded.override,
      activated_at = now()
"""

_RELEASE_FIELDS = """
delete from activated_field
where tenant_id = $1
  and task_id = $2
"""

_TAKE_FIELDS = """
insert into activated_field (tenant_id, task_id, field_key)
select $1, $2, key
from unnest($3::text[]) key
order by key
on conflict do nothing
returning field_key
"""

# Two statements: "on conflict" would need the right to read what is written.
_RESEAL = """
update engine_secret
set key_version = $3, sealed = $4, changed_at = now()
where owner_id = $1
  and name = $2
"""

_SEAL = """
insert into engine_secret (owner_id, owner_level, name, key_version, sealed)
values ($1, 'tenant', $2, $3, $4)
"""

_SOURCE_COLUMNS = """
  id, slug, channel, time_zone, settle_minutes, name, format, mapping, preset, dedupe_key, last_seen_at, updated_at
"""

_PUT_SOURCE = f"""
insert into source (
  tenant_id, id, slug, channel, time_zone, settle_minutes, name, format, mapping, preset, dedupe_key
)
values ($1, $2, $3, $4, $5, $6, $7, $8, nullif($9::jsonb, 'null'), $10, $11)
on conflict (tenant_id, slug) do update
  set channel = excluded.channel,
      time_zone = excluded.time_zone,
      settle_minutes = excluded.settle_minutes,
      name = excluded.name,
      format = excluded.format,
      mapping = excluded.mapping,
      preset = excluded.preset,
      dedupe_key = excluded.dedupe_key,
      updated_at = clock_timestamp()
returning {_SOURCE_COLUMNS}
"""  # noqa: S608

_SOURCE = f"""
select {_SOURCE_COLUMNS}
from source
where tenant_id = $1
  and slug = $2
"""  # noqa: S608

# An id has the form of a slug: whoever calls a source so is found by it, unless another source has that id.
_FIND_SOURCE = f"""
select {_SOURCE_COLUMNS}
from source
where tenant_id = $1
  and (slug = $2 or id = $3)
order by slug = $2
limit 1
"""  # noqa: S608

# Never waits: whoever else is at it says the same.
_SAW_SOURCE = """
update source s
set last_seen_at = clock_timestamp()
from (
  select id
  from source
  where tenant_id = $1
    and id = $2
  for no key update skip locked
) seen
where s.tenant_id = $1
  and s.id = seen.id
"""

SEEN_SECONDS = 60.0
"""How exactly it is remembered when a source was last seen."""


class PostgresCatalog(ConfigurationWriter):
    """See `storage.protocols.Catalog`. Writing for a level above the tenant raises Forbidden."""

    def __init__(self, session: Session, tenant: Tenant) -> None:
        operator = Owner.OPERATOR.value
        owners = {
            Owner.TENANT: tenant.id,
            Owner.PARTNER: tenant.partner_id or operator,
            Owner.OPERATOR: operator,
        }
        super().__init__(session, owners)
        self._tenant = tenant
        self._tenant_id = tenant.id
        self._visible = list(owners.values())

    async def fields(self) -> Sequence[CustomField]:
        """In the order of their keys."""
        return [to_field(row) for row in await self._session.rows(_FIELDS, self._visible)]

    async def effective_tasks(self) -> Sequence[EffectiveTask]:
        """In the order of the tasks' names. Engine: the spec's, the tenant's, or the nearest configured, one on the
        premises first: nothing leaves them unless somebody chose that."""
        rows = await self._session.rows(_EFFECTIVE_TASKS, self._tenant_id, self._visible)
        if not rows:
            return []
        fields = {field.key: field for field in await self.fields()}
        tasks = []
        for row in rows:
            spec = TaskSpec.model_validate(row["spec"])
            engine = spec.engine or self._tenant.language_model or row["nearest_engine"] or DEFAULT_LANGUAGE_MODEL
            tasks.append(
                EffectiveTask(
                    task=to_task(row),
                    version_id=row["version_id"],
                    spec=spec,
                    fields=tuple(fields[key] for key in spec.field_keys),
                    engine=engine,
                )
            )
        return tasks

    async def task(self, slug: str) -> AITask | None:
        row = await self._session.row(_TASK, self._visible, slug)
        return None if row is None else to_task(row)

    async def tasks(self) -> Sequence[TaskListing]:
        rows = await self._session.rows(_TASKS, self._tenant_id, self._visible)
        return [
            TaskListing(task=to_task(row), newest=row["newest"], active=row["active"], overridden=row["overridden"])
            for row in rows
        ]

    async def engines(self) -> Sequence[EngineConfig]:
        """In the order of their names."""
        return [to_engine(row) for row in await self._session.rows(_ENGINES, self._visible)]

    async def put_engine_secret(self, secret: SealedSecret) -> None:
        """Raises Forbidden for somebody else's."""
        if secret.owner_id != self._tenant_id:
            raise Forbidden("this is somebody else's secret")
        given = (self._tenant_id, secret.name, secret.key_version, secret.sealed)
        if not await self._session.execute(_RESEAL, *given):
            await self._session.execute(_SEAL, *given)

    async def sources(self) -> Sequence[Source]:
        """In the order of their names."""
        rows = await self._session.rows(
            f"select {_SOURCE_COLUMNS} from source where tenant_id = $1 order by slug",  # noqa: S608
            self._tenant_id,
        )
        return [_source(row) for row in rows]

    async def source(self, slug: str) -> Source:
        row = await self._session.row(_SOURCE, self._tenant_id, slug)
        if row is None:
            await self._session.execute(
                """
                insert into source (tenant_id, id, slug)
                values ($1, $2, $3)
                on conflict (tenant_id, slug) do nothing
                """,
                self._tenant_id,
                new_id(),
                slug,
            )
            row = await self._session.row(_SOURCE, self._tenant_id, slug)
        return _source(row)

    async def find_source(self, slug_or_id: str, *, lock: bool = False) -> Source:
        by = (self._tenant_id, slug_or_id, slug_or_id if is_id(slug_or_id) else None)
        if lock:
            # By a statement of its own: the next one sees what was committed while this one waited.
            await self._session.rows(
                "select from source where tenant_id = $1 and (slug = $2 or id = $3) for no key update",
                *by,
            )
        return _source(await self._session.row(_FIND_SOURCE, *by))

    async def saw_source(self, source: Source) -> None:
        if source.last_seen_at is None or utc_now() - source.last_seen_at > timedelta(seconds=SEEN_SECONDS):
            await self._session.execute(_SAW_SOURCE, self._tenant_id, source.id)

    async def put_source(self, source: Source) -> Source:
        """By slug; a source that exists keeps its id."""
        row = await self._session.row(
            _PUT_SOURCE,
            self._tenant_id,
            source.id,
            source.slug,
            source.channel,
            source.time_zone,
            source.settle_minutes,
            source.name,
            source.format,
            source.mapping,
            source.preset,
            source.dedupe_key,
        )
        return _source(row)

    async def activate(self, task_id: str, version_id: str, override: TaskSpec | None = None) -> None:
        """Raises NotFound for what the tenant does not see; Conflict for a version that is not published, a field
        that does not exist, or one that another active task fills."""
        version = await self._session.row(_VERSION, self._visible, task_id, version_id)
        if version is None:
            raise NotFound("no such task version")
        if version["state"] != "published":
            raise Conflict(f"the version is {version['state']}: only a published one can be activated")
        spec = override or TaskSpec.model_validate(version["spec"])
        missing = set(spec.field_keys) - {field.key for field in await self.fields()}
        if missing:
            raise Conflict(f"there is no such field: {', '.join(sorted(missing))}")
        await self._session.execute(_ACTIVATE, self._tenant_id, task_id, version_id, override)
        await self._session.execute(_RELEASE_FIELDS, self._tenant_id, task_id)
        taken = await self._session.rows(_TAKE_FIELDS, self._tenant_id, task_id, list(set(spec.field_keys)))
        filled = set(spec.field_keys) - {row["field_key"] for row in taken}
        if filled:
            raise Conflict(f"another active task fills {', '.join(sorted(filled))}")

    async def deactivate(self, task_id: str) -> None:
        """The task runs no more for this tenant; its values stay. Repeatable."""
        await self._session.execute(
            "delete from task_activation where tenant_id = $1 and task_id = $2", self._tenant_id, task_id
        )


def _source(row: "Record | None") -> Source:
    if row is None:
        raise NotFound("no such source")
    return Source.model_validate(dict(row))
