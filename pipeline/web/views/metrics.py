"""`/metrics`: figures of this worker for Prometheus, read at each request."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.anomaly.drift import newest_of
from pipeline.evaluation.batch import PartitionState
from pipeline.titles.state import PARTITION_KEY as TITLES_KEY
from pipeline.titles.state import TitlesPartition
from pipeline.web.http.routes import PROMETHEUS, Route
from tables.risk import PARTITION_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric

    from pipeline.anomaly.drift import DriftWatch
    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.evaluation.model_book import ModelBook
    from pipeline.titles.state import TitlesValue
    from pipeline.web.http.calls import Call, Handlers
    from tables.risk import RiskValue


ROUTES: Final = (
    Route(
        name="metrics",
        method="GET",
        path="/metrics",
        role="public",
        summary="Figures of this worker for Prometheus",
        media_type=PROMETHEUS,
    ),
)


ENDINGS: Final = {
    # name of a count of the partitions, as a label
    "judged": "judged",
    "duplicate": "duplicate",
    "failed": "failed",
    "request": "request",
    "misplaced": "rekeyed",
}

TITLE_COUNTS: Final = {
    "too_late": "Events of minutes that were judged already, not counted",
    "left_out": "Verdicts on titles and devices for which a silent source partition was not waited for",
    "verdicts": "Verdicts on titles and devices",
    "unreadable": "Messages on health-partials that could not be read",
}
"""The counts of the title agent's partitions, with their names there and the help texts."""


class Metrics:
    """The metrics registry of one application. It shares nothing with others in the same process.

    Args:
        app: the application.
        users: the risk agent's table.
        titles: the title agent's table.
        drift: counts what this worker scores.
        models: the anomaly models.
    """

    def __init__(
        self,
        app: DeliveryApp,
        users: WriteBehindTable[RiskValue],
        titles: WriteBehindTable[TitlesValue],
        drift: DriftWatch,
        models: ModelBook,
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Delivery(app, users, titles, drift, models))
        self._requests = Histogram(
            "ott_http_request_seconds",
            "Requests of the web server by route and status",
            ["route", "status"],
            registry=self.registry,
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5, 30),
        )

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
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
    def __init__(
        self,
        app: DeliveryApp,
        users: WriteBehindTable[RiskValue],
        titles: WriteBehindTable[TitlesValue],
        drift: DriftWatch,
        models: ModelBook,
    ) -> None:
        self._app = app
        self._users = users
        self._titles = titles
        self._drift = drift
        self._models = models

    def describe(self) -> list[Metric]:
        """Nothing, because `collect` describes the metrics, also at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures, as of now."""
        for figure in self._app.metrics.figures():
            kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            names = sorted({name for labels, _ in figure.samples for name in labels})
            family = kind(f"ott_delivery_{figure.name}", figure.help, labels=names)
            for labels, value in figure.samples:
                family.add_metric([labels[name] for name in names], value)
            yield family
        yield from _titles([reader.peek(TITLES_KEY) for _, reader in self._titles.owned()])
        yield GaugeMetricFamily(
            "ott_paused", "Whether consuming is paused here", value=int(self._app.gate.closed)
        )
        yield CounterMetricFamily(
            "ott_models_refused",
            "Publications of anomaly models that cannot be used: alert on any",
            value=self._models.refusals,
        )
        yield from _counted([reader.peek(PARTITION_KEY) for _, reader in self._users.owned()])
        yield from drift_figures(self._drift)


def _titles(values: Sequence[object]) -> Iterator[Metric]:
    """The judgement of titles and devices in the partitions that are owned here."""
    states = [value for value in values if isinstance(value, TitlesPartition)]
    counts: Counter[str] = Counter()
    for state in states:
        counts.update(state.counts)
    for name, help_text in TITLE_COUNTS.items():
        yield GaugeMetricFamily(f"ott_titles_{name}", help_text, value=counts[name])
    yield GaugeMetricFamily(
        "ott_titles_candidates",
        "Titles and devices that are asked for a level each minute",
        value=sum(len(state.candidates) for state in states),
    )
    marks = [state.watermark for state in states if state.watermark is not None]
    if marks:
        yield GaugeMetricFamily(
            "ott_titles_watermark_seconds",
            "The least watermark of owned partitions, seconds since 1970",
            value=min(marks) / 1000,
        )


def _counted(values: Sequence[object]) -> Iterator[Metric]:
    """The counts of the owned partitions since the topics' beginning. They move with their partitions."""
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
    yield GaugeMetricFamily(
        "ott_partition_erased",
        "How often what was known of a user who stayed away was erased in owned partitions",
        value=counts["erased"],
    )
    yield GaugeMetricFamily(
        "ott_partition_too_old",
        "Events more than an hour behind their partition, which count in no minute of a title or device",
        value=counts["titles.too_old"],
    )


def drift_figures(watch: DriftWatch) -> Iterator[Metric]:
    """The drift of the two newest days of event time on this worker; no index with too few counted minutes."""
    minutes = GaugeMetricFamily(
        "ott_drift_minutes",
        "Scored minutes that were counted for drift, one minute of event time in ten, by day of event time",
        labels=["day"],
    )
    index = GaugeMetricFamily(
        "ott_drift_psi",
        "Population stability index of a feature, or of the score, against the training of the model",
        labels=["day", "feature"],
    )
    if watch.model is not None:
        for name, day in zip(("newest", "before"), newest_of(watch.days.values()), strict=False):
            minutes.add_metric([name], day.minutes)
            for feature, value in day.psi(watch.model).items():
                index.add_metric([name, feature], value)
    yield minutes
    yield index
    yield CounterMetricFamily(
        "ott_drift_left_out",
        "Minutes older than both days of drift, not counted for it",
        value=watch.left_out,
    )
