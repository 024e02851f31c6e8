"""`python -m api` as a process: it serves, ends in order when asked, and refuses a wrong configuration in words."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx

from infra.embedded.process import free_port
from tests.support.api_server import api_settings
from tests.support.stack import ROOT, DatabaseUrls, TemporalServer


def test_it_serves_and_ends_in_order(database: DatabaseUrls, temporal_server: TemporalServer, tmp_path: Path) -> None:
    settings = api_settings(database, tmp_path, temporal_address=temporal_server.address)
    own = {
        "PARLEY_PROFILE": "embedded",
        "PARLEY_HOME": str(tmp_path),
        "PARLEY_DATABASE_URL": database.app,
        "PARLEY_PLATFORM_DATABASE_URL": database.platform,
        "PARLEY_TEMPORAL_ADDRESS": temporal_server.address,
        "PARLEY_CONTENT_URL": settings.content_url,
        "PARLEY_MASTER_KEY": str(settings.master_key),
        "PARLEY_CODEC_KEY": str(settings.codec_key),
        "PARLEY_API_PORT": str(settings.api_port),
        "PARLEY_PUBLIC_URL": settings.public_url,
        "PARLEY_METRICS_PORT": str(metrics := free_port()),
    }
    with (tmp_path / "api.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "api"], cwd=ROOT, env={**os.environ, **own}, stderr=log)
        try:
            _wait_for(f"{settings.public_url}/readyz", process)
            assert httpx.get(f"{settings.public_url}/v1/conversations").status_code == 401
            measured = httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
            refused = 'parley_api_request_seconds_count{method="GET",route="/v1/conversations",status="401"} 1.0'
            assert refused in measured
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait(10)
    told = (tmp_path / "api.log").read_text()
    assert '"route": "/v1/conversations"' in told
    assert "Traceback" not in told


def test_a_wrong_configuration_is_told_by_name(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    wrong = {**environment, "PARLEY_API_PORT": "a port"}
    command = [sys.executable, "-m", "api"]
    ended = subprocess.run(command, cwd=ROOT, env=wrong, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "PARLEY_API_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.HTTPError:
            threading.Event().wait(0.1)
    raise AssertionError(f"{url} does not answer")
