"""Worker roles: `temporal-config/workers.toml`, read once at start-up into one table."""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from domain.contracts import CONTRACTS, QueueKind, task_queue
from domain.conversation import Frozen, Slug
from domain.errors import ParleyError
from workflows.conversation import ConversationWorkflow
from workflows.imports import ImportWorkflow
from workflows.reconcile import ReconcileWorkflow

WORKFLOWS: dict[str, type] = {
    "ConversationWorkflow": ConversationWorkflow,
    "ReconcileWorkflow": ReconcileWorkflow,
    "ImportWorkflow": ImportWorkflow,
}


class RolesError(ParleyError):
    """The file is missing or malformed, or a role is asked for that it does not have."""

    code = "configuration"
    title = "The worker roles are not valid"


class Hosted(StrEnum):
    """What a role runs besides its task queues."""

    SEARCH_INDEXER = "search-indexer"
    ROLLUP_FOLDER = "rollup-folder"
    RECONCILER_SCHEDULE = "reconciler-schedule"
    DISPATCHER = "dispatcher"


Slots = Annotated[int, Field(ge=1, le=1000)]


class QueueSpec(Frozen):
    """One task queue as one role serves it. Slots are per process; pollers are a maximum; rates are activities per
    second over all processes, None for no limit."""

    queue: QueueKind
    kind: Slug | None = None
    workflows: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()
    workflow_slots: Slots = 10
    workflow_pollers: Slots = 4
    cached_workflows: int = Field(default=300, ge=0)
    activity_slots: Slots = 4
    activity_pollers: Slots = 2
    local_activity_slots: Slots = 8
    activities_per_second: float | None = Field(default=None, gt=0)

    @property
    def task_queue(self) -> str:
        return task_queue(self.queue, self.kind)

    @model_validator(mode="after")
    def _known(self) -> Self:
        task_queue(self.queue, self.kind)
        if unknown := set(self.workflows) - set(WORKFLOWS):
            raise ValueError(f"there is no workflow {', '.join(sorted(unknown))}")
        served = {contract.name for contract in CONTRACTS if contract.queue is self.queue}
        if unknown := set(self.activities) - served:
            raise ValueError(f"queue {self.queue.value} has no activity {', '.join(sorted(unknown))}")
        if not self.workflows and not self.activities:
            raise ValueError("a queue serves a workflow or an activity")
        return self


class RoleSpec(Frozen):
    """A role: what one of its processes does."""

    name: str
    processes: int = Field(default=1, ge=0, le=256)
    queues: Annotated[tuple[QueueSpec, ...], Field(min_length=1)]
    hosts: tuple[Hosted, ...] = ()


def load_roles(config_dir: Path) -> dict[str, RoleSpec]:
    """Every role, by name.

    Raises:
        RolesError: see there; names the role and the problem.
    """
    path = config_dir / "workers.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["roles"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise RolesError(f"{path.name} cannot be read: {error}") from error
    roles: dict[str, RoleSpec] = {}
    for name, table in tables.items():
        try:
            roles[name] = RoleSpec.model_validate({"name": name, **table})
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
            raise RolesError(f"[roles.{name}] {'; '.join(problems)}") from error
    return roles


def choose(roles: dict[str, RoleSpec], names: list[str]) -> tuple[RoleSpec, ...]:
    """The roles asked for, each once. Raises RolesError for one that does not exist."""
    unknown = [name for name in names if name not in roles]
    if unknown:
        raise RolesError(f"there is no role {', '.join(unknown)}; there are {', '.join(roles)}")
    return tuple(roles[name] for name in dict.fromkeys(names))
