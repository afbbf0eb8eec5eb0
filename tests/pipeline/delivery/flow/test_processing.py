"""One worker on real brokers. The laws of delivery themselves are tested without a broker, in ../test_laws.py."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline.delivery.app import DeliveryApp
from pipeline.delivery.errors import DeliveryError
from tests.pipeline.delivery.counting import Counting, all_done
from tests.pipeline.delivery.counting_handler import BAD, GOOD, NOT_ENCODABLE, POISON, TOO_LARGE


def records(count: int, bad: dict[int, bytes] | None = None) -> list[tuple[int, bytes, bytes]]:
    """Five keys in partition 0, one in partition 1; `bad` names values by number."""
    bad = bad or {}
    return [
        (0, b"k%d" % (n % 5), bad.get(n, GOOD)) if n % 6 else (1, b"other", bad.get(n, GOOD))
        for n in range(count)
    ]


def counted(given: list[tuple[int, bytes, bytes]]) -> dict[bytes, list[bytes]]:
    counts = Counter(key for _, key, value in given if value == GOOD)
    return {key: [b"%d" % n for n in range(1, count + 1)] for key, count in counts.items()}


async def test_each_record_counts_once_and_in_order_and_bad_ones_fail_alone(
    any_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    counting = Counting(any_broker, topic_prefix, tmp_path)
    given = records(3_000, {31: POISON, 700: TOO_LARGE, 701: NOT_ENCODABLE, 2_000: POISON})
    await counting.create_topics()
    await counting.send(given)
    async with counting.running() as app:
        await counting.until(all_done(app, len(given)))
        assert app.metrics.rewinds >= 1
        assert app.metrics.poisoned >= 4
        assert app.metrics.batches < 100
    assert await counting.read(counting.out) == counted(given)
    failed = await counting.read(counting.failed)
    errors = [text.split()[1] for texts in failed.values() for text in texts]
    assert sorted(errors) == sorted([*BAD.values(), BAD[POISON]])


async def test_a_batch_that_an_agent_did_not_process_is_delivered_again(
    embedded_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    failures = [RuntimeError("first"), RuntimeError("second")]

    def fail_twice(_batch: object) -> None:
        if failures:
            raise failures.pop()

    counting = Counting(embedded_broker, topic_prefix, tmp_path, on_batch=fail_twice)
    given = records(600)
    await counting.create_topics()
    await counting.send(given)
    async with counting.running() as app:
        await counting.until(all_done(app, len(given)))
        assert app.metrics.redelivered == 2
    assert await counting.read(counting.out) == counted(given)


async def test_the_next_worker_continues_where_the_last_one_stopped(
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
        with pytest.raises(TypeError, match="is read through owned"):
            app.tables["counts"][b"k1"]
    assert await counting.read(counting.out) == counted(given)


async def test_an_agent_on_a_topic_without_a_table_ends_the_worker(
    embedded_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    counting = Counting(embedded_broker, topic_prefix, tmp_path)
    await counting.create_topics()

    def add_agent(app: DeliveryApp) -> None:
        @app.agent(app.topic(counting.out))
        async def read(records):
            async for _ in records:
                pass

    async with counting.running(add_agent) as app:
        await counting.until(lambda: app.crash_reason is not None)
        assert isinstance(app.crash_reason, DeliveryError)
        assert f"an agent reads {counting.out}" in str(app.crash_reason)
