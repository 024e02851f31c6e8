"""Where downloaded and built server binaries are kept between checkouts."""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binary_folder() -> Path:
    """`$XDG_CACHE_HOME/parley/bin`, else `~/.cache/parley/bin`; created when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "parley" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def exclusive(folder: Path, name: str) -> Iterator[None]:
    """Holds a lock file, so that two processes never fetch or build the same binary at once."""
    with (folder / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def version_line(binary: Path) -> str | None:
    """First line of `binary --version`; None when it does not run (missing, truncated, another machine's)."""
    try:
        outcome = subprocess.run(  # noqa: S603 - a path we chose
            [str(binary), "--version"], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = outcome.stdout.strip().splitlines()
    return lines[0] if outcome.returncode == 0 and lines else None
