"""Partitions that are behind are read side by side in time."""

from types import SimpleNamespace

import pytest
from faust.types import TP

from pipeline.delivery.batches import Chunk
from pipeline.delivery.pace import Pace

A, B, OTHER_TOPIC = TP("t", 0), TP("t", 1), TP("u", 0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def until(timestamp: int, count: int = 2_000) -> Chunk:
    """Records up to an instant."""
    return Chunk(1, 0, count, [SimpleNamespace(timestamp=timestamp)] * count)


def test_who_is_ahead_waits_for_who_is_worked_on(pace: Pace) -> None:
    pace.reached(A, until(1_000))
    pace.reached(B, until(999))
    assert pace.waits(A, [B])
    assert not pace.waits(B, [A])
    assert pace.waits(A, [A, B])


def test_for_one_that_is_worked_off_the_others_wait_a_moment(pace: Pace, clock: Clock) -> None:
    pace.reached(A, until(1_000))
    pace.reached(B, until(0))
    clock.now += 1
    pace.worked_off(B)
    assert pace.waits(A, [])  # the next chunk is on its way
    clock.now += 0.6
    assert not pace.waits(A, [])
    pace.reached(B, until(0, count=1))
    assert not pace.waits(A, [])  # there is no more of it


def test_the_slowest_never_waits_nor_do_those_that_are_as_far(pace: Pace) -> None:
    pace.reached(A, until(5))
    pace.reached(B, until(5))
    assert not pace.waits(A, [B])
    assert not pace.waits(B, [A])


def test_who_is_not_behind_does_not_wait(pace: Pace) -> None:
    pace.reached(A, until(1_000, count=10))
    pace.reached(B, until(0))
    assert not pace.waits(A, [B])


def test_topics_do_not_wait_for_each_other(pace: Pace) -> None:
    pace.reached(A, until(1_000))
    pace.reached(OTHER_TOPIC, until(0))
    assert not pace.waits(A, [OTHER_TOPIC])


def test_a_wrong_clock_holds_its_partition_up_for_seconds_at_most(pace: Pace, clock: Clock) -> None:
    pace.reached(A, until(10**12))
    pace.reached(B, until(0))
    assert pace.waits(A, [B])
    clock.now += 2.1
    assert not pace.waits(A, [B])


def test_what_was_assigned_before_is_forgotten(pace: Pace) -> None:
    pace.reached(A, until(1_000))
    pace.reached(B, until(0))
    pace.forget()
    assert not pace.waits(A, [B])


def test_partitions_of_different_density_stay_together(pace: Pace) -> None:
    """Whoever may goes on by one chunk, which is worked off at once."""
    density = {TP("t", number): 100 + 40 * number for number in range(4)}
    at = dict.fromkeys(density, 0)
    busy: list[TP] = []
    widest = 0
    for _ in range(400):
        for tp, records in density.items():
            if busy.count(tp) < 2 and not pace.waits(tp, busy):
                at[tp] += 1_000_000 // records
                pace.reached(tp, until(at[tp]))
                busy.append(tp)
        widest = max(widest, max(at.values()) - min(at.values()))
        pace.worked_off(busy.pop(0))
    assert min(at.values()) > 300_000
    assert widest <= 2 * 10_000  # two of the longest chunks
