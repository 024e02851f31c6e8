"""How many connections to the database a process has, and how many of them work: read when it is asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from storage.postgres.connections import PoolUse

ReadPools = Callable[[], Mapping[str, PoolUse]]


class _PoolGauges(Collector):
    def __init__(self) -> None:
        self.readers: list[ReadPools] = []

    def collect(self) -> Iterable[Metric]:
        connections = GaugeMetricFamily(
            "parley_database_connections", "Connections to Postgres of this process.", labels=["pool", "state"]
        )
        most = GaugeMetricFamily(
            "parley_database_connections_max", "How many connections a pool may have.", labels=["pool"]
        )
        pools = {name: use for read in tuple(self.readers) for name, use in read().items()}
        for name, use in pools.items():
            connections.add_metric([name, "used"], use.used)
            connections.add_metric([name, "idle"], use.idle)
            most.add_metric([name], use.most)
        return (connections, most)


_gauges = _PoolGauges()
REGISTRY.register(_gauges)


@contextmanager
def pools_shown(read: ReadPools) -> Iterator[None]:
    """Inside the block the process's metrics say what `read` finds of each pool."""
    _gauges.readers.append(read)
    try:
        yield
    finally:
        _gauges.readers.remove(read)
