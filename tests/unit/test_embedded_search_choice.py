"""Which search index is chosen, against a local release site that refuses, hangs, cuts off, lies or delivers."""

import hashlib
import http.server
import json
import platform
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.embedded import meilisearch
from infra.embedded.meilisearch import ReleaseSource, choose
from infra.embedded.process import free_port

# Stands in for the release file: what is tested is how it is fetched and checked, not the server inside.
BINARY = b"#!/bin/sh\necho meilisearch 1.50.0\n" + b"#" * 200_000
BROKEN_BINARY = b"#!/bin/sh\nexit 1\n"


@dataclass
class Site:
    """A release site; `fault` says how it misbehaves."""

    url: str = ""
    fault: str = ""
    binary: bytes = BINARY
    requests: list[str] = field(default_factory=list)

    @property
    def source(self) -> ReleaseSource:
        return ReleaseSource(f"{self.url}/release.json", answer_seconds=0.5, download_seconds=1.0)

    def metadata(self) -> bytes:
        name = meilisearch._ASSETS[(sys.platform, platform.machine())]
        digest = hashlib.sha256(b"other" if self.fault == "checksum" else self.binary).hexdigest()
        size = len(self.binary) - (1000 if self.fault == "larger" else 0)
        asset = {
            "name": name,
            "size": size,
            "digest": None if self.fault == "no digest" else f"sha256:{digest}",
            "browser_download_url": f"{self.url}/file",
        }
        return json.dumps({"assets": [asset]}).encode()


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one.requests.append(self.path)
            if self.path == "/health":
                return self._answer(b'{"status": "available"}')
            if self.path == "/release.json":
                if one.fault == "hang":
                    time.sleep(1.5)
                    return None
                if one.fault == "error":
                    return self.send_error(503)
                return self._answer(b"<html>" if one.fault == "nonsense" else one.metadata())
            return self._file()

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _file(self) -> None:
            self.send_response(200)
            body = one.binary
            if one.fault == "truncated":
                self.send_header("content-length", str(len(body)))
                body = body[: len(body) // 2]
            self.end_headers()
            if one.fault == "slow":
                for start in range(0, len(body), 20_000):
                    self.wfile.write(body[start : start + 20_000])
                    time.sleep(0.2)
            else:
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield one
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a PATH of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    (tmp_path / "path").mkdir()
    return tmp_path / "cache" / "parley" / "bin"


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_address_given_comes_first(site: Site, tmp_path: Path) -> None:
    put(tmp_path / "path" / "meilisearch", BINARY)
    choice = choose(site.url, site.source)
    assert (choice.backend, choice.url, choice.binary) == ("meilisearch", site.url, None)


def test_an_address_that_does_not_answer_is_passed_over_and_told(site: Site, tmp_path: Path) -> None:
    put(tmp_path / "path" / "meilisearch", BINARY)
    dead = f"http://127.0.0.1:{free_port()}"
    choice = choose(dead, site.source)
    assert choice.binary == tmp_path / "path" / "meilisearch"
    site.fault = "error"
    (tmp_path / "path" / "meilisearch").unlink()
    assert dead in choose(dead, site.source).reason


def test_the_cache_comes_before_the_network(site: Site, cache: Path) -> None:
    put(cache / "meilisearch-1.50.0", BINARY)
    choice = choose("", site.source)
    assert choice.binary == cache / "meilisearch-1.50.0"
    assert "cache" in choice.reason
    assert site.requests == []


def test_the_release_is_fetched_once(site: Site, cache: Path) -> None:
    first = choose("", site.source)
    assert first.binary == cache / "meilisearch-1.50.0"
    assert "official release" in first.reason
    assert choose("", site.source).binary == first.binary
    assert site.requests == ["/release.json", "/file"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hang", "in time"),
        ("error", "cannot be used"),
        ("nonsense", "not understood"),
        ("no digest", "not understood"),
        ("truncated", "cannot be used"),
        ("larger", "larger than published"),
        ("checksum", "checksum"),
        ("slow", "longer than"),
    ],
)
def test_what_does_not_arrive_whole_and_in_time_is_never_cached(
    site: Site, cache: Path, fault: str, reason: str
) -> None:
    site.fault = fault
    started = time.monotonic()
    choice = choose("", site.source)
    assert time.monotonic() - started < 10
    assert choice.backend == "postgres"
    assert reason in choice.reason
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


def test_a_refused_connection_means_postgres(cache: Path) -> None:
    choice = choose("", ReleaseSource(f"http://127.0.0.1:{free_port()}/release.json"))
    assert choice.backend == "postgres"
    assert "ConnectError" in choice.reason


def test_a_release_that_does_not_run_is_not_cached(site: Site, cache: Path) -> None:
    site.binary = BROKEN_BINARY
    choice = choose("", site.source)
    assert choice.backend == "postgres"
    assert "does not run" in choice.reason
    assert not (cache / "meilisearch-1.50.0").exists()


def test_the_key_is_not_in_the_argument_list(tmp_path: Path) -> None:
    put(tmp_path / "meilisearch", BINARY)
    (tmp_path / "key").write_text("very-secret")
    command = meilisearch.command(tmp_path / "meilisearch", 7700, tmp_path, tmp_path / "key")
    assert "very-secret" not in " ".join(command.argv)
    assert "very-secret" not in repr(command)
    assert command.env["MEILI_MASTER_KEY"] == "very-secret"
    assert str(tmp_path / "index-1.50") in command.argv
