"""Partitions that are behind are read side by side in time."""

from types import SimpleNamespace

import pytest
from faust.types import TP

from pipeline.delivery.flow.alignment import Alignment
from pipeline.delivery.flow.batches import Chunk

A, B, OTHER_TOPIC = TP("t", 0), TP("t", 1), TP("u", 0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alignment(clock: Clock) -> Alignment:
    return Alignment(clock)


def until(timestamp: int, count: int = 2_000) -> Chunk:
    """Records up to an instant."""
    return Chunk(1, 0, count, [SimpleNamespace(timestamp=timestamp)] * count)


def test_who_is_ahead_waits_for_who_is_worked_on(alignment: Alignment) -> None:
    alignment.reached(A, until(1_000))
    alignment.reached(B, until(999))
    assert alignment.waits(A, [B])
    assert not alignment.waits(B, [A])
    assert alignment.waits(A, [A, B])


def test_for_one_that_is_worked_off_the_others_wait_a_moment(alignment: Alignment, clock: Clock) -> None:
    alignment.reached(A, until(1_000))
    alignment.reached(B, until(0))
    clock.now += 1
    alignment.processed(B)
    assert alignment.waits(A, [])  # the next chunk is on its way
    clock.now += 0.6
    assert not alignment.waits(A, [])
    alignment.reached(B, until(0, count=1))
    assert not alignment.waits(A, [])  # there is no more of it


def test_the_slowest_never_waits_nor_do_those_that_are_as_far(alignment: Alignment) -> None:
    alignment.reached(A, until(5))
    alignment.reached(B, until(5))
    assert not alignment.waits(A, [B])
    assert not alignment.waits(B, [A])


def test_who_is_not_behind_does_not_wait(alignment: Alignment) -> None:
    alignment.reached(A, until(1_000, count=10))
    alignment.reached(B, until(0))
    assert not alignment.waits(A, [B])


def test_topics_do_not_wait_for_each_other(alignment: Alignment) -> None:
    alignment.reached(A, until(1_000))
    alignment.reached(OTHER_TOPIC, until(0))
    assert not alignment.waits(A, [OTHER_TOPIC])


def test_a_wrong_clock_holds_its_partition_up_for_seconds_at_most(alignment: Alignment, clock: Clock) -> None:
    alignment.reached(A, until(10**12))
    alignment.reached(B, until(0))
    assert alignment.waits(A, [B])
    clock.now += 2.1
    assert not alignment.waits(A, [B])


def test_what_was_assigned_before_is_forgotten(alignment: Alignment) -> None:
    alignment.reached(A, until(1_000))
    alignment.reached(B, until(0))
    alignment.forget()
    assert not alignment.waits(A, [B])


def test_partitions_of_different_density_stay_together(alignment: Alignment) -> None:
    """Whoever may goes on by one chunk, which is worked off at once."""
    density = {TP("t", number): 100 + 40 * number for number in range(4)}
    at = dict.fromkeys(density, 0)
    busy: list[TP] = []
    widest = 0
    for _ in range(400):
        for tp, records in density.items():
            if busy.count(tp) < 2 and not alignment.waits(tp, busy):
                at[tp] += 1_000_000 // records
                alignment.reached(tp, until(at[tp]))
                busy.append(tp)
        widest = max(widest, max(at.values()) - min(at.values()))
        alignment.processed(busy.pop(0))
    assert min(at.values()) > 300_000
    assert widest <= 2 * 10_000  # two of the longest chunks
