"""`ott bench` from start to end, small: the form of its answer, and that both contestants judge alike."""

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(240)]

EVENTS = 4_000


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """The finished benchmark of everything, on the embedded broker."""
    command = [sys.executable, "-P", "-m", "pipeline.cli", "bench", "--json", "--events", str(EVENTS)]
    command += ["--runs", "1", "--users", "50", "--partitions", "2", "--load", "1000"]
    return subprocess.run(
        command,
        cwd=tmp_path_factory.mktemp("bench"),
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )


def test_the_answer_has_exactly_the_four_members(answered):
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.count("\n") == 1
    assert list(json.loads(answered.stdout)) == ["worker", "with-model", "yardstick", "machine", "command"]


def test_both_judge_the_same_records_alike(answered):
    document = json.loads(answered.stdout)
    accounts = document["worker"]["accounts"]
    assert accounts == document["yardstick"]["accounts"]
    assert accounts["judged"] + accounts["duplicate"] + accounts["failed"] == EVENTS
    assert accounts["duplicate"] == EVENTS // 200
    assert accounts["failed"] == EVENTS // 500
    assert accounts["flagged"] > 0


def test_every_figure_is_there_and_plausible(answered):
    document = json.loads(answered.stdout)
    for name in ("worker", "with-model", "yardstick"):
        figures = document[name]
        assert figures["events_per_s"] > 0
        assert 0 < figures["cpu_s_per_million"] < 10_000
        assert 20 < figures["peak_memory_mb"] < 4_000
        assert 0 < figures["latency_p50_ms"] <= figures["latency_p99_ms"] < 60_000
        # The pace is kept to within a tenth.
        assert figures["latency_load_per_s"] == pytest.approx(1000, rel=0.1)
    worker = document["worker"]
    assert worker["recovery_keys"] >= 50
    assert worker["recovery_keys_per_s"] > 0
    # 80 minutes of events: the windows are full.
    assert 55 < worker["state_events_per_user"] < 65
    assert 500 < worker["state_bytes_at_60_events"] < 2_048


def test_the_table_is_for_people(answered):
    assert "worker / yardstick" in answered.stderr
    assert "events/s" in answered.stderr
    assert "cores shared with the broker" in answered.stderr


def test_an_unknown_part_is_wrong_usage(ott):
    result = ott("bench", "--only", "throughput,speed")
    assert result.returncode == 2
    assert result.stderr == "ott: --only 'speed' is not one of throughput, latency, recovery\n"


def test_a_kafka_that_is_not_there_is_said_in_one_line(ott, free_port):
    result = ott("bench", "--events", "1000", "--kafka", f"127.0.0.1:{free_port}")
    assert result.returncode == 3
    assert f"127.0.0.1:{free_port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_soak_tells_the_memory_and_that_all_was_judged(ott):
    result = ott(
        "bench", "--soak", "0.1", "--load", "500", "--users", "50", "--partitions", "2", "--json", timeout=120
    )
    assert result.returncode == 0, result.stderr
    soak = json.loads(result.stdout)["soak"]
    assert soak["events"] == 3_000
    assert 20 < soak["warm_mb"] <= soak["highest_mb"] < 4_000
    assert "trend, MB an hour" in result.stderr


def test_the_web_views_cost_is_measured_and_every_view_beside_the_load_is_answered(ott):
    result = ott(
        *("bench", "--web", "1", "--events", "250000", "--runs", "1", "--load", "300", "--users", "50"),
        *("--partitions", "2", "--json"),
        timeout=220,
    )
    assert result.returncode == 0, result.stderr
    web = json.loads(result.stdout)["web"]
    for kind in ("quiet", "asked"):
        assert web[f"backlog_{kind}_events_per_s"] > 0
        assert web[f"backlog_{kind}_cpu_s_per_million"] > 0
    assert web["backlog_groups"] >= 1
    assert web["requests"] == 2 * 50
    assert web["refused"] == 0, web["refused_by"]
    assert web["key_requests"] == web["requests"] / 2
    assert 0 < web["key_p50_ms"] <= web["key_p99_ms"] <= web["key_max_ms"]
    assert web["quiet_cpu_share"] > 0
    assert "a user's view, p50, ms" in result.stderr


def test_profile_and_soak_do_not_go_together(ott):
    result = ott("bench", "--soak", "1", "--profile")
    assert result.returncode == 2
    assert "give one of them" in result.stderr
