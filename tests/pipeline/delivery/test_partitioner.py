"""The partition of a key is the one that every Kafka client of the Java line computes."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.partitioner import Partitioner, partition_of

# Kafka's own test vectors (org.apache.kafka.common.utils.UtilsTest), as unsigned and without the sign bit.
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "murmur2"), VECTORS.items())
def test_kafkas_own_vectors(key: bytes, murmur2: int) -> None:
    assert partition_of(key, 97) == (murmur2 & 0x7FFFFFFF) % 97


@given(st.binary(max_size=40), st.integers(1, 64))
def test_it_is_aiokafkas_default(key: bytes, partitions: int) -> None:
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)


@given(st.lists(st.binary(min_size=1, max_size=3), max_size=200), st.integers(1, 9))
def test_the_memory_changes_nothing_and_is_bounded(keys: list[bytes], size: int) -> None:
    partitioner = Partitioner(7, size)
    for key in keys:
        assert partitioner(key) == partition_of(key, 7)
        assert len(partitioner) <= max(2, size + 1)


def test_there_is_no_topic_without_partitions() -> None:
    with pytest.raises(ValueError, match="at least one partition, not 0"):
        Partitioner(0)


async def test_librdkafka_sends_to_the_same_partitions(embedded_broker: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}placed"
    admin = AIOKafkaAdminClient(bootstrap_servers=embedded_broker)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 7, 1)])
    await admin.close()
    found: dict[bytes, int] = {}
    producer = Producer({"bootstrap.servers": embedded_broker, "partitioner": "murmur2_random"})
    for number in range(200):
        key = f"user-{number}".encode()
        producer.produce(topic, b"", key, on_delivery=lambda _, m: found.update({m.key(): m.partition()}))
    assert producer.flush(30) == 0
    assert len(found) == 200
    assert all(partition == partition_of(key, 7) for key, partition in found.items())
