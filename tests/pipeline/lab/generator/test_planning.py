"""What is not said follows from what is; what cannot be is refused with the way out."""

import pytest

from pipeline.errors import UsageError
from pipeline.lab.generator.planning import Stretch, parse_duration, parse_time, settle
from pipeline.lab.generator.schedule import LiveSchedule, PastSchedule
from pipeline.lab.generator.world import HOUR_MS

NOW_MS = 1_772_366_400_000  # 2026-03-01T12:00:00Z


def test_by_default_a_past_stretch_ends_now():
    schedule, users = settle(Stretch(), NOW_MS)
    assert isinstance(schedule, PastSchedule)
    assert (schedule.events, schedule.end_ms, users) == (10_000, NOW_MS, 250)
    assert 2 * HOUR_MS <= NOW_MS - schedule.start_ms <= 12 * HOUR_MS


def test_a_rate_alone_follows_the_clock_without_end():
    schedule, users = settle(Stretch(rate=50), NOW_MS)
    assert isinstance(schedule, LiveSchedule)
    assert schedule.events is None
    assert users == 30_000


def test_a_rate_and_a_count_follow_the_clock_to_the_count():
    schedule, _ = settle(Stretch(rate=50, events=20_000), NOW_MS)
    assert isinstance(schedule, LiveSchedule)
    assert schedule.events == 20_000


@pytest.mark.parametrize("named", ["start_ms", "until_ms", "duration_ms"])
def test_a_named_stretch_is_past_also_with_a_rate(named):
    value = HOUR_MS * 3 if named == "duration_ms" else NOW_MS - 24 * HOUR_MS
    schedule, _ = settle(Stretch(rate=50, events=100, **{named: value}), NOW_MS)
    assert isinstance(schedule, PastSchedule)


def test_from_and_until_say_it_all():
    start, until = NOW_MS - 48 * HOUR_MS, NOW_MS - 40 * HOUR_MS
    schedule, _ = settle(Stretch(start_ms=start, until_ms=until), NOW_MS)
    assert (schedule.start_ms, schedule.end_ms) == (start, until)


def test_from_and_duration():
    start = NOW_MS - 48 * HOUR_MS
    schedule, _ = settle(Stretch(start_ms=start, duration_ms=6 * HOUR_MS), NOW_MS)
    assert (schedule.start_ms, schedule.end_ms) == (start, start + 6 * HOUR_MS)


def test_a_recent_from_ends_now_at_the_latest():
    schedule, users = settle(Stretch(events=100_000, start_ms=NOW_MS - HOUR_MS), NOW_MS)
    assert schedule.end_ms == NOW_MS
    assert users > 10_000


def test_a_from_long_ago_does_not_depend_on_the_clock():
    asked = Stretch(events=5_000, start_ms=NOW_MS - 1_000 * HOUR_MS)
    assert settle(asked, NOW_MS) == settle(asked, NOW_MS + 12_345)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Stretch(events=0), r"--events 0 .* needs a --rate"),
        (Stretch(start_ms=NOW_MS + HOUR_MS), r"ahead of the clock"),
        (Stretch(until_ms=NOW_MS + 1), r"ahead of the clock"),
        (Stretch(start_ms=NOW_MS - HOUR_MS, duration_ms=2 * HOUR_MS), r"ahead of the clock"),
        (Stretch(start_ms=NOW_MS - HOUR_MS, until_ms=NOW_MS - 2 * HOUR_MS), r"is not after --from"),
        (Stretch(start_ms=1, until_ms=2, duration_ms=3), r"give only two"),
        (Stretch(duration_ms=1_000), r"less than a minute"),
        (Stretch(users=7), r"--users 7 is too few"),
        (Stretch(users=10, events=100_000, duration_ms=6 * HOUR_MS), r"give more --users"),
        (Stretch(users=100, rate=500), r"give --users 225000 or more"),
    ],
)
def test_what_cannot_be_is_refused(asked, message):
    with pytest.raises(UsageError, match=message):
        settle(asked, NOW_MS)


def test_a_short_run_needs_no_large_audience():
    _, users = settle(Stretch(rate=5_000, events=2_000), NOW_MS)
    assert users == 2_000


@pytest.mark.parametrize(
    ("text", "ms"), [("90m", 5_400_000), ("6h", 6 * HOUR_MS), ("0s", 0), ("1.5d", 36 * HOUR_MS)]
)
def test_durations(text, ms):
    assert parse_duration("--duration", text) == ms


@pytest.mark.parametrize("text", ["", "6", "h", "6 h", "-6h", "6H", "1h30m"])
def test_what_is_no_duration(text):
    with pytest.raises(UsageError, match=r"--duration .* write it like 90m"):
        parse_duration("--duration", text)


def test_times():
    assert parse_time("--from", "2026-03-01T12:00:00Z") == NOW_MS
    with pytest.raises(UsageError, match="--from 2026-03-01T12:00:00 must be"):
        parse_time("--from", "2026-03-01T12:00:00")
