"""Prometheus metrics of the API: how many requests of which route ended how, and how long they took."""

import logging

from prometheus_client import Histogram, start_http_server

_log = logging.getLogger(__name__)

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

_SECONDS = Histogram(
    "parley_api_request_seconds",
    "Time from the first byte of a request to the end of its answer.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)


def observe(method: str, route: str | None, status: int, seconds: float) -> None:
    """`route` is the template, None for addresses there are not: labels never grow with what callers send."""
    labels = (method if method in _METHODS else "other", route or "none", str(status))
    _SECONDS.labels(*labels).observe(seconds)


def serve_metrics(host: str, port: int) -> None:
    """On a port of their own, in a thread; 0 for none. A port that is taken costs the metrics, not the service."""
    if not port:
        return
    try:
        start_http_server(port, host)
    except OSError as error:
        _log.error("no metrics of this process: port %d on %s: %s", port, host, error.strerror)
