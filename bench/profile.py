"""Reads a profile of a worker's main thread."""

import pstats
from pathlib import Path
from typing import Any, cast

_WAITING = ("epoll", "acquire", "sleep")

Row = tuple[int, int, float, float, Any]
"""Primitive calls, calls, own seconds, seconds with callees, callers: as `pstats` has it."""


def dearest_functions(file: Path, runs: int, most: int = 25) -> list[str]:
    """The functions with the most time of their own, in ms a run. A profiled program is slower than a free one: the
    shares mean something, the sums do not."""
    stats = cast("dict[tuple[str, int, str], Row]", vars(pstats.Stats(str(file)))["stats"])
    busy = [(key, row) for key, row in stats.items() if not any(word in key[2] for word in _WAITING)]
    ranked = sorted(busy, key=lambda item: -item[1][2])[:most]
    return [
        f"{1000 * own / runs:.2f} ms own, {1000 * total / runs:.2f} in all, {calls / runs:.1f} calls: {_where(*key)}"
        for key, (_, calls, own, total, _) in ranked
    ]


def _where(path: str, line: int, name: str) -> str:
    return name if path == "~" else f"{Path(path).parent.name}/{Path(path).name}:{line} {name}"
