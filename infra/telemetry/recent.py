"""What happened lately: how much a process's counters and histograms grew over the last minutes.

For whoever looks without a Prometheus beside it (`parley status`): counters alone tell what happened since the process
began. A snapshot a minute is kept, which costs a millisecond and some kilobytes.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable

from prometheus_client import REGISTRY
from prometheus_client.registry import CollectorRegistry

WINDOW_SECONDS = 900.0
EVERY_SECONDS = 60.0

_PREFIX = "parley_"
_GROWING = ("counter", "histogram")
_STANDING = ("gauge",)

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and its labels in order."""


class Recent:
    """The growth of a registry's counters and histograms over the window, or since the process began."""

    def __init__(self, registry: CollectorRegistry = REGISTRY, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._monotonic = monotonic
        self._kept: deque[tuple[float, dict[Series, float]]] = deque()
        self._lock = threading.Lock()
        self.keep()

    def keep(self) -> None:
        """Keeps what is counted now; forgets what no window reaches any more."""
        now, values = self._monotonic(), self._read()
        with self._lock:
            self._kept.append((now, values))
            while len(self._kept) > 1 and now - self._kept[1][0] >= WINDOW_SECONDS:
                self._kept.popleft()

    def keep_for_ever(self) -> None:
        """A thread of its own keeps a snapshot a minute until the process ends."""

        def run() -> None:
            while True:
                time.sleep(EVERY_SECONDS)
                self.keep()

        threading.Thread(target=run, name="recent-metrics", daemon=True).start()

    def as_json(self) -> str:
        """`{"seconds": …, "grown": [{"name": …, "labels": {…}, "value": …}], "now": [the same]}`: what grew and over
        how long, and what gauges say now."""
        now, values = self._monotonic(), self._read()
        with self._lock:
            since, before = self._kept[0]
        grown = {series: value - before.get(series, 0.0) for series, value in values.items()}
        told = {
            "seconds": round(now - since, 1),
            "grown": [_sample(series, growth) for series, growth in grown.items() if growth],
            "now": [_sample(series, value) for series, value in self._read(_STANDING).items()],
        }
        return json.dumps(told)

    def _read(self, kinds: tuple[str, ...] = _GROWING) -> dict[Series, float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for metric in self._registry.collect()
            if metric.type in kinds and metric.name.startswith(_PREFIX)
            for sample in metric.samples
            if not sample.name.endswith("_created")
        }


def _sample(series: Series, value: float) -> dict[str, object]:
    name, labels = series
    return {"name": name, "labels": dict(labels), "value": value}
