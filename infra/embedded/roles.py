"""The worker roles of `temporal-config/workers.toml`: one process per role and count."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.errors import StackError


@dataclass(frozen=True)
class WorkerProcess:
    """One worker process: its name among the processes, and the role it is started with."""

    name: str
    role: str


def worker_processes(config: Path) -> tuple[WorkerProcess, ...]:
    """Every worker process that the file asks for; `processes` in a role is 1 when not given.

    Raises:
        StackError: the file is missing or names no role.
    """
    path = config / "workers.toml"
    try:
        roles = tomllib.loads(path.read_text(encoding="utf-8")).get("roles", {})
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise StackError(f"{path} cannot be read: {error}") from error
    found = tuple(
        WorkerProcess(f"worker-{role}" if number == 1 else f"worker-{role}-{number}", role)
        for role, content in roles.items()
        for number in range(1, int(content.get("processes", 1)) + 1)
    )
    if not found:
        raise StackError(f"{path} names no worker role")
    return found
