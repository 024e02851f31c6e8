"""How a Temporal server is found: PATH, cache, download, build; what does not run is never cached."""

import os
import stat
from pathlib import Path

import pytest

from infra.embedded import temporal, temporal_binary
from infra.embedded.errors import StackError
from infra.embedded.temporal_binary import VERSION, ensure, find_binary
from tests.support.stack import TEMPORAL_CONFIG

# Stands in for the server file: what is tested is how it is found and checked, not the server inside.
BINARY = "#!/bin/sh\necho 'temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)'\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a PATH of this test's own, no site to download from, no Go but what a test puts there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    (tmp_path / "path").mkdir()
    monkeypatch.setattr(temporal_binary, "_DOWNLOAD_HOST", "http://127.0.0.1:9/")
    monkeypatch.setattr(temporal_binary, "_GO_PLACES", ())
    return tmp_path / "cache" / "parley" / "bin"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def go(tmp_path: Path, version: str, install: str) -> None:
    """A `go` that says a version and, asked to install, does `install`."""
    put(
        tmp_path / "path" / "go",
        f'#!/bin/sh\nif [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit; fi\n{install}\n',
    )


def test_path_comes_first(tmp_path: Path, cache: Path) -> None:
    put(cache / f"temporal-{VERSION}", BINARY)
    on_path = put(tmp_path / "path" / "temporal", BINARY)
    found = find_binary()
    assert (found.path, found.origin) == (on_path, "PATH")


def test_what_does_not_run_is_passed_over(tmp_path: Path, cache: Path) -> None:
    put(tmp_path / "path" / "temporal", "#!/bin/sh\nexit 1\n")
    put(cache / f"temporal-{VERSION}", BINARY)
    assert find_binary().origin == "cache"


def test_a_client_without_server_is_passed_over(tmp_path: Path, cache: Path) -> None:
    put(tmp_path / "path" / "temporal", "#!/bin/sh\necho temporal version 0.9\n")
    put(cache / f"temporal-{VERSION}", BINARY)
    assert find_binary().origin == "cache"


def test_go_builds_into_the_cache_with_progress(tmp_path: Path, cache: Path) -> None:
    go(tmp_path, "1.25.1", f'echo some/package >&2; printf %s "{BINARY}" > $GOBIN/temporal; chmod +x $GOBIN/temporal')
    told: list[str] = []
    found = find_binary(told.append)
    assert (found.path, found.origin) == (cache / f"temporal-{VERSION}", "go install")
    assert any("does not answer" in line for line in told)
    assert any("building" in line for line in told)
    (tmp_path / "path" / "go").unlink()
    assert find_binary().origin == "cache"


@pytest.mark.parametrize(
    ("version", "install", "reason"),
    [
        ("1.20.4", "exit 0", "no Go of version 1.21"),
        ("1.25.1", "echo disk full >&2; exit 1", "disk full"),
        ("1.25.1", "printf half > $GOBIN/temporal; chmod +x $GOBIN/temporal", "does not run"),
        ("1.25.1", "exit 0", "does not run"),
    ],
)
async def test_a_failed_build_is_told_and_not_cached(
    tmp_path: Path, cache: Path, version: str, install: str, reason: str
) -> None:
    go(tmp_path, version, install)
    with pytest.raises(StackError, match="no Temporal server") as caught:
        find_binary()
    assert reason in caught.value.message
    assert "TEMPORAL_ADDRESS" in caught.value.message
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


async def test_ensure_takes_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "path" / "temporal", BINARY)
    assert (await ensure(print)).origin == "PATH"


def test_switches_and_attributes_reach_the_command_line(tmp_path: Path) -> None:
    ports = temporal.TemporalPorts(1, 2, 3)
    command = temporal.start_dev_command(
        Path("temporal"), ports, TEMPORAL_CONFIG, database=tmp_path / "db", cwd=tmp_path, namespace="other"
    )
    line = " ".join(command.argv)
    assert "matching.useNewMatcher=true" in line
    assert "matching.numTaskqueueReadPartitions=1" in line
    assert "--search-attribute ParleyTenant=Keyword" in line
    assert "--namespace other" in line
    assert not [name for name in command.env if name.startswith(("PARLEY_", "TEMPORAL_"))]
    assert os.environ["PATH"] == command.env["PATH"]
