"""Reads `temporal-config/policies.toml` into the table workflows look policies up in."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from domain import policies
from domain.contracts import CONTRACTS
from domain.conversation import Lane
from domain.errors import ParleyError
from domain.policies import StagePolicy

PLAN_LOCAL = "plan_local"


class PolicyFileError(ParleyError):
    """The file is missing, malformed or incomplete. Names the table and why."""

    code = "configuration"
    title = "The stage policies are not valid"


def load(config_dir: Path) -> dict[tuple[str, Lane], StagePolicy]:
    """Every policy of the file, by key and lane; an engine kind's own have the key `stage.kind`.

    Raises:
        PolicyFileError: see there.
    """
    path = config_dir / "policies.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PolicyFileError(f"{path.name} cannot be read: {error}") from error
    table: dict[tuple[str, Lane], StagePolicy] = {}
    for key, content in tables.items():
        _read(table, key, content, {lane: {} for lane in Lane})
    for needed in {PLAN_LOCAL, *(contract.policy for contract in CONTRACTS)}:
        if (needed, Lane.LIVE) not in table:
            raise PolicyFileError(f"{path.name} has no policy for {needed}")
    return table


def install(config_dir: Path) -> None:
    """Sets the process's table. Before a worker is built.

    Raises:
        PolicyFileError: as `load`.
    """
    policies.use(load(config_dir))


def _read(
    table: dict[tuple[str, Lane], StagePolicy], key: str, content: Any, inherited: Mapping[Lane, dict[str, Any]]
) -> None:
    if not isinstance(content, Mapping):
        raise PolicyFileError(f"[{key}] is not a table")
    own = {name: value for name, value in content.items() if not isinstance(value, Mapping)}
    merged = {lane: {**inherited[lane], **own, **content.get(lane.value, {})} for lane in Lane}
    for lane, values in merged.items():
        try:
            table[key, lane] = StagePolicy.model_validate(values)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise PolicyFileError(f"[{key}] {lane.value}: {where}: {problem['msg']}") from error
    if "." not in key:
        lanes = {lane.value for lane in Lane}
        for kind, inner in content.items():
            if isinstance(inner, Mapping) and kind not in lanes:
                _read(table, f"{key}.{kind}", inner, merged)
