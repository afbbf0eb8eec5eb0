"""What one worker makes of batches in which something is wrong, on real brokers."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord

from pipeline.delivery.options import DeliveryOptions, Limits
from pipeline.delivery.state.outputs import Output
from pipeline.delivery.state.unit import State
from tests.pipeline.delivery.counting import (
    NOT_ENCODABLE,
    POISON,
    TOO_LARGE,
    Counting,
    Number,
    all_done,
)


def records(count: int, bad: dict[int, bytes] | None = None) -> list[tuple[int, bytes, bytes]]:
    """Five keys in partition 0, one in partition 1; `bad` names values by number."""
    bad = bad or {}
    return [
        (0, b"k%d" % (n % 5), bad.get(n, b"good")) if n % 6 else (1, b"other", bad.get(n, b"good"))
        for n in range(count)
    ]


def counted(given: list[tuple[int, bytes, bytes]]) -> dict[bytes, list[bytes]]:
    counts = Counter(key for _, key, value in given if value == b"good")
    return {key: [b"%d" % n for n in range(1, count + 1)] for key, count in counts.items()}


async def test_each_record_counts_once_and_in_order(
    any_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    counting = Counting(any_broker, topic_prefix, tmp_path)
    given = records(3_000)
    await counting.create_topics()
    await counting.send(given)
    async with counting.running() as app:
        await counting.until(all_done(app, len(given)))
        assert app.metrics.records == len(given)
        assert app.metrics.batches < 100
    assert await counting.read(counting.out) == counted(given)


@pytest.mark.parametrize(
    ("value", "error"),
    [(POISON, b"ValueError"), (TOO_LARGE, b"OutputTooLargeError"), (NOT_ENCODABLE, b"EncodingError")],
)
async def test_a_bad_record_fails_alone_and_the_others_count_as_ever(
    any_broker: str, topic_prefix: str, tmp_path: Path, value: bytes, error: bytes
) -> None:
    counting = Counting(any_broker, topic_prefix, tmp_path)
    given = records(1_200, {31: value, 700: value, 701: value})
    await counting.create_topics()
    await counting.send(given)
    async with counting.running() as app:
        await counting.until(all_done(app, len(given)))
        assert app.metrics.rewinds >= 1
        assert app.metrics.poisoned >= 3
    assert await counting.read(counting.out) == counted(given)
    failed = await counting.read(counting.failed)
    assert sorted(text.split()[1] for texts in failed.values() for text in texts) == [error] * 3


async def test_a_batch_that_an_agent_leaves_behind_is_delivered_again(
    any_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    failures = [RuntimeError("first"), RuntimeError("second")]

    def fail_twice(_batch: object) -> None:
        if failures:
            raise failures.pop()

    counting = Counting(any_broker, topic_prefix, tmp_path, on_batch=fail_twice)
    given = records(600)
    await counting.create_topics()
    await counting.send(given)
    async with counting.running() as app:
        await counting.until(all_done(app, len(given)))
        assert app.metrics.redelivered == 2
    assert await counting.read(counting.out) == counted(given)


async def test_a_unit_stands_still_while_its_snapshot_is_made(
    any_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()

    def slowly(state: State[Number], notes: list[int]) -> Iterator[Output | None]:
        before = dict(state.next_offsets), set(state.dirty), len(notes)
        for _ in range(30):
            yield None
            assert (dict(state.next_offsets), set(state.dirty), len(notes)) == before
            assert state.notes == []
        seen["snapshots"] += 1
        yield Output(counting.failed, b"%d" % state.partition, b" ".join(b"%d" % note for note in notes))

    counting = Counting(any_broker, topic_prefix, tmp_path, at_commit=slowly)
    handle = counting.handle

    def handle_slowly(state: State[Number], records: Sequence[ConsumerRecord]) -> list[Output]:
        time.sleep(0.005)  # so that several commits begin meanwhile
        return handle(state, records)

    counting.handle = handle_slowly
    given = [(n % 2, b"k%d" % (n % 10), POISON if n == 777 else b"good") for n in range(40_000)]
    await counting.create_topics()
    await counting.send(given)
    async with counting.running() as app:
        await counting.until(all_done(app, len(given)))
    assert seen["snapshots"] > 4
    assert await counting.read(counting.out) == counted(given)
    told = await counting.read(counting.failed)
    for partition in range(2):
        noted = [int(note) for value in told[b"%d" % partition] for note in value.split()]
        assert noted == [offset for offset in range(20_000) if (partition, offset) != (1, 388)]


async def test_little_may_wait_for_a_commit_and_still_nothing_is_missing(
    any_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    options = DeliveryOptions(cache_keys=2, limits=Limits(outputs=10, dirty_keys=2))
    counting = Counting(any_broker, topic_prefix, tmp_path, options)
    given = records(2_000)
    await counting.create_topics()
    await counting.send(given)
    async with counting.running() as app:
        await counting.until(all_done(app, len(given)))
        assert app.metrics.commits > 2
    assert await counting.read(counting.out) == counted(given)


async def test_the_next_worker_goes_on_where_the_last_one_stopped(
    any_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    counting = Counting(any_broker, topic_prefix, tmp_path)
    given = records(900)
    await counting.create_topics()
    await counting.send(given[:400])
    async with counting.running() as app:
        await counting.until(all_done(app, 400))
    await counting.send(given[400:])
    async with counting.running() as app:
        await counting.until(all_done(app, len(given)))
        assert app.metrics.records == 500
        owned = app.ownership.find("counts", 0)
        assert owned is not None
        assert owned.unit.peek(b"k1").value == len(counted(given)[b"k1"])
        with pytest.raises(TypeError, match="changes in its process"):
            app.tables["counts"][b"k1"] = None
    assert await counting.read(counting.out) == counted(given)
