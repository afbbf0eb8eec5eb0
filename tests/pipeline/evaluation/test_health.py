"""Health without Kafka: what the partitions tell piece by piece gives the same verdicts as one file."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.device_health import DeviceHealth
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.partials import PartialError, SourceTime, decode_partial, packed
from pipeline.evaluation.roll_ups import RollUp
from pipeline.evaluation.row_log import decode_rows, encode_row
from pipeline.evaluation.segments import names_of, series_of, sums_of
from pipeline.evaluation.source import PlainRecord
from pipeline.evaluation.subject_health import SubjectHealth
from pipeline.evaluation.verdict import encode_verdict
from pipeline.events.instants import format_instant
from pipeline.judging.file import FileJudge
from pipeline.rules.ruleset import read_ruleset
from tests.pipeline.evaluation.health import RULES, TOPIC, Health, Unit, place
from tests.pipeline.events.messages import encode, encoded

START = 1_769_889_600_000  # 2026-01-31T20:00:00Z
MINUTE = 60_000


def event(partition, offset, time, *, failed=False, title="title-1", device="device-1", region="DE", **more):
    """A record; its user is one of its partition alone."""
    changes = {"event_type": "ERROR", "error_code": "E1"} if failed else {"event_type": "HEARTBEAT"}
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


def from_partials(records, data, *, targets, final):
    """The same, judged by three partitions that commit now and then, in any order."""
    units = [Unit(number, targets, final=final) for number in range(3)]
    health = Health(3, targets)
    waiting = {number: [one for one in records if one.partition == number] for number in range(3)}
    while any(waiting.values()):
        number = data.draw(st.sampled_from([number for number, left in waiting.items() if left]))
        unit, left = units[number], waiting[number]
        size = data.draw(st.integers(1, len(left)))
        unit.judge(left[:size])
        waiting[number] = left[size:]
        if data.draw(st.booleans()) or not waiting[number]:
            messages = unit.commit()
            health.take(messages)
            if data.draw(st.booleans()):
                health.take(messages)
        if data.draw(st.booleans()):
            for target in health.targets:
                target.forget()
    return health


def in_order(verdicts):
    key = [
        (one["minute_end"], one["subject"]["type"], one["subject"]["id"]) for one in map(json.loads, verdicts)
    ]
    return [value for _, value in sorted(zip(key, verdicts, strict=True))]


@settings(max_examples=100)
@given(EVENTS, st.data(), st.integers(1, 3), st.booleans())
def test_partials_in_pieces_give_the_verdicts_of_a_file(drawn, data, targets, final):
    records = numbered(drawn)
    health = from_partials(records, data, targets=targets, final=final)
    assert in_order([encode_verdict(one) for one in health.verdicts]) == from_a_file(records)
    assert not any(health.state(target).counts.get("too_late") for target in range(targets))


@pytest.mark.parametrize("step", [1, 2, 7, 59, 60, 61])
def test_a_level_ends_with_the_minute_however_many_minutes_close_at_once(step):
    failures = [(0, START + 30_000, {"failed": True}) for _ in range(4)]
    quiet = [
        (0, START + minute * MINUTE, {"title": "title-2", "device": "d2"}) for minute in range(1, 130, step)
    ]
    records = numbered([*failures, *quiet])
    unit, health = Unit(0, 1), Health(1, 1)
    for record in records:
        if record.partition == 0:
            unit.judge([record])
            health.take(unit.commit())
    found = [
        (one.subject.id, one.change, one.minute_end)
        for one in health.verdicts
        if one.subject.type == "content"
    ]
    end = format_instant(START + 61 * MINUTE)
    assert found[-1] == ("title-1", "closed", end)
    alone = [one for one in records if one.partition == 0]
    assert [encode_verdict(one) for one in health.verdicts] == from_a_file(alone)


def test_the_law_above_is_not_empty():
    records = numbered([(0, START + n * 1_000, {"failed": n % 2 == 0}) for n in range(40)])
    verdicts = [json.loads(value) for value in from_a_file(records)]
    assert [(one["subject"]["type"], one["change"]) for one in verdicts] == [
        ("content", "opened"),
        ("device", "opened"),
        ("content", "closed"),
        ("device", "closed"),
    ]


@settings(max_examples=100)
@given(EVENTS, st.data())
def test_a_chunk_that_comes_again_takes_the_place_of_the_one_before(drawn, data):
    """Without transactions a commit that failed may have been seen, and its records are cut otherwise the next time."""
    records = [one for one in numbered(drawn) if one.partition == 0]
    undisturbed, disturbed = Health(1, 1), Health(1, 1)
    unit, shadow = Unit(0, 1, final=False), Unit(0, 1, final=False)
    position = 0
    while position < len(records):
        end = data.draw(st.integers(position + 1, len(records)))
        unit.judge(records[position:end])
        undisturbed.take(unit.commit())
        if end > position + 1 and data.draw(st.booleans()):
            seen = Unit(0, 1, final=False)
            seen.judge(records[:position])
            lost = data.draw(st.integers(position + 1, end))
            seen.notes = []
            seen.judge(records[position:lost])
            disturbed.take(seen.commit(shadow.partition.sequence + 1))
        shadow.judge(records[position:end])
        disturbed.take(shadow.commit())
        position = end
    for key in (("content", "title-1"), ("device", "device-1"), ("region", "DE"), ("content", "title-2")):
        one, other = undisturbed.record(*key), disturbed.record(*key)
        if one is None:
            assert other is None
        else:
            assert figures(one) == figures(other), key
            assert undisturbed.sums(*key) == disturbed.sums(*key), key
    assert list(map(encode_verdict, disturbed.verdicts)) == list(map(encode_verdict, undisturbed.verdicts))


def figures(record):
    names = ("events", "playback", "failed", "plays", "failed_starts", "watched_ms", "error_codes", "regions")
    found = {name: getattr(record, name, None) for name in names}
    return {
        name: {key: count for key, count in value.items() if count} if isinstance(value, dict) else value
        for name, value in found.items()
    }


def far(minutes):
    return START + minutes * MINUTE


def test_a_partition_that_is_silent_is_left_out_and_named():
    health = Health(2, 1)
    loud, silent = Unit(0, 1), Unit(1, 1)
    silent.judge([event(1, 0, START)])
    health.take(silent.commit(), at=0)
    loud.judge([event(0, n, START + 10_000 + n, failed=True) for n in range(30)])
    health.take(loud.commit(), at=1_000)
    for second in range(2, 36):
        loud.judge([event(0, 100 + second, far(3) + second)])
        health.take(loud.commit(), at=second * 1_000)
        if second < 30:
            assert health.verdicts == []
    evidence = [verdict.findings[0].evidence["left_out"] for verdict in health.verdicts]
    assert evidence == [["raw-events/1"]] * 2
    silent.judge([event(1, 1, START + 10_000, failed=True)])
    health.take(silent.commit(), at=40_000)
    assert health.state().counts == {"verdicts": 2, "left_out": 2, "too_late": 1}


def test_a_pause_of_everything_is_no_silence():
    health = Health(2, 1)
    first, second = Unit(0, 1), Unit(1, 1)
    second.judge([event(1, 0, START)])
    health.take(second.commit(), at=0)
    first.judge([event(0, n, START + n, failed=True) for n in range(30)])
    health.take(first.commit(), at=3_600_000)
    first.judge([event(0, 100, far(10))])
    health.take(first.commit(), at=7_200_000)
    assert health.verdicts == []
    assert health.state().flow == 10_000


def test_partitions_that_are_not_known_yet_are_waited_for_in_the_beginning():
    health, unit = Health(2, 1), Unit(0, 1)
    unit.judge([event(0, n, START + n, failed=True) for n in range(30)])
    health.take(unit.commit(), at=0)
    unit.judge([event(0, 100, far(10))])
    for second in range(0, 60, 3):
        unit.judge([event(0, 101 + second, far(10) + second)])
        health.take(unit.commit(), at=second * 1_000)
        assert bool(health.verdicts) == (second >= 30)


def test_figures_of_a_title_a_region_a_plan_a_rule_and_a_device():
    unit, health = Unit(0, 2), Health(1, 2)
    tv = {"extra_metadata": {"device_type": "tv"}, "subscription_plan": "basic"}
    kinds = ("PLAY", "HEARTBEAT", "PAUSE", "LOGIN")
    records = [event(0, 3 * n, START + n * MINUTE, event_type=kind, **tv) for n, kind in enumerate(kinds)]
    records.append(event(0, 12, START + 5 * MINUTE, event_type="PLAY", error_code="E9", is_eu=False, **tv))
    unit.judge(records)
    health.take(unit.commit())
    title, region = health.record("content", "title-1"), health.record("region", "DE")
    assert (title.events, title.playback, title.plays, title.failed, title.failed_starts) == (4, 4, 2, 1, 1)
    assert title.watched_ms == region.watched_ms == 2 * MINUTE
    assert (title.error_codes, title.regions, title.device_types) == ({"E9": 1}, {"DE": 4}, {"tv": 4})
    assert (region.events, region.plays, region.device_types) == (5, 2, {"tv": 4})
    assert region.rules == {"privacy.jurisdiction_mismatch": 1}
    assert health.record("plan", "basic").plays == 2
    rule = health.record("rule", "privacy.jurisdiction_mismatch")
    assert (rule.events, rule.regions) == (1, {"DE": 1})
    device = health.record("device", "device-1")
    assert (device.events, device.playback, device.failed, list(device.users)) == (5, 4, 1, ["user-0-0"])
    assert unit.counts["watched_ms"] == 2 * MINUTE
    assert (unit.counts["playback"], unit.counts["playback.failed"]) == (4, 1)


def test_subjects_without_events_for_a_day_are_forgotten():
    unit, health = Unit(0, 1), Health(1, 1)
    unit.judge([event(0, 0, START, title="old", device="old")])
    health.take(unit.commit())
    for hour in range(1, 30):
        unit.judge([event(0, hour, START + hour * 60 * MINUTE)])
        health.take(unit.commit())
    assert health.record("content", "old") is None
    assert health.record("device", "old") is None
    assert health.record("content", "title-1").events == 29
    assert not any(key.endswith(b":old") for key in health.targets[0])


def test_what_is_kept_of_a_device_and_a_title_stays_bounded():
    unit, health = Unit(0, 1), Health(1, 1)
    most = 0
    for minute in range(600):
        unit.judge([event(0, 3 * minute + n, START + minute * MINUTE + n, failed=n == 0) for n in range(3)])
        health.take(unit.commit())
        most = max(most, len(health.targets[0]))
    assert most < 120
    device, title = health.record("device", "device-1"), health.record("content", "title-1")
    assert device.events == title.events == 1_800
    assert len(device.failures) <= 64
    assert len(title.series) <= 96 + 64
    last = health.state().judged_through
    for name in ("device", "content"):
        assert len(health.rows(name, f"{'title' if name == 'content' else name}-1")) <= 400
    series = series_of(health.targets[0].get, "device:device-1", device)
    assert sums_of(series, last - 59, last) == (60, 180)


def test_a_title_with_many_names_keeps_them_by_minute():
    unit, health = Unit(0, 1), Health(1, 1)
    for minute in range(200):
        unit.judge(
            [
                event(0, 40 * minute + n, START + minute * MINUTE + n, failed=True, error_code=f"E{n}")
                for n in range(40)
            ]
        )
        health.take(unit.commit())
    title = health.record("content", "title-1")
    keys = {key for key in health.targets[0] if key[:1] == b"m"}
    assert 30 < len(title.by_minute) == len(keys) < 75
    last = health.state().judged_through
    codes, regions = names_of(health.targets[0].get, "content:title-1", title, last - 59, last)
    assert codes == {f"E{n}": 60 for n in range(40)}
    assert regions == {"DE": 60 * 40}


def test_a_level_may_take_more_failures_than_are_remembered_of_a_device():
    many = {"high_min_events": 200, "medium_min_events": 400, "high_over": 0.5, "medium_over": 0.4}
    ruleset = read_ruleset({"version": "1", "rules": {"device.error_rate": many}})
    unit, health = Unit(0, 1), Health(1, 1, ruleset)
    unit.judge([event(0, n, START + n, failed=n % 3 != 0) for n in range(300)])
    health.take(unit.commit())
    unit.judge([event(0, 1_000, far(3))])
    health.take(unit.commit())
    (opened,) = [verdict for verdict in health.verdicts if verdict.subject.type == "device"]
    assert (opened.change, opened.findings[0].evidence["failed"]) == ("opened", 200)


@given(st.lists(st.integers(0, 200), min_size=65, max_size=200))
def test_of_many_failures_those_of_the_newest_minutes_are_remembered(minutes):
    """Whichever partition is faster: a device that has enough of them is never taken for one that has too few."""
    device = DeviceHealth()
    for minute in minutes:
        device.fresh += encode_row((minute, "DE", "E1", 1, "user", 1, 0))
        device.count += 1
        if device.is_full:
            device.settle(None)
    device.settle(None)
    for first in (0, 50, 100, 199):
        true = len([minute for minute in minutes if minute >= first])
        assert device.failed_since(first) == min(true, 64)


def test_a_device_with_too_many_names_is_judged_without_them():
    unit, health = Unit(0, 1), Health(1, 1)
    unit.judge([event(0, n, START + n, failed=True, title=f"t{n}", error_code=f"E{n}") for n in range(2_500)])
    health.take(unit.commit())
    for minute in range(1, 4):
        unit.judge([event(0, 5_000 + minute, START + minute * MINUTE)])
        health.take(unit.commit())
    (opened,) = [verdict for verdict in health.verdicts if verdict.subject.type == "device"]
    assert opened.findings[0].evidence["failed"] == 2_500
    assert health.sums("device", "device-1") == (2_500, 2_503)
    assert len(health.rows("device", "device-1")) < 2_600


def test_a_large_chunk_comes_in_parts_that_brokers_take():
    rows = [encode_row((number, "DE", "E" * 50, 1, "u" * 250, 1, 0)) for number in range(4_000)]
    many = RollUp({f"{number:0>250}": [row] for number, row in enumerate(rows)}, set(), (0, 4_000))
    large = RollUp({"one": rows}, {"one"}, (0, 4_000))
    rows = {"device": many, "content": large}
    places = {
        dimension: {one: place(one.encode(), 2) for one in found.logs} for dimension, found in rows.items()
    }
    messages = list(packed(3, 1, True, [SourceTime("raw-events/3", 5, True)], rows, places, 2))
    assert max(len(value) for _, value in messages) < 1_000_000
    for target in range(2):
        parts = [decode_partial(value) for to, value in messages if to == target]
        assert [part.part for part in parts] == list(range(len(parts)))
        assert len(parts) > 1
        assert [part.sources is None for part in parts] == [True] * (len(parts) - 1) + [False]
    found = [decode_partial(value).rows for _, value in messages]
    assert sum(len(part["device"].ids) for part in found if "device" in part) == 4_000
    ones = [part["content"] for part in found if "content" in part]
    minutes = [
        row[0]
        for one in ones
        for count, log in zip(one.counts, one.logs, strict=True)
        for row in decode_rows(count, log)
    ]
    assert sorted(minutes) == list(range(4_000))
    assert all(one.failed for one in ones)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"H\x02\x90", b"H\x01\xc1"])
def test_what_is_no_partial_is_refused_and_counted(value):
    with pytest.raises(PartialError, match="which this version cannot read"):
        decode_partial(value)
    health = Health(1, 1)
    health.take([(0, value)])
    assert health.state().counts == {"unreadable": 1}


ROWS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.just("DE"),
        st.sampled_from([None, "E1"]),
        st.integers(0, 4),
        st.none(),
        st.integers(1, 3),
        st.just(0),
    ),
    max_size=30,
)


@given(
    st.sampled_from([SubjectHealth, DeviceHealth]),
    st.booleans(),
    ROWS,
    ROWS,
    st.integers(0, 45),
    st.integers(0, 60),
)
def test_a_part_of_the_series_is_that_part(kind, with_series, summed, fresh, first, length):
    record = kind()
    if kind is DeviceHealth and with_series:
        record.series = {}
    for rows in (summed, fresh):
        record.fresh, record.count = b"".join(map(encode_row, rows)), len(rows)
        if rows is summed:
            record.settle(None)
    last = first + length
    whole = series_of({}.get, "content:x", record)
    part = {minute: numbers for minute, numbers in whole.items() if first <= minute <= last}
    assert series_of({}.get, "content:x", record, first, last) == part


@given(st.lists(st.integers(0, 200), max_size=300), st.integers(0, 300))
def test_minutes_that_no_window_will_hold_again_are_dropped(minutes, judged):
    record = SubjectHealth(series={minute: [1, 0, 0, 0] for minute in sorted(minutes)})
    kept = {minute for minute in minutes if minute > judged - 60}
    record.settle(judged)
    assert set(record.series) == (kept if len(set(minutes)) >= 96 else set(minutes))
