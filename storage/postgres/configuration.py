"""Configuration that is inherited downwards: how fields, tasks and engines are written and read at any level."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from domain.engine import EngineConfig
from domain.errors import Conflict, InvalidInput, NotFound
from domain.fields import CustomField, Owner
from domain.tasks import AITask, TaskVersion
from storage.postgres.session import Session

if TYPE_CHECKING:
    from asyncpg import Record

NEAREST = "case owner_level when 'tenant' then 0 when 'partner' then 1 else 2 end"

FIELD_COLUMNS = """
  id, owner_level as owner, key, type, label, description, options, minimum, maximum, max_length, thresholds,
  display_group, editable, sensitive, aggregate, successor_id
"""

ENGINE_COLUMNS = """
  id, owner_level as owner, name, family, kind, model, credentials, endpoint, region, parameters, limits, price,
  external
"""

TASK_COLUMNS = "ai_task.id, ai_task.owner_level as owner, ai_task.slug, ai_task.label"

_PUT_FIELD = """
insert into custom_field as f (
  owner_id, owner_level, id, key, type, label, description, options, minimum, maximum, max_length, thresholds,
  display_group, editable, sensitive, aggregate, successor_id
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
on conflict (id) do update
  set label = excluded.label,
      description = excluded.description,
      options = excluded.options,
      minimum = excluded.minimum,
      maximum = excluded.maximum,
      max_length = excluded.max_length,
      thresholds = excluded.thresholds,
      display_group = excluded.display_group,
      editable = excluded.editable,
      sensitive = excluded.sensitive,
      aggregate = excluded.aggregate,
      successor_id = excluded.successor_id,
      updated_at = now()
  where f.key = excluded.key
    and f.type = excluded.type
    and f.owner_id = excluded.owner_id
returning 1
"""

_PUT_TASK = """
insert into ai_task as t (owner_id, owner_level, id, slug, label)
values ($1, $2, $3, $4, $5)
on conflict (id) do update
  set label = excluded.label
  where t.slug = excluded.slug
    and t.owner_id = excluded.owner_id
returning 1
"""

_PUT_VERSION = """
insert into task_version (owner_id, task_id, id, spec, state, author, reason, created_at)
select t.owner_id, t.id, $3, $4, $5, $6, $7, $8
from ai_task t
where t.owner_id = any ($1::text[])
  and t.id = $2
on conflict (task_id, id) do update
  set state = excluded.state
returning 1
"""

_PUT_ENGINE = """
insert into engine as e (
  owner_id, owner_level, id, name, family, kind, model, credentials, endpoint, region, parameters, limits, price,
  external
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (id) do update
  set kind = excluded.kind,
      model = excluded.model,
      credentials = excluded.credentials,
      endpoint = excluded.endpoint,
      region = excluded.region,
      parameters = excluded.parameters,
      limits = excluded.limits,
      price = excluded.price,
      external = excluded.external,
      updated_at = now()
  where e.name = excluded.name
    and e.family = excluded.family
    and e.owner_id = excluded.owner_id
returning 1
"""


class ConfigurationWriter:
    """Writes for the levels in `owners`; row-level security decides which of them this session may write."""

    def __init__(self, session: Session, owners: Mapping[Owner, str]) -> None:
        self._session = session
        self._owners = owners

    async def put_field(self, field: CustomField) -> None:
        """By id. Raises Conflict when key, type or owner would change, or the owner has the key already."""
        kept = await self._session.value(
            _PUT_FIELD,
            *self._owner(field.owner),
            field.id,
            field.key,
            field.type,
            field.label,
            field.description,
            field.options,
            field.minimum,
            field.maximum,
            field.max_length,
            field.thresholds,
            field.display_group,
            field.editable,
            field.sensitive,
            field.aggregate,
            field.successor_id,
        )
        if kept is None:
            raise Conflict("a field's key, type and owner never change: make a successor field")

    async def put_task(self, task: AITask) -> None:
        """By id. Raises Conflict when slug or owner would change, or the owner has the slug already."""
        kept = await self._session.value(_PUT_TASK, *self._owner(task.owner), task.id, task.slug, task.label)
        if kept is None:
            raise Conflict("a task's slug and owner never change")

    async def put_version(self, version: TaskVersion) -> None:
        """By content hash; a version that exists changes its state only. Raises NotFound without the task."""
        if version.id != version.spec.version_id():
            raise InvalidInput.of("id", "is not the hash of the version's content")
        kept = await self._session.value(
            _PUT_VERSION,
            list(self._owners.values()),
            version.task_id,
            version.id,
            version.spec,
            version.state,
            version.author,
            version.reason,
            version.created_at,
        )
        if kept is None:
            raise NotFound("no such task")

    async def put_engine(self, engine: EngineConfig) -> None:
        """By id. Raises Conflict when name, family or owner would change, or the owner has the name already."""
        kept = await self._session.value(
            _PUT_ENGINE,
            *self._owner(engine.owner),
            engine.id,
            engine.name,
            engine.family,
            engine.kind,
            engine.model,
            engine.credentials,
            engine.endpoint,
            engine.region,
            engine.parameters,
            engine.limits,
            engine.price,
            engine.external,
        )
        if kept is None:
            raise Conflict("an engine's name, family and owner never change")

    def _owner(self, level: Owner) -> tuple[str, str]:
        if level not in self._owners:
            raise InvalidInput.of("owner", f"this is not the place to write for level {level.value}")
        return self._owners[level], level.value


def to_field(row: "Record") -> CustomField:
    return CustomField.model_validate(dict(row))


def to_engine(row: "Record") -> EngineConfig:
    return EngineConfig.model_validate(dict(row))


def to_task(row: "Record") -> AITask:
    return AITask.model_validate({name: row[name] for name in AITask.model_fields})
