"""Finds a Temporal server to run: on PATH, cached, downloaded by the SDK, or built with Go.

    python -m infra.embedded.temporal_binary      # makes sure there is one and prints where

What is downloaded or built is checked by running it, and only then moved into the cache.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape

from infra.embedded import cache
from infra.embedded.errors import StackError
from infra.embedded.process import kill_group

VERSION = "1.5.1"

_PACKAGE = f"github.com/temporalio/cli/cmd/temporal@v{VERSION}"
_DOWNLOAD_HOST = "https://temporal.download/"
_GO_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go")  # often not on PATH
_PROBE_SECONDS = 3.0
_SHORT_DOWNLOAD_SECONDS = 10.0  # when Go could build it instead
_LONG_DOWNLOAD_SECONDS = 180.0  # when there is no other way
_BUILD_SECONDS = 1200.0
_ROUGHLY_PACKAGES = 1350  # compiled by the build; only for the progress line

_ROOT = Path(__file__).parents[2]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class TemporalBinary:
    """A server binary that runs here. `origin` says where it came from, in words."""

    path: Path
    origin: str
    version: str


def cached_path() -> Path:
    """Where the binary of the pinned version is kept."""
    return cache.binary_folder() / f"temporal-{VERSION}"


def find_ready() -> TemporalBinary | None:
    """A binary that needs no fetching: on PATH, else cached."""
    on_path = shutil.which("temporal")
    if on_path is not None and (found := _checked(Path(on_path), "PATH")):
        return found
    return _checked(cached_path(), "cache")


async def ensure(tell: Tell) -> TemporalBinary:
    """As `find_binary`, in a process that ends when this task is cancelled: a build takes minutes.

    Raises:
        StackError: none of the ways worked.
    """
    if found := await asyncio.to_thread(find_ready):
        return found
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.embedded.temporal_binary",
        cwd=_ROOT, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    last = ""
    try:
        async for line in process.stderr:
            last = line.decode("utf-8", "replace").strip()
            tell(last)
        await process.wait()
    finally:
        if process.returncode is None:
            kill_group(process.pid)
            await process.wait()
    found = await asyncio.to_thread(find_ready)
    if found is None:
        raise StackError(last)
    return found


def find_binary(tell: Tell = lambda _: None) -> TemporalBinary:
    """The first of the ways that works. May take minutes once (a build); `tell` gets progress lines.

    Raises:
        StackError: none of the ways worked; the message lists what was tried and what to do.
    """
    if found := find_ready():
        return found
    tried: list[str] = []
    with cache.exclusive(cached_path().parent, "temporal"):
        if found := _checked(cached_path(), "cache"):  # another process was faster
            return found
        go = _find_go()
        limit = _SHORT_DOWNLOAD_SECONDS if go else _LONG_DOWNLOAD_SECONDS
        attempts: tuple[tuple[str, Callable[[Path], Path]], ...] = (
            ("download", lambda folder: _download(folder, limit, tell)),
            ("go install", lambda folder: _build(folder, go, tell)),
        )
        for origin, attempt in attempts:
            with tempfile.TemporaryDirectory(dir=cached_path().parent, prefix=".temporal-") as partial:
                try:
                    built = attempt(Path(partial))
                except StackError as error:
                    tell(f"Temporal server: {error}")
                    tried.append(str(error))
                    continue
                if not _checked(built, origin):
                    tried.append(f"{origin}: the result does not run")
                    continue
                built.chmod(0o755)
                built.replace(cached_path())
            return TemporalBinary(cached_path(), origin, cache.version_line(cached_path()) or VERSION)
    raise StackError(
        "no Temporal server: put a `temporal` binary on PATH (https://temporal.download), install Go 1.25 or "
        f"newer, or set TEMPORAL_ADDRESS to a running server. Tried: {'; '.join(tried)}"
    )


def _checked(binary: Path, origin: str) -> TemporalBinary | None:
    version = cache.version_line(binary) if binary.is_file() else None
    return TemporalBinary(binary, origin, version) if version and "Server" in version else None


def _download(folder: Path, limit: float, tell: Tell) -> Path:
    """The SDK's own download, in a process that can be ended when it takes longer than `limit` seconds."""
    try:
        httpx.head(_DOWNLOAD_HOST, timeout=_PROBE_SECONDS)
    except httpx.HTTPError as error:
        raise StackError(f"download: {_DOWNLOAD_HOST} does not answer ({type(error).__name__})") from error
    tell(f"Temporal server: downloading {VERSION}")
    try:
        outcome = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "infra.embedded.temporal_binary", "--download", str(folder)],
            capture_output=True, text=True, check=False, timeout=limit, cwd=_ROOT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StackError(f"download: not finished within {limit:.0f} s") from error
    found = next((path for path in folder.rglob("temporal*") if path.is_file()), None)
    if outcome.returncode != 0 or found is None:
        raise StackError(f"download: failed ({outcome.stderr.strip()[-200:]})")
    return found


async def _download_with_sdk(folder: Path) -> None:
    from temporalio.testing import WorkflowEnvironment

    async with await WorkflowEnvironment.start_local(
        download_dest_dir=str(folder), dev_server_download_version=f"v{VERSION}"
    ):
        await asyncio.sleep(0.3)  # a client that has just been used must not meet the interpreter's exit


def _find_go() -> Path | None:
    """A Go that can build the server: 1.25, or 1.21 which fetches a newer toolchain by itself."""
    for candidate in (shutil.which("go"), *_GO_PLACES):
        if candidate is None or not Path(candidate).is_file():
            continue
        outcome = subprocess.run(  # noqa: S603 - a path we chose
            [candidate, "version"], capture_output=True, text=True, check=False, timeout=20
        )
        version = re.search(r"go(\d+)\.(\d+)", outcome.stdout)
        if version and (int(version[1]), int(version[2])) >= (1, 21):
            return Path(candidate)
    return None


def _build(folder: Path, go: Path | None, tell: Tell) -> Path:
    """`go install`, once, in about three minutes on two cores."""
    if go is None:
        raise StackError("go install: no Go of version 1.21 or newer")
    tell(f"Temporal server: building {VERSION} with {go} (about three minutes, once)")
    environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOFLAGS": ""}
    started = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - the argument list is ours
        [str(go), "install", "-v", "-trimpath", "-ldflags=-s -w", _PACKAGE],
        env=environment, cwd=folder, stderr=subprocess.PIPE, text=True,
    ) as build:  # fmt: skip
        assert build.stderr is not None
        last, compiled, told = "", 0, 0.0
        every = 1.0 if sys.stderr.isatty() else 15.0
        for line in build.stderr:
            last = line.strip() or last
            compiled += not last.startswith("go: ")
            elapsed = time.monotonic() - started
            if elapsed > _BUILD_SECONDS:
                build.kill()
                raise StackError(f"go install: not finished within {_BUILD_SECONDS:.0f} s")
            if elapsed - told >= every:
                told = elapsed
                doing = f"{compiled} of about {_ROUGHLY_PACKAGES} packages" if compiled else "fetching modules"
                tell(f"Temporal server: building, {doing}, {elapsed:.0f} s")
    if build.returncode != 0:
        raise StackError(f"go install: {last[-300:]}")
    return folder / "temporal"


def main() -> int:
    """Makes sure that there is a server binary; `--download FOLDER` is the inner step of a download."""
    if sys.argv[1:2] == ["--download"]:
        asyncio.run(_download_with_sdk(Path(sys.argv[2])))
        return 0

    console = Console(stderr=True, highlight=False)
    if address := os.environ.get("TEMPORAL_ADDRESS"):
        console.print(f"Temporal server: using {address}; tests start one of their own")
    try:
        if console.is_terminal:
            with console.status("Temporal server: looking for one") as status:
                found = find_binary(lambda line: status.update(escape(line)))
        else:
            found = find_binary(lambda line: console.print(line, markup=False))
    except StackError as error:
        console.print(error.message, markup=False)
        return 1
    console.print(f"Temporal server: {found.path} ({found.origin}; {found.version})", markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
