"""The platform's status as metrics, of the API process: what waits where, what was given up, how far search is behind.

Every API process shows the same numbers, so whoever draws them takes the largest, not the sum. What could not be read
lately is not shown at all: an old number would look like a good one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.conversation import Stage
from services.platform_status import PlatformStatus, ReadPlatformStatus, StoredStatus
from services.ports import Pollers

EVERY_SECONDS = 15.0
OLD_SECONDS = 60.0


class PlatformGauges(Collector):
    """Shows the status last given to it, for as long as that is fresh."""

    def __init__(self) -> None:
        self._status: PlatformStatus | None = None
        self._at = 0.0

    def show(self, status: PlatformStatus) -> None:
        self._status, self._at = status, time.monotonic()

    def collect(self) -> Iterable[Metric]:
        status = self._status if time.monotonic() - self._at < OLD_SECONDS else None
        seen = _gauge("parley_platform_seen", "1 for each part whose figures could be read lately.", "part")
        seen.add_metric(["database"], float(status is not None and status.stored is not None))
        seen.add_metric(["temporal"], float(status is not None and status.queues is not None))
        queues = status.queues or () if status else ()
        return [seen, *_queues(queues), *_stored(status.stored if status else None)]


def _queues(queues: Iterable[Pollers]) -> list[GaugeMetricFamily]:
    backlog = _gauge("parley_queue_backlog", "Tasks that wait in a task queue.", "queue")
    age = _gauge("parley_queue_backlog_age_seconds", "How long the oldest of them has waited.", "queue")
    pollers = _gauge("parley_queue_pollers", "Workers that ask for tasks of a queue.", "queue", "kind")
    for queue in queues:
        backlog.add_metric([queue.task_queue], queue.backlog)
        age.add_metric([queue.task_queue], queue.backlog_age_seconds)
        pollers.add_metric([queue.task_queue, "activity"], queue.activity_pollers)
        if queue.workflow_pollers or queue.task_queue.endswith("conversations"):
            pollers.add_metric([queue.task_queue, "workflow"], queue.workflow_pollers)
    return [backlog, age, pollers]


def _stored(stored: StoredStatus | None) -> list[GaugeMetricFamily]:
    lag = _gauge("parley_search_lag_seconds", "How long the oldest change waits to become searchable.")
    outbox = _gauge("parley_outbox_size", "Conversations that others have to hear of.", "outbox")
    letters = _gauge("parley_dead_letters_open", "Dead letters nobody has re-driven.", "stage")
    parked = _gauge("parley_parked_conversations", "Conversations that are parked.", "reason")
    due = _gauge("parley_entries_due", "Runs that should have been started by now.")
    due_age = _gauge("parley_entries_due_age_seconds", "How long the oldest of them is due.")
    waiting = _gauge("parley_backlog_conversations", "Accepted conversations that no run has begun yet.")
    waiting_age = _gauge("parley_backlog_age_seconds", "How long the oldest of them has waited.")
    of_tenant = _gauge(
        "parley_tenant_backlog_age_seconds", "The same of a tenant; the twenty with the oldest backlog.", "tenant"
    )
    if stored is not None:
        lag.add_metric([], stored.search.age_seconds)
        outbox.add_metric(["search"], stored.search.number)
        outbox.add_metric(["event"], stored.events.number)
        for stage in Stage:  # none is a number too: what grows from nothing is to be seen growing
            letters.add_metric([stage.value], stored.dead_letters.get(stage.value, 0))
        for reason, number in stored.parked.items():
            parked.add_metric([reason], number)
        due.add_metric([], stored.due.number)
        due_age.add_metric([], stored.due.age_seconds)
        waiting.add_metric([], stored.backlog.number)
        waiting_age.add_metric([], stored.backlog.age_seconds)
        for tenant in stored.tenants:
            of_tenant.add_metric([tenant.tenant_id], tenant.age_seconds)
    return [lag, outbox, letters, parked, due, due_age, waiting, waiting_age, of_tenant]


def _gauge(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, labels=labels)


@asynccontextmanager
async def platform_shown(status: ReadPlatformStatus) -> AsyncIterator[None]:
    """Inside the block the process's metrics say how the platform is, read every fifteen seconds."""
    gauges = PlatformGauges()
    REGISTRY.register(gauges)
    reading = asyncio.create_task(_keep(gauges, status))
    try:
        yield
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        REGISTRY.unregister(gauges)


async def _keep(gauges: PlatformGauges, status: ReadPlatformStatus) -> None:
    while True:
        gauges.show(await status.read())
        await asyncio.sleep(EVERY_SECONDS)
