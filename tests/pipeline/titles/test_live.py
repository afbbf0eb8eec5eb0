"""Titles live, without Kafka: what the partitions tell piece by piece gives the same verdicts as one file."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.source import PlainRecord
from pipeline.evaluation.verdict import encode_verdict
from pipeline.events.instants import format_instant
from pipeline.judging.file import FileJudge
from pipeline.rules.ruleset import read_ruleset
from pipeline.titles.rows import ROW_BYTES
from tests.pipeline.events.messages import encode, encoded
from tests.pipeline.titles.units import RULES, TOPIC, Live, Unit

START = 1_769_889_600_000  # 2026-01-31T20:00:00Z
MINUTE = 60_000


def event(
    partition,
    offset,
    time,
    *,
    failed=False,
    title="title-1",
    device="device-1",
    region="DE",
    error_code="E1",
    **more,
):
    """A record; its user is one of its partition alone."""
    changes = {"event_type": "ERROR" if failed else "HEARTBEAT", "error_code": error_code if failed else None}
    value = encoded(
        event_id=f"{partition}-{offset}",
        user_id=f"user-{partition}-{offset % 3}",
        timestamp=format_instant(time),
        content_id=title,
        device_id=device,
        region=region,
        **(changes | more),
    )
    return PlainRecord(TOPIC, partition, offset, time + 1_000, None, value)


def numbered(drawn):
    """Records of drawn events, with offsets by partition, then one that closes all."""
    offsets = [0, 0, 0]
    records = []
    end = max([START, *(time for _, time, _ in drawn)]) + 200 * MINUTE
    for partition, time, more in [*drawn, *((number, end, {}) for number in range(3))]:
        records.append(event(partition, offsets[partition], time, **more))
        offsets[partition] += 1
    return records


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.builds(
            lambda minute, second: START + minute * MINUTE + second * 1_000,
            st.sampled_from([0, 1, 2, 3, 30, 59, 60, 61, 62, 90, 121]),
            st.sampled_from([0, 1, 59]),
        ),
        st.fixed_dictionaries(
            {
                "failed": st.sampled_from([True, True, False]),
                "title": st.sampled_from(["title-1", "title-1", "title-2"]),
                "device": st.sampled_from(["device-1", "device-1", "device-2"]),
                "region": st.sampled_from(["DE", "FR"]),
                "error_code": st.sampled_from(["E1", "E2", None]),
            }
        ),
    ).flatmap(lambda one: st.integers(1, 4).map(lambda times: [one] * times)),
    max_size=12,
).map(lambda groups: [one for group in groups for one in group])


def from_a_file(records):
    """The subject verdicts of a file of these records."""
    lines = [
        encode(
            {
                "source": {
                    "topic": one.topic,
                    "partition": one.partition,
                    "offset": one.offset,
                    "timestamp": one.timestamp,
                },
                "payload": one.value.decode(),
            }
        )
        for one in records
    ]
    outputs = FileJudge(Evaluator(RULES, "1")).judge(io.BytesIO(b"\n".join(lines)))
    return [value for kind, value in outputs if kind == "verdict" and b'"minute_end"' in value]


def from_chunks(records, data, *, targets):
    """The same, judged by three partitions that commit now and then, in any order."""
    units = [Unit(number, targets) for number in range(3)]
    live = Live(3, targets)
    waiting = {number: [one for one in records if one.partition == number] for number in range(3)}
    while any(waiting.values()):
        number = data.draw(st.sampled_from([number for number, left in waiting.items() if left]))
        unit, left = units[number], waiting[number]
        size = data.draw(st.integers(1, len(left)))
        unit.judge(left[:size])
        waiting[number] = left[size:]
        if data.draw(st.booleans()) or not waiting[number]:
            messages = unit.commit()
            live.take(messages)
            if data.draw(st.booleans()):
                live.take(messages)
        if data.draw(st.booleans()):
            for target in live.targets:
                target.forget()
    return live


def in_order(verdicts):
    key = [
        (one["minute_end"], one["subject"]["type"], one["subject"]["id"]) for one in map(json.loads, verdicts)
    ]
    return [value for _, value in sorted(zip(key, verdicts, strict=True))]


@given(EVENTS, st.data(), st.integers(1, 3))
def test_chunks_in_pieces_give_the_verdicts_of_a_file(drawn, data, targets):
    records = numbered(drawn)
    live = from_chunks(records, data, targets=targets)
    assert in_order([encode_verdict(one) for one in live.verdicts]) == from_a_file(records)
    assert not any(live.state(target).counts.get("too_late") for target in range(targets))


@pytest.mark.parametrize("step", [1, 2, 7, 59, 60, 61])
def test_a_level_ends_with_the_minute_however_many_minutes_close_at_once(step):
    failures = [(0, START + 30_000, {"failed": True}) for _ in range(4)]
    quiet = [
        (0, START + minute * MINUTE, {"title": "title-2", "device": "d2"}) for minute in range(1, 130, step)
    ]
    records = numbered([*failures, *quiet])
    unit, live = Unit(0, 1), Live(1, 1)
    for record in records:
        if record.partition == 0:
            unit.judge([record])
            live.take(unit.commit())
    found = [
        (one.subject.id, one.change, one.minute_end) for one in live.verdicts if one.subject.type == "content"
    ]
    end = format_instant(START + 61 * MINUTE)
    assert found[-1] == ("title-1", "closed", end)
    alone = [one for one in records if one.partition == 0]
    assert [encode_verdict(one) for one in live.verdicts] == from_a_file(alone)


def test_the_law_above_is_not_empty():
    records = numbered([(0, START + n * 1_000, {"failed": n % 2 == 0}) for n in range(40)])
    verdicts = [json.loads(value) for value in from_a_file(records)]
    assert [(one["subject"]["type"], one["change"]) for one in verdicts] == [
        ("content", "opened"),
        ("device", "opened"),
        ("content", "closed"),
        ("device", "closed"),
    ]


@given(EVENTS, st.data())
def test_figures_do_not_depend_on_where_commits_cut(drawn, data):
    records = [one for one in numbered(drawn) if one.partition == 0]
    whole, pieces = Live(1, 1), Live(1, 1)
    unit, other = Unit(0, 1), Unit(0, 1)
    for record in records:
        unit.judge([record])
        other.judge([record])
        if data.draw(st.booleans()):
            pieces.take(other.commit())
    whole.take(unit.commit())
    pieces.take(other.commit())
    for key in (("content", "title-1"), ("device", "device-1"), ("region", "DE"), ("content", "title-2")):
        one, another = whole.figures(*key), pieces.figures(*key)
        if one is None:
            assert another is None
        else:
            assert (one.totals(), one.failed, one.names) == (another.totals(), another.failed, another.names)


def far(minutes):
    return START + minutes * MINUTE


def test_a_partition_that_is_silent_is_left_out_and_named():
    live = Live(2, 1)
    loud, silent = Unit(0, 1), Unit(1, 1)
    silent.judge([event(1, 0, START)])
    live.take(silent.commit(), at=0)
    loud.judge([event(0, n, START + 10_000 + n, failed=True) for n in range(30)])
    live.take(loud.commit(), at=1_000)
    for second in range(2, 36):
        loud.judge([event(0, 100 + second, far(3) + second)])
        live.take(loud.commit(), at=second * 1_000)
        if second < 30:
            assert live.verdicts == []
    evidence = [verdict.findings[0].evidence["left_out"] for verdict in live.verdicts]
    assert evidence == [["raw-events/1"]] * 2
    silent.judge([event(1, 1, START + 10_000, failed=True)])
    live.take(silent.commit(), at=40_000)
    assert live.state().counts == {"verdicts": 2, "left_out": 2, "too_late": 1}


def test_a_pause_of_everything_is_no_silence():
    live = Live(2, 1)
    first, second = Unit(0, 1), Unit(1, 1)
    second.judge([event(1, 0, START)])
    live.take(second.commit(), at=0)
    first.judge([event(0, n, START + n, failed=True) for n in range(30)])
    live.take(first.commit(), at=3_600_000)
    first.judge([event(0, 100, far(10))])
    live.take(first.commit(), at=7_200_000)
    assert live.verdicts == []
    assert live.state().flow == 10_000


def test_partitions_that_are_not_known_yet_are_waited_for_in_the_beginning():
    live, unit = Live(2, 1), Unit(0, 1)
    unit.judge([event(0, n, START + n, failed=True) for n in range(30)])
    live.take(unit.commit(), at=0)
    unit.judge([event(0, 100, far(10))])
    for second in range(0, 60, 3):
        unit.judge([event(0, 101 + second, far(10) + second)])
        live.take(unit.commit(), at=second * 1_000)
        assert bool(live.verdicts) == (second >= 30)


def test_figures_of_a_title_a_region_a_plan_a_rule_and_a_device():
    unit, live = Unit(0, 2), Live(1, 2)
    tv = {"extra_metadata": {"device_type": "tv"}, "subscription_plan": "basic"}
    kinds = ("PLAY", "HEARTBEAT", "PAUSE", "LOGIN")
    records = [event(0, 3 * n, START + n * MINUTE, event_type=kind, **tv) for n, kind in enumerate(kinds)]
    records.append(event(0, 12, START + 5 * MINUTE, event_type="PLAY", failed=True, is_eu=False, **tv))
    unit.judge(records)
    live.take(unit.commit())
    played = {"playback": 4, "failed": 1, "plays": 2, "failed_starts": 1, "watched_ms": 2 * MINUTE}
    assert live.totals("content", "title-1") == {"events": 4, **played}
    for dimension, identifier in (("region", "DE"), ("plan", "basic"), ("device", "device-1")):
        assert live.totals(dimension, identifier) == {"events": 5, **played}
    assert live.totals("rule", "privacy.jurisdiction_mismatch") == {"events": 1}
    names = {
        ("content", "title-1"): {
            "error_codes": {"E1": 1},
            "regions": {"DE": 4},
            "device_types": {"tv": 4},
        },
        ("region", "DE"): {"error_codes": {"E1": 1}, "device_types": {"tv": 4}},
        ("plan", "basic"): {"error_codes": {"E1": 1}, "device_types": {"tv": 4}},
        ("rule", "privacy.jurisdiction_mismatch"): {"regions": {"DE": 1}},
        ("device", "device-1"): {
            "error_codes": {"E1": 1},
            "users": {"user-0-0": START // MINUTE + 5},
        },
    }
    assert {key: live.figures(*key).names for key in names} == names
    assert unit.totals == [5, 4, 1, 2, 1, 2 * MINUTE]


def test_subjects_without_events_for_a_day_are_forgotten():
    unit, live = Unit(0, 1), Live(1, 1)
    unit.judge([event(0, 0, START, title="old", device="old")])
    live.take(unit.commit())
    for hour in range(1, 30):
        unit.judge([event(0, hour, START + hour * 60 * MINUTE)])
        live.take(unit.commit())
    assert live.figures("content", "old") is None
    assert live.figures("device", "old") is None
    assert live.totals("content", "title-1")["events"] == 29
    assert not any(key.endswith(b":old") for key in live.targets[0])


def test_what_is_kept_of_a_device_and_a_title_stays_bounded():
    unit, live = Unit(0, 1), Live(1, 1)
    for minute in range(600):
        unit.judge([event(0, 3 * minute + n, START + minute * MINUTE + n, failed=n == 0) for n in range(3)])
        live.take(unit.commit())
    assert len(live.targets[0]) < 60
    last = live.state().judged_through
    for dimension, identifier in (("device", "device-1"), ("content", "title-1")):
        figures = live.figures(dimension, identifier)
        assert live.totals(dimension, identifier)["events"] == 1_800
        assert len(figures.rows) < 200 * ROW_BYTES
        assert len(figures.failures) < 200
        assert figures.failed_and_total(last - 59, last) == (60, 180)


def test_a_level_may_take_many_failures():
    many = {"high_min_events": 200, "medium_min_events": 400, "high_over": 0.5, "medium_over": 0.4}
    ruleset = read_ruleset({"version": "1", "rules": {"device.error_rate": many}})
    unit, live = Unit(0, 1), Live(1, 1, ruleset)
    unit.judge([event(0, n, START + n, failed=n % 3 != 0) for n in range(300)])
    live.take(unit.commit())
    unit.judge([event(0, 1_000, far(3))])
    live.take(unit.commit())
    (opened,) = [verdict for verdict in live.verdicts if verdict.subject.type == "device"]
    assert (opened.change, opened.findings[0].evidence["failed"]) == ("opened", 200)


def test_a_device_with_too_many_names_is_judged_exactly_and_keeps_some_of_them():
    unit, live = Unit(0, 1), Live(1, 1)
    codes = [f"E{n:04}" for n in range(2_500)]
    unit.judge(
        [event(0, n, START + n, failed=True, title=f"t{n}", error_code=code) for n, code in enumerate(codes)]
    )
    live.take(unit.commit())
    for minute in range(1, 4):
        unit.judge([event(0, 5_000 + minute, START + minute * MINUTE)])
        live.take(unit.commit())
    (opened,) = [verdict for verdict in live.verdicts if verdict.subject.type == "device"]
    evidence = opened.findings[0].evidence
    assert evidence["failed"] == 2_500
    assert evidence["top_error_codes"] == {
        "(other)": 2_436,
        **dict.fromkeys(codes[:4], 1),
    }
    figures = live.figures("device", "device-1")
    assert sum(figures.names["error_codes"].values()) == 2_500
    assert len(figures.names["error_codes"]) == 65
    assert figures.failed_and_total(0, 10**9) == (2_500, 2_503)


def test_evidence_names_regions_of_failures_only():
    unit, live = Unit(0, 1), Live(1, 1)
    unit.judge([event(0, n, START + n, region="FR") for n in range(3)])
    unit.judge([event(0, 10 + n, START + n, failed=True) for n in range(6)])
    unit.judge([event(0, 100, far(3))])
    live.take(unit.commit())
    assert {tuple(one.findings[0].evidence["top_regions"].items()) for one in live.verdicts} == {(("DE", 6),)}


def test_what_is_no_chunk_is_counted_and_changes_nothing():
    live = Live(1, 1)
    live.take([(0, b"H\x01\x90")])
    assert live.state().counts == {"unreadable": 1}
    assert len(live.targets[0]) == 1
