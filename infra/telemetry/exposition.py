"""One port per process for its metrics: our own and those of the Temporal SDK on one page.

`/metrics` is for Prometheus; `/recent` says as JSON what grew in the last fifteen minutes, for `parley status`.
"""

import http.client
import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, version
from threading import Thread

from prometheus_client import generate_latest
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from infra.embedded.process import free_port
from infra.settings import Settings
from infra.telemetry import metrics
from infra.telemetry.recent import Recent

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_TRIES = 5
_SDK_SECONDS = 2.0
_QUEUE_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0]

_log = logging.getLogger(__name__)


def serve_metrics(settings: Settings, process: str) -> Runtime | None:
    """Opens the page, in threads; no port is asked for with 0. A port that is taken costs the metrics, not the work.

    The runtime counts for the SDK: the process's Temporal client is to be connected with it. None without metrics.
    """
    if not settings.metrics_port:
        return None
    runtime, sdk_port = _sdk_metrics()
    try:
        server = _Server((settings.metrics_host, settings.metrics_port), sdk_port)
    except OSError as error:
        where = f"port {settings.metrics_port} on {settings.metrics_host}"
        _log.error("no metrics of this process: %s: %s", where, error.strerror)
        return None
    metrics.PROCESS.labels(process, product_version()).set(1)
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    server.recent.keep_for_ever()
    return runtime


def _sdk_metrics() -> tuple[Runtime | None, int | None]:
    """The SDK serves its metrics itself and cannot be asked for them otherwise: on a port that only this process
    knows of."""
    for _ in range(_TRIES):
        port = free_port()
        config = PrometheusConfig(
            bind_address=f"127.0.0.1:{port}",
            durations_as_seconds=True,
            histogram_bucket_overrides={
                "temporal_activity_schedule_to_start_latency": _QUEUE_SECONDS,
                "temporal_workflow_task_schedule_to_start_latency": _QUEUE_SECONDS,
            },
        )
        try:
            return Runtime(telemetry=TelemetryConfig(metrics=config)), port
        except ValueError:  # somebody took it meanwhile
            continue
    _log.error("no metrics of the Temporal SDK: no port could be had")
    return None, None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], sdk_port: int | None) -> None:
        super().__init__(address, _Handler)
        self.recent = Recent()
        self.sdk_port = sdk_port


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(_TEXT, generate_latest() + _of_the_sdk(self.server.sdk_port))
        elif path == "/recent":
            self._answer("application/json", self.server.recent.as_json().encode())
        else:
            self.send_error(404)

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not worth a line."""


def _of_the_sdk(port: int | None) -> bytes:
    if port is None:
        return b""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SDK_SECONDS)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.read() if answer.status == 200 else b""
    except OSError:
        return b""
    finally:
        connection.close()


def product_version() -> str:
    try:
        return version("parley")
    except PackageNotFoundError:
        return "0"
