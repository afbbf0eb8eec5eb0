"""Partitions are those of Kafka's default partitioner, for one key or many at once."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import DefaultPartitioner, murmur2
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.partitioner import Partitioner, murmur2_of_equal_length, partition_of

# From Kafka's own UtilsTest.
KNOWN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", KNOWN)
def test_murmur2_is_that_of_kafka(key):
    assert int(murmur2_of_equal_length([key])[0]) == KNOWN[key] & 0xFFFFFFFF


@given(st.integers(0, 40).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1)))
def test_hashing_many_keys_at_once_gives_the_same_as_one_by_one(keys):
    assert murmur2_of_equal_length(keys).tolist() == [murmur2(key) & 0xFFFFFFFF for key in keys]


@given(
    st.lists(st.one_of(st.none(), st.binary(max_size=6)), max_size=200),
    st.integers(1, 50),
    st.integers(1, 12),
)
def test_cached_partitions_are_the_computed_ones(keys, partitions, size):
    partitioner = Partitioner(partitions, size)
    partitioner.learn(keys)
    for key in filter(None, keys):
        assert partitioner(key) == partition_of(key, partitions)


def test_its_memory_is_bounded():
    partitioner = Partitioner(8, 1_000)
    for start in range(0, 20_000, 500):
        partitioner.learn(b"user-%07d" % number for number in range(start, start + 500))
    assert len(partitioner) <= 2_000


def test_a_topic_without_partitions_is_refused():
    with pytest.raises(ValueError, match="at least one partition, not 0"):
        Partitioner(0)


@given(st.binary(max_size=40), st.integers(1, 64))
def test_it_is_aiokafkas_default(key, partitions):
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)


async def test_librdkafka_sends_to_the_same_partitions(embedded_broker, topic_prefix):
    topic = f"{topic_prefix}placed"
    admin = AIOKafkaAdminClient(bootstrap_servers=embedded_broker)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 7, 1)])
    await admin.close()
    found = {}
    producer = Producer({"bootstrap.servers": embedded_broker, "partitioner": "murmur2_random"})
    for number in range(200):
        key = b"user-%d" % number
        producer.produce(topic, b"", key, on_delivery=lambda _, m: found.update({m.key(): m.partition()}))
    assert producer.flush(30) == 0
    assert len(found) == 200
    assert all(partition == partition_of(key, 7) for key, partition in found.items())
