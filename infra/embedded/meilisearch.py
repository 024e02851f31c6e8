"""Which search index serves the embedded stack: Meilisearch if there is one, else Postgres full text.

The order: `MEILI_URL`, `meilisearch` on PATH, the cached binary, the official release. Whatever does not
work is passed over with its reason; start-up tells the choice.
"""

import hashlib
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from pydantic import BaseModel, ValidationError

from infra.embedded import cache
from infra.embedded.errors import StackError
from infra.embedded.process import Command

VERSION = "1.50.0"
RELEASE_METADATA = f"https://api.github.com/repos/meilisearch/meilisearch/releases/tags/v{VERSION}"

_ANSWER_SECONDS = 3.0
_DOWNLOAD_SECONDS = 60.0
_JUDGE_SPEED_AFTER_SECONDS = 4.0

_ASSETS = {
    ("linux", "x86_64"): "meilisearch-linux-amd64",
    ("linux", "aarch64"): "meilisearch-linux-aarch64",
    ("darwin", "arm64"): "meilisearch-macos-apple-silicon",
    ("darwin", "x86_64"): "meilisearch-macos-amd64",
}

Tell = Callable[[str], None]


@dataclass(frozen=True)
class SearchChoice:
    """What serves search, and why. A `binary` is ours to start; a `url` without one is somebody else's."""

    backend: Literal["meilisearch", "postgres"]
    reason: str
    url: str | None = None
    binary: Path | None = None


@dataclass(frozen=True)
class ReleaseSource:
    """Where the official release is described, and how long its site and the download may take (seconds)."""

    metadata_url: str = RELEASE_METADATA
    answer_seconds: float = _ANSWER_SECONDS
    download_seconds: float = _DOWNLOAD_SECONDS


class _Asset(BaseModel):
    name: str
    size: int
    digest: str
    browser_download_url: str


class _Release(BaseModel):
    assets: list[_Asset]


def cached_path() -> Path:
    """Where the binary of the pinned version is kept."""
    return cache.binary_folder() / f"meilisearch-{VERSION}"


def choose(url: str, release: ReleaseSource | None = None, tell: Tell = lambda _: None) -> SearchChoice:
    """The first search index that works. Never raises: Postgres full text always does.

    Args:
        url: `MEILI_URL`, empty when not set.
        release: where to look for the official release; the default one when None.
        tell: gets a line when something takes time.
    """
    passed_over: list[str] = []
    if url:
        if _healthy(url):
            return SearchChoice("meilisearch", f"MEILI_URL is set to {url}", url=url)
        passed_over.append(f"MEILI_URL {url} does not answer")
    on_path = shutil.which("meilisearch")
    for origin, binary in (("PATH", Path(on_path) if on_path else None), ("cache", cached_path())):
        if binary is None or not binary.exists():
            passed_over.append(f"none in {origin}" if origin == "cache" else f"none on {origin}")
            continue
        if version := _version(binary):
            return SearchChoice("meilisearch", f"version {version} from {origin}: {binary}", binary=binary)
        passed_over.append(f"{binary} does not run")
    try:
        binary = _download(release or ReleaseSource(), tell)
    except StackError as error:
        passed_over.append(str(error))
    else:
        return SearchChoice("meilisearch", f"version {VERSION}, the official release", binary=binary)
    return SearchChoice("postgres", f"no Meilisearch: {'; '.join(passed_over)}")


def command(binary: Path, port: int, folder: Path, key_file: Path) -> Command:
    """The command of our own server. The key travels in the environment, not in the argument list."""
    version = _version(binary) or VERSION
    major_minor = ".".join(version.split(".")[:2])
    environment: Mapping[str, str] = {"MEILI_MASTER_KEY": key_file.read_text(encoding="utf-8").strip()}
    return Command(
        argv=(
            str(binary),
            "--env", "production",
            "--http-addr", f"127.0.0.1:{port}",
            # An index is derived data and of one version's format: another version begins anew.
            "--db-path", str(folder / f"index-{major_minor}"),
            "--dump-dir", str(folder / "dumps"),
            "--snapshot-dir", str(folder / "snapshots"),
            "--max-indexing-memory", "512MiB",
            "--log-level", "WARN",
            "--no-analytics",
        ),
        env=environment,
        cwd=folder,
    )  # fmt: skip


def is_ready(port: int) -> bool:
    """Whether our own server answers."""
    return _healthy(f"http://127.0.0.1:{port}")


def _healthy(url: str) -> bool:
    try:
        answer = httpx.get(f"{url.rstrip('/')}/health", timeout=_ANSWER_SECONDS)
        return bool(answer.json() == {"status": "available"})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


def _version(binary: Path) -> str | None:
    line = cache.version_line(binary) or ""
    found = re.fullmatch(r"meilisearch (\d+\.\d+\.\d+\S*)", line)
    return found[1] if found else None


def _download(release: ReleaseSource, tell: Tell) -> Path:
    """Fetches the release into the cache, if and only if it arrives whole, in time and as published.

    Raises:
        StackError: why not, in words.
    """
    with (
        cache.exclusive(cached_path().parent, "meilisearch"),
        tempfile.TemporaryDirectory(dir=cached_path().parent, prefix=".meilisearch-") as folder,
    ):
        try:
            asset = _asset(release)
            tell(f"search: downloading Meilisearch {VERSION} ({asset.size / 1e6:.0f} MB)")
            partial = Path(folder) / "meilisearch"
            _fetch(asset, partial, release)
        except httpx.TimeoutException as error:
            raise StackError("the release site does not answer in time") from error
        except httpx.HTTPError as error:
            raise StackError(f"the release site cannot be used ({type(error).__name__})") from error
        partial.chmod(0o755)
        if _version(partial) is None:
            raise StackError("the downloaded release does not run on this machine")
        partial.replace(cached_path())
    return cached_path()


def _asset(release: ReleaseSource) -> _Asset:
    name = _ASSETS.get((sys.platform, platform.machine()))
    answer = httpx.get(release.metadata_url, timeout=release.answer_seconds, follow_redirects=True)
    answer.raise_for_status()
    try:
        assets = _Release.model_validate_json(answer.content).assets
    except ValidationError as error:
        raise StackError("the release site's answer is not understood") from error
    for asset in assets:
        if asset.name == name and asset.digest.startswith("sha256:"):
            return asset
    raise StackError(f"no release for {sys.platform} {platform.machine()} with a checksum")


def _fetch(asset: _Asset, target: Path, release: ReleaseSource) -> None:
    digest, received, started = hashlib.sha256(), 0, time.monotonic()
    with (
        httpx.stream(
            "GET", asset.browser_download_url, timeout=release.answer_seconds, follow_redirects=True
        ) as answer,
        target.open("wb") as file,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            received += len(chunk)
            if received > asset.size:
                raise StackError("the download is larger than published")
            digest.update(chunk)
            file.write(chunk)
            elapsed = time.monotonic() - started
            projected = elapsed * asset.size / received
            slow = elapsed > _JUDGE_SPEED_AFTER_SECONDS and projected > release.download_seconds
            if slow or elapsed > release.download_seconds:
                raise StackError(f"the download would take longer than {release.download_seconds:.0f} s")
    if received != asset.size:
        raise StackError(f"the download was cut off after {received} of {asset.size} bytes")
    if f"sha256:{digest.hexdigest()}" != asset.digest:
        raise StackError("the download's checksum is not the published one")
