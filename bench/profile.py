"""`python -m bench.profile FILE MODULE ARG…`: runs a module's `main` under a profiler, which writes FILE at the end.

The main thread is profiled, where the event loop runs, by its own processor time: what others do on the machine does
not show.
"""

import cProfile
import importlib
import pstats
import signal
import sys
import time
from pathlib import Path
from typing import Any, cast

_WAITING = ("epoll", "acquire", "sleep")

Row = tuple[int, int, float, float, Any]
"""Primitive calls, calls, own seconds, seconds with callees, callers: as `pstats` has it."""


def dearest_functions(file: Path, runs: int, most: int = 25) -> list[str]:
    """The functions with the most time of their own, in ms a run. Starting the process is part of it, and a profiled
    program is slower than a free one: the shares mean something, the sums do not."""
    stats = cast("dict[tuple[str, int, str], Row]", vars(pstats.Stats(str(file)))["stats"])
    busy = [(key, row) for key, row in stats.items() if not any(word in key[2] for word in _WAITING)]
    ranked = sorted(busy, key=lambda item: -item[1][2])[:most]
    return [
        f"{1000 * own / runs:.2f} ms own, {1000 * total / runs:.2f} in all, {calls / runs:.1f} calls: {_where(*key)}"
        for key, (_, calls, own, total, _) in ranked
    ]


def _where(path: str, line: int, name: str) -> str:
    return name if path == "~" else f"{Path(path).parent.name}/{Path(path).name}:{line} {name}"


def main() -> int:
    file, module, *arguments = sys.argv[1:]
    run = importlib.import_module(module if not Path(module.replace(".", "/")).is_dir() else f"{module}.__main__").main
    sys.argv = [module, *arguments]
    # A server that was asked to stop ends itself with the same signal once it is done: that must not skip the rest.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    profile = cProfile.Profile(time.thread_time)
    try:
        return int(profile.runcall(run))
    finally:
        profile.dump_stats(file)


if __name__ == "__main__":
    sys.exit(main())
