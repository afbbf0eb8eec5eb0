"""Every figure has a name, a kind and a help text, and can be exported as it is."""

from dataclasses import fields

from faust.types import TP
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest

from pipeline.delivery.metrics import Metrics


def test_every_figure_of_a_worker_is_exported_once() -> None:
    names = [figure.name for figure in Metrics().figures()]
    assert len(names) == len(set(names))
    assert set(names) == {field.name for field in fields(Metrics) if not field.name.startswith("_")}


def test_figures_carry_their_values_and_labels() -> None:
    metrics = Metrics(records=5, lag={TP("raw", 1): 3, TP("raw", 0): 2})
    metrics.rekeyed["raw"] += 4
    found = {figure.name: figure for figure in metrics.figures()}
    assert found["records"].samples == [({}, 5.0)]
    assert found["lag"].samples == [
        ({"topic": "raw", "partition": "0"}, 2.0),
        ({"topic": "raw", "partition": "1"}, 3.0),
    ]
    assert found["rekeyed"].samples == [({"topic": "raw"}, 4.0)]
    assert metrics.total_lag == 5


def test_hits_are_a_share_of_the_records() -> None:
    assert Metrics().cache_hits == 1.0
    assert Metrics(records=100, cache_misses=25).cache_hits == 0.75


class _Collector:
    def collect(self):
        for figure in Metrics(lag={TP("raw", 0): 2}).figures():
            family = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            labels = list(figure.samples[0][0]) if figure.samples else []
            metric = family(f"delivery_{figure.name}", figure.help, labels=labels)
            for labelled, value in figure.samples:
                metric.add_metric(list(labelled.values()), value)
            yield metric


def test_prometheus_accepts_all_of_them() -> None:
    registry = CollectorRegistry()
    registry.register(_Collector())
    text = generate_latest(registry).decode()
    assert 'delivery_lag{partition="0",topic="raw"} 2.0' in text or 'delivery_lag{topic="raw"' in text
    assert "delivery_records_total 0.0" in text


def test_rates_are_means_over_a_quarter_of_a_minute() -> None:
    """
    seconds   0    1 .. 14   15    16 .. 30
    records   0    100 each  100   none
    """
    metrics = Metrics()
    for second in range(16):
        metrics.measure_rates(float(second))
        metrics.processed("in", 100)
    assert metrics.rates_by_topic == {"in": 100.0}
    assert metrics.records_per_second == 100.0
    seen = []
    for second in range(16, 36):
        metrics.measure_rates(float(second))
        seen.append(metrics.records_per_second)
    assert seen == sorted(seen, reverse=True)
    assert seen[5] > 0
    assert seen[-1] == 0
