"""Medians and tables."""

import json

import pytest

from pipeline.lab.benchmark.latency import Latency, quantile
from pipeline.lab.benchmark.recovery import Recovery, read_recovery
from pipeline.lab.benchmark.results import Measured, ratio_of, stage_table, table
from pipeline.lab.benchmark.running import RecordCounts
from pipeline.lab.benchmark.state import StateSize
from pipeline.lab.benchmark.throughput import Throughput

ACCOUNTS = RecordCounts(judged=990, duplicate=6, failed=4, flagged=70)


def throughput(events_per_s, cpu=10.0, memory=100 << 20):
    return Throughput(events_per_s, cpu, memory, 1.0, ACCOUNTS)


def test_the_median_of_the_runs_counts_not_the_mean():
    runs = [throughput(50_000.0), throughput(70_000.0), throughput(60_000.0)]
    assert Measured(throughputs=runs).as_dict()["events_per_s"] == 60_000


def test_what_was_not_measured_is_not_there():
    assert Measured().as_dict() == {}
    assert set(Measured(latencies=[Latency(1000.0, 500.0, 900.0, 950.0, 70)]).as_dict()) == {
        "latency_p50_ms",
        "latency_p99_ms",
        "latency_load_per_s",
    }


def test_everything_measured_can_be_written_as_json():
    measured = Measured(
        [throughput(60_000.0)],
        [Latency(1000.0, 500.0, 900.0, 950.0, 70)],
        [Recovery(2_000, 0.01, 3.0)],
        StateSize(1_000, 2_000, 1534.4, 59.8, None),
    ).as_dict()
    assert json.loads(json.dumps(measured)) == measured
    assert measured["recovery_keys_per_s"] == 200_000
    assert measured["state_bytes_at_60_events"] is None
    assert measured["accounts"] == {"judged": 990, "duplicate": 6, "failed": 4, "flagged": 70}


def test_the_table_has_a_column_for_each_contestant_and_a_dash_for_what_one_lacks():
    results = {
        "worker": Measured([throughput(54_000.0)], recoveries=[Recovery(2_000, 0.01, 3.0)]).as_dict(),
        "yardstick": Measured([throughput(60_000.0)]).as_dict(),
    }
    lines = {line[:26].strip(): line[26:].split() for line in table(results)}
    assert lines[""] == ["worker", "yardstick"]
    assert lines["events/s"] == ["54,000", "60,000"]
    assert lines["recovery, keys/s"] == ["200,000", "-"]
    assert lines["worker / yardstick"] == ["0.90"]
    assert not any("p99" in label for label in lines)


def test_without_a_yardstick_there_is_no_ratio():
    assert ratio_of({"worker": {"events_per_s": 1}, "yardstick": {}}) is None


def test_the_stages_sum_up():
    lines = list(stage_table({"parse": 3.0, "rules": 1.0}))
    assert lines[1].split() == ["parse", "3.00", "75%"]
    assert lines[-1].split() == ["all", "4.00"]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed(share, expected):
    assert quantile([float(value) for value in range(1, 101)], share) == expected


def test_a_quantile_of_one_value_is_that_value():
    assert quantile([7.0], 0.5) == quantile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(
    "line",
    [
        "[15:00:01] [INFO] users-v1: recovered 1,234,567 changelog records of 8 partitions in 5.25 s",
        "restored 1234567 keys in 5.25 s (235,155/s)",
    ],
)
def test_the_recovery_is_read_from_the_log(line):
    assert read_recovery(f"before\n{line}\nafter 3 s\n", 7.5) == Recovery(1_234_567, 5.25, 7.5)


def test_a_recovery_in_steps_is_summed_and_a_silent_log_gives_none():
    log = "recovered 10 changelog records in 0.5 s\nrecovered 30 changelog records in 1.5 s\n"
    assert read_recovery(log, 3.0) == Recovery(40, 2.0, 3.0)
    assert read_recovery("assigned 8 partitions in 0.5 s\n", 3.0) is None
