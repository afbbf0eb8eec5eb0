"""Laws of the schedules: the load only grows, the past ends at its count, nothing precedes the clock."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lab.generator.schedule import LiveSchedule, PastSchedule
from pipeline.lab.generator.world import HOUR_MS, MINUTE_MS

NOW_MS = 1_772_366_400_000

past = st.builds(
    lambda length, events: PastSchedule(NOW_MS - length, NOW_MS, events),
    st.integers(MINUTE_MS, 40 * 24 * HOUR_MS),
    st.integers(1, 1_000_000),
)
live = st.builds(
    LiveSchedule,
    now_ms=st.just(NOW_MS),
    rate=st.floats(0.1, 50_000),
    history_ms=st.sampled_from([0, MINUTE_MS, HOUR_MS, 6 * HOUR_MS]),
    events=st.one_of(st.none(), st.integers(1, 1_000_000)),
)


@given(past, st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_the_load_of_the_past_only_grows_and_ends_at_its_count(schedule, shares):
    length = schedule.end_ms - schedule.start_ms
    targets = [schedule.target(schedule.start_ms + int(share * length)) for share in sorted(shares)]
    assert targets == sorted(targets)
    assert schedule.target(schedule.start_ms) in (0, schedule.events)  # all at once if one slice fills it
    assert schedule.target(schedule.end_ms) == schedule.events
    last_full_slice = schedule.start_ms + length // schedule.step_ms * schedule.step_ms
    assert schedule.target(last_full_slice) == schedule.events


def test_evenings_are_busier_than_nights():
    # Most of the audience lives between California and Eastern Europe.
    day = PastSchedule(NOW_MS - 12 * HOUR_MS, NOW_MS + 12 * HOUR_MS, 24_000)
    hourly = [day.target(day.start_ms + h * HOUR_MS) for h in range(25)]
    loads = [after - before for before, after in pairwise(hourly)]
    assert max(loads) > 1.5 * min(loads)


def test_a_stretch_without_length_is_refused():
    with pytest.raises(ValueError, match="no length"):
        PastSchedule(NOW_MS, NOW_MS, 10)


@given(live, st.integers(0, 10 * HOUR_MS))
def test_nothing_is_sent_before_its_arrival(schedule, after):
    arrival = schedule.start_ms + after
    assert schedule.clock_ms(arrival) >= arrival


@given(live, st.integers(0, 5 * HOUR_MS), st.integers(0, 5 * HOUR_MS))
def test_live_time_and_load_only_grow(schedule, one, other):
    first, second = schedule.start_ms + min(one, other), schedule.start_ms + max(one, other)
    assert schedule.clock_ms(first) <= schedule.clock_ms(second) + 1e-3
    assert schedule.target(first) <= schedule.target(second)


def test_the_history_is_told_within_a_minute_at_the_same_rate():
    schedule = LiveSchedule(NOW_MS, rate=50)
    met = schedule.now_ms + 60_000
    assert not schedule.is_history(met)
    assert schedule.is_history(met - 1)
    assert schedule.clock_ms(met - 1) == pytest.approx(met, abs=2)
    assert schedule.target(met) == 3_000
    assert schedule.target(met + 10_000) == 3_500


def test_a_short_run_reaches_the_present():
    schedule = LiveSchedule(NOW_MS, rate=1000, events=10_000)
    assert schedule.catch_up_ms == pytest.approx(6_700)
    assert schedule.target(NOW_MS + HOUR_MS) == 10_000


def test_without_history_it_begins_now():
    schedule = LiveSchedule(NOW_MS, rate=10, history_ms=0)
    assert schedule.start_ms == NOW_MS
    assert schedule.clock_ms(NOW_MS + 5) == NOW_MS + 5


def test_a_live_schedule_needs_a_rate():
    with pytest.raises(ValueError, match="does not follow the clock"):
        LiveSchedule(NOW_MS, rate=0)
