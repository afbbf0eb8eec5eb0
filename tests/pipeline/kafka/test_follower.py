"""A follower gets every record of its topics, once and in order, whatever happens to topics and brokers."""

import asyncio
import logging

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.kafka.follower import (
    Follower,
    TopicMissingError,
    from_end,
    from_newest,
    from_positions,
    from_time,
)
from pipeline.lab.local.ports import free_ports
from pipeline.lab.local.tansu import EmbeddedBroker

PARTITIONS = 3
LIMIT_S = 20


def options(servers):
    return {"bootstrap_servers": servers}


async def create(servers, topic):
    admin = AIOKafkaAdminClient(**options(servers))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    finally:
        await admin.close()


async def delete(servers, topic):
    admin = AIOKafkaAdminClient(**options(servers))
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()


async def publish(servers, topic, numbers, *, timestamp_ms=None, **producer_options):
    """Each number goes to its remainder's partition, in a batch of its own."""
    async with AIOKafkaProducer(**options(servers), **producer_options) as producer:
        for number in numbers:
            await producer.send_and_wait(
                topic, str(number).encode(), partition=number % PARTITIONS, timestamp_ms=timestamp_ms
            )


async def read(follower, count):
    """The numbers of the next records."""
    found = []
    async with asyncio.timeout(LIMIT_S):
        while len(found) < count:
            found += [int(record.value) for record in await follower.next_records()]
    return found


async def read_to_end(follower):
    found = []
    async with asyncio.timeout(LIMIT_S):
        while not follower.at_end:
            found += [int(record.value) for record in await follower.next_records()]
    return found


@pytest.fixture
def topic(topic_prefix):
    return f"{topic_prefix}followed"


async def test_it_reads_everything_from_the_beginning_and_knows_the_end(any_broker, topic):
    await create(any_broker, topic)
    async with Follower(options(any_broker), [topic]) as follower:
        assert await read_to_end(follower) == []
        await publish(any_broker, topic, range(20))
        assert sorted(await read(follower, 20)) == list(range(20))
    async with Follower(options(any_broker), [topic]) as follower:
        assert not follower.at_end
        assert sorted(await read_to_end(follower)) == list(range(20))
        assert sum(follower.positions.values()) == 20


async def test_it_starts_where_it_is_told_to(any_broker, topic):
    await create(any_broker, topic)
    await publish(any_broker, topic, range(12), timestamp_ms=1_000)
    await publish(any_broker, topic, range(12, 24), timestamp_ms=2_000)
    known = {(topic, partition): 7 for partition in range(PARTITIONS)}
    for start, expected in ((from_newest(2), range(18, 24)), (from_positions(known), range(21, 24))):
        async with Follower(options(any_broker), [topic], start) as follower:
            assert sorted(await read_to_end(follower)) == list(expected)


async def test_it_starts_at_a_time(apache_kafka, topic):
    await create(apache_kafka, topic)
    await publish(apache_kafka, topic, range(12), timestamp_ms=1_000)
    await publish(apache_kafka, topic, range(12, 24), timestamp_ms=2_000)
    for time_ms, expected in ((1_500, range(12, 24)), (2_001, [])):
        async with Follower(options(apache_kafka), [topic], from_time(time_ms)) as follower:
            assert sorted(await read_to_end(follower)) == list(expected)


async def test_from_the_end_it_misses_nothing_that_comes_after_it_is_connected(apache_kafka, topic):
    await create(apache_kafka, topic)
    await publish(apache_kafka, topic, range(9))
    async with Follower(options(apache_kafka), [topic], from_end) as follower:
        await follower.connect()
        await publish(apache_kafka, topic, range(9, 15))
        assert sorted(await read(follower, 6)) == list(range(9, 15))


async def test_records_of_open_and_aborted_transactions_are_left_out(apache_kafka, topic):
    await create(apache_kafka, topic)
    await publish(apache_kafka, topic, [0])
    async with AIOKafkaProducer(**options(apache_kafka), transactional_id=topic) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"3", partition=0)
        await producer.abort_transaction()
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"6", partition=0)
        await publish(apache_kafka, topic, [9])
        async with Follower(options(apache_kafka), [topic], committed_only=False) as follower:
            assert await read_to_end(follower) == [0, 3, 6, 9]
        async with Follower(options(apache_kafka), [topic]) as follower:
            # Its end lies before the open transaction.
            assert await read_to_end(follower) == [0]
            await producer.commit_transaction()
            assert await read(follower, 2) == [6, 9]


async def test_a_batch_that_cannot_be_read_is_logged_and_skipped(any_broker, topic, caplog):
    await create(any_broker, topic)
    async with AIOKafkaProducer(
        **options(any_broker), compression_type="gzip", max_request_size=100 << 20
    ) as producer:
        # It expands to more than 64 MiB.
        await producer.send_and_wait(topic, bytes(65 << 20), partition=0)
        await producer.send_and_wait(topic, b"7", partition=0)
    async with Follower(options(any_broker), [topic]) as follower:
        assert await read_to_end(follower) == [7]
    assert "offsets 0 to 0" in caplog.text


async def test_whoever_waits_sees_that_everything_published_before_was_handled(any_broker, topic):
    await create(any_broker, topic)
    handled = []
    async with Follower(options(any_broker), [topic]) as follower:

        async def handle():
            while True:
                records = await follower.next_records()
                await asyncio.sleep(0.01)
                handled.extend(records)

        task = asyncio.create_task(handle())
        async with asyncio.timeout(LIMIT_S):
            for number in range(3):
                await publish(any_broker, topic, range(number * 10, number * 10 + 10))
                await follower.handled_all()
                assert len(handled) == number * 10 + 10
        task.cancel()


async def test_a_topic_that_is_missing_is_an_error_unless_it_is_to_be_tried_again(any_broker, topic):
    async with Follower(options(any_broker), [topic]) as follower:
        with pytest.raises(TopicMissingError, match=topic):
            await follower.poll()
        await create(any_broker, topic)
        await publish(any_broker, topic, range(3))
        assert sorted(await read(follower, 3)) == [0, 1, 2]


async def test_a_topic_that_is_deleted_and_made_anew_is_read_again_without_a_flood_of_lines(
    apache_kafka, topic, caplog
):
    truncated = []

    async def on_truncated():
        truncated.append(True)

    await create(apache_kafka, topic)
    await publish(apache_kafka, topic, range(9))
    async with Follower(options(apache_kafka), [topic], retry=True, on_truncated=on_truncated) as follower:
        assert len(await read(follower, 9)) == 9
        await delete(apache_kafka, topic)
        async with asyncio.timeout(LIMIT_S):
            while "there is no topic" not in caplog.text:
                assert await follower.poll() == {}
        # aiokafka's consumer logs it again and again as long as it exists.
        caplog.clear()
        for _ in range(2):
            assert await follower.poll() == {}
        assert caplog.messages == []
        await create(apache_kafka, topic)
        await publish(apache_kafka, topic, [100])
        assert await read(follower, 1) == [100]
    assert truncated == [True]


async def test_it_waits_for_a_broker_and_goes_on_where_it_was(topic, caplog):
    caplog.set_level(logging.WARNING, "pipeline")
    (port,) = free_ports()
    servers = f"127.0.0.1:{port}"
    async with Follower(options(servers), [topic], retry=True) as follower:
        assert await follower.poll() == {}
        with EmbeddedBroker(port):
            await create(servers, topic)
            await publish(servers, topic, range(6))
            assert sorted(await read(follower, 6)) == list(range(6))
        async with asyncio.timeout(LIMIT_S):
            assert await follower.poll() == {}
        assert follower.positions == {TopicPartition(topic, partition): 2 for partition in range(PARTITIONS)}
    assert sum(record.name.startswith("pipeline") for record in caplog.records) == 1
