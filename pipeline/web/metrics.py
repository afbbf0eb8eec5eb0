"""`/metrics`: figures of this worker for Prometheus, read from where they are kept when they are asked for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.evaluation.batch import PartitionState
from tables.risk import PARTITION_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from pipeline.delivery.app import DeliveryApp
    from pipeline.web.serving import Call, Handlers

COUNTERS: Final = {
    # name here, attribute of the delivery's metrics, what it tells
    "ott_delivery_records": ("records", "Source records processed, each as often as it was"),
    "ott_delivery_batches": ("batches", "Fetched batches that they came in"),
    "ott_delivery_replayed": ("replayed", "Records at or below the watermark, which changed nothing"),
    "ott_delivery_outputs": ("outputs", "Records published and committed"),
    "ott_delivery_poisoned": ("poisoned", "Records whose handler raised"),
    "ott_delivery_rewinds": ("rewinds", "Times that a partition went back to its last commit"),
    "ott_delivery_redelivered": ("redelivered", "Batches that were delivered again after an agent failed"),
    "ott_delivery_lost": ("lost", "Source records that the broker had deleted before they were read"),
    "ott_delivery_commits": ("commits", "Partition commits that ended well"),
    "ott_delivery_commit_seconds": ("commit_seconds", "Time spent in commits"),
    "ott_delivery_flushed_keys": ("flushed_keys", "Changed keys written"),
    "ott_delivery_fenced": ("fenced", "Partitions given up because another worker had taken them over"),
    "ott_delivery_cache_misses": ("cache_misses", "Keys looked for in the store"),
    "ott_delivery_cache_evictions": ("cache_evictions", "Times that the older half of a cache was dropped"),
    "ott_delivery_restored_keys": ("restored_keys", "Changelog records applied in recovery"),
    "ott_delivery_restore_seconds": ("restore_seconds", "Time spent in recovery"),
    "ott_delivery_rebalances": ("rebalances", "Assignments of partitions"),
}

ENDINGS: Final = {
    # name of a count of the partitions, as a label
    "judged": "judged",
    "duplicate": "duplicate",
    "failed": "failed",
    "request": "request",
    "misplaced": "rekeyed",
}


class Metrics:
    """The registry of one application; nothing of it is global.

    Args:
        app: the application.
    """

    def __init__(self, app: DeliveryApp) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Delivery(app))
        self._requests = Histogram(
            "ott_http_request_seconds",
            "Requests of the web server by route and status",
            ["route", "status"],
            registry=self.registry,
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5, 30),
        )

    def observe(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).observe(seconds)

    def views(self) -> Handlers:
        """The handler of `/metrics`."""

        async def metrics(call: Call) -> web.Response:  # noqa: ARG001 - the same for everybody
            text = generate_latest(self.registry)
            return web.Response(
                body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
            )

        return {"metrics": metrics}


class _Delivery(Collector):
    def __init__(self, app: DeliveryApp) -> None:
        self._app = app

    def describe(self) -> list[Metric]:
        """Nothing: what is there is told by `collect`, also at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures, as of now."""
        figures = self._app.metrics
        for name, (attribute, what) in COUNTERS.items():
            yield CounterMetricFamily(name, what, value=getattr(figures, attribute))
        lag = GaugeMetricFamily(
            "ott_lag_records", "Records that are there and not judged", labels=["topic", "partition"]
        )
        for tp, behind in figures.lag.items():
            lag.add_metric([tp.topic, str(tp.partition)], behind)
        yield lag
        units = [owned.unit for owned in list(self._app.ownership.units.values())]
        owned = GaugeMetricFamily("ott_partitions_owned", "Partitions that are owned here", labels=["table"])
        for table, count in Counter(unit.table for unit in units).items():
            owned.add_metric([table], count)
        yield owned
        yield GaugeMetricFamily(
            "ott_paused", "Whether consuming is paused here", value=int(self._app.valve.closed)
        )
        yield from _counted([unit.peek(PARTITION_KEY) for unit in units])


def _counted(values: list[object]) -> Iterator[Metric]:
    """The counts since the topics' beginning of the partitions that are owned here; they move with their partition."""
    counts: Counter[str] = Counter()
    for value in values:
        if isinstance(value, PartitionState):
            counts.update(value.counts)
    records = GaugeMetricFamily(
        "ott_partition_records", "Records of owned partitions by how they ended", labels=["ending"]
    )
    for name, label in ENDINGS.items():
        records.add_metric([label], counts[name])
    yield records
    for family, prefix, label in (
        ("ott_partition_verdicts", "level.", "level"),
        ("ott_partition_findings", "rule.", "rule"),
        ("ott_partition_failures", "failed.", "reason"),
    ):
        metric = GaugeMetricFamily(family, f"Of owned partitions, by {label}", labels=[label])
        for name, count in sorted(counts.items()):
            if name.startswith(prefix):
                metric.add_metric([name.removeprefix(prefix)], count)
        yield metric
    yield GaugeMetricFamily(
        "ott_partition_late", "Late among the judged of owned partitions", value=counts["late"]
    )
