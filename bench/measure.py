"""One figure of the bench, its aim, and how all of them are shown and written."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from operator import ge, le
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Measurement:
    """A named figure. aim: the number to reach, `direction` "≥" or "≤"; None for a figure without aim.

    detail: what the figure was made from, kept in the JSON so that a miss can be read.
    """

    name: str
    value: float
    unit: str = ""
    aim: float | None = None
    direction: str = "≥"
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        if self.aim is None:
            return None
        return bool((ge if self.direction == "≥" else le)(self.value, self.aim))


def hardware() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory) / 1024**2, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _lines(path: str) -> Sequence[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return ()


def write(path: Path, measurements: Sequence[Measurement], machine: dict[str, Any], missing: Mapping[str, str]) -> None:
    """The JSON form: hardware (its load when the bench began, and now), time, every figure with its aim and detail,
    and the sections without figures with the reason."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": machine | {"load_after": hardware()["load"]},
        "measurements": {m.name: asdict(m) | {"reached": m.reached} for m in measurements},
        "missing": dict(missing),
    }
    path.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n")


def show(
    console: Console, measurements: Sequence[Measurement], machine: dict[str, Any], missing: Mapping[str, str]
) -> None:
    """The table, with the hardware named, every missed aim said, and what was not measured."""
    load = f"load {machine['load'][0]:g} before"
    table = Table(title=f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {load}")
    for column, justify in (("figure", "left"), ("value", "right"), ("aim", "right"), ("", "left"), ("note", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]  # the literals are valid
    verdicts = {None: "", True: "[green]reached[/]", False: "[red]missed[/]"}
    for m in measurements:
        aim = "" if m.aim is None else f"{m.direction} {m.aim:g}"
        table.add_row(m.name, f"{m.value:,.3g} {m.unit}".strip(), aim, verdicts[m.reached], m.note)
    console.print(table)
    for name, reason in missing.items():
        console.print(f"{name} was not measured: {reason}", markup=False, highlight=False)
