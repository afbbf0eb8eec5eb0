"""Partitions with a backlog are read at the same pace of event time."""

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


def test_a_partition_that_is_ahead_waits_for_one_that_is_processed(alignment: Alignment) -> None:
    alignment.reached(A, until(1_000))
    alignment.reached(B, until(999))
    assert alignment.waits(A, [B])
    assert not alignment.waits(B, [A])
    assert alignment.waits(A, [A, B])


def test_the_others_wait_a_moment_for_the_next_fetch_of_a_processed_partition(
    alignment: Alignment, clock: Clock
) -> None:
    alignment.reached(A, until(1_000))
    alignment.reached(B, until(0))
    clock.now += 1
    alignment.processed(B)
    assert alignment.waits(A, [])  # the next chunk is on its way
    clock.now += 0.6
    assert not alignment.waits(A, [])
    alignment.reached(B, until(0, count=1))
    assert not alignment.waits(A, [])  # there is no more of it


def test_neither_the_slowest_partition_nor_an_equal_one_waits(alignment: Alignment) -> None:
    alignment.reached(A, until(5))
    alignment.reached(B, until(5))
    assert not alignment.waits(A, [B])
    assert not alignment.waits(B, [A])


def test_a_partition_without_a_backlog_does_not_wait(alignment: Alignment) -> None:
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


def test_a_new_assignment_starts_empty(alignment: Alignment) -> None:
    alignment.reached(A, until(1_000))
    alignment.reached(B, until(0))
    alignment.forget()
    assert not alignment.waits(A, [B])


def test_partitions_with_few_and_many_records_stay_together_in_time(alignment: Alignment) -> None:
    """Each partition that need not wait reads one chunk, which is processed at once."""
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
