"""Whatever bytes a fetch returns, readable batches are read, and the others are reported."""

import gzip
import struct
import time
from pathlib import Path

import cramjam
import pytest
from aiokafka.consumer import fetcher
from aiokafka.record import MemoryRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.structs import TopicPartition
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.flow import fetched
from pipeline.delivery.flow.fetched import TolerantRecords, UnreadableBatch
from pipeline.lab.local.apache import KafkaCluster
from tests.pipeline.delivery.counting import Counting, all_done

TP = TopicPartition("events", 3)
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = {"none": NONE, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}


def batch(first: int, values: list[bytes], codec: int = NONE, timestamp: int = 5) -> bytes:
    """A record batch as a producer sends it, and as a broker numbers it."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 30)
    for number, value in enumerate(values):
        builder.append(number, timestamp, b"key", value, [])
    data = bytearray(builder.build())
    data[:8] = struct.pack(">q", first)
    return bytes(data)


def read(data: bytes, position: int = 0) -> tuple[list, int]:
    """The records, and the offset at which reading continues."""
    records = TolerantRecords(TP, MemoryRecords(data), None, position, None, None, True, 1)
    return list(records), records.next_fetch_offset


def test_importing_it_replaces_aiokafkas_reading() -> None:
    """aiokafka's version is pinned; this fails when what we reach for has moved."""
    assert fetcher.PartitionRecords is TolerantRecords
    for module in (fetched.c_default_records, fetched.c_legacy_records):
        assert module.gzip_decode is fetched.gzip_decode
        assert module.lz4_decode is fetched.lz4_decode
        assert module.snappy_decode is fetched.snappy_decode
    assert fetched.c_default_records.zstd_decode is fetched.zstd_decode


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_every_codec_is_read(codec: int) -> None:
    records, position = read(batch(40, [b"a" * 500, b"b"], codec))
    assert [(r.offset, r.key, r.value, r.timestamp) for r in records] == [
        (40, b"key", b"a" * 500, 5),
        (41, b"key", b"b", 5),
    ]
    assert position == 42


@pytest.mark.parametrize(
    ("magic", "codec"),
    [(0, NONE), (0, GZIP), (0, SNAPPY), (1, NONE), (1, GZIP), (1, SNAPPY), (1, LZ4)],
)
def test_older_forms_are_read(magic: int, codec: int) -> None:
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 20)
    for number in range(3):
        builder.append(number, timestamp=7, key=b"k", value=b"v%d" % number)
    records, _ = read(bytes(builder.build()))
    assert [record.value for record in records] == [b"v0", b"v1", b"v2"]


@pytest.mark.parametrize("place", [17, 22, 40, -1])
def test_a_corrupted_batch_is_reported_and_the_ones_around_it_are_read(place: int) -> None:
    garbled = bytearray(batch(2, [b"b"] * 3))
    garbled[place] ^= 0x5A
    behind = batch(5, [b"c"])
    records, position = read(batch(0, [b"a"] * 2) + bytes(garbled) + behind)
    assert [record.offset for record in records] == [0, 1, 4]
    unreadable = records[2]
    assert isinstance(unreadable, UnreadableBatch)
    assert (unreadable.first_offset, unreadable.offset, unreadable.count) == (2, 4, 3)
    assert (unreadable.key, unreadable.value, unreadable.timestamp) == (None, None, -1)
    assert "offsets 2 to 4 of events/3 cannot be read: CorruptRecordException" in str(unreadable)
    assert position == 5
    records, position = read(behind, position)
    assert ([record.offset for record in records], position) == ([5], 6)


def test_committed_records_behind_a_corrupted_abort_marker_are_read() -> None:
    """aiokafka remembers for a whole fetch whose transactions are aborted; a new fetch begins with a new list."""

    def transactional(first: int, value: bytes) -> bytes:
        builder = DefaultRecordBatchBuilder(2, NONE, 1, 7, 0, 0, 1 << 20)
        builder.append(0, 5, b"key", value, [])
        return struct.pack(">q", first) + bytes(builder.build())[8:]

    garbled_marker = bytearray(transactional(1, b"marker"))
    garbled_marker[-1] ^= 0x5A
    data = transactional(0, b"aborted") + bytes(garbled_marker) + transactional(2, b"committed")
    records = TolerantRecords(TP, MemoryRecords(data), [(7, 0)], 0, None, None, True, fetcher.READ_COMMITTED)
    assert [(record.offset, record.__class__) for record in records] == [(1, UnreadableBatch)]
    assert records.next_fetch_offset == 2


def test_an_unknown_codec_is_reported() -> None:
    odd = bytearray(batch(0, [b"a"], GZIP))
    odd[21:23] = struct.pack(">h", 6)
    records = TolerantRecords(TP, MemoryRecords(bytes(odd)), None, 0, None, None, False, 1)
    (unreadable,) = records
    assert "codec" in unreadable.reason.lower()


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_batch_that_expands_beyond_the_bound_is_not_read(codec: int, monkeypatch) -> None:
    monkeypatch.setattr(fetched, "MAX_EXPANDED_BYTES", 100_000)
    records, position = read(batch(0, [b"a" * 99_000], codec))
    assert len(records[0].value) == 99_000
    records, position = read(batch(0, [b"a" * 50_000] * 3, codec))
    assert [record.__class__ for record in records] == [UnreadableBatch]
    assert "more than 100000 bytes" in records[0].reason
    assert position == 3


@pytest.mark.parametrize("timestamp", [-1, -5, 1_767_225_600_000_000, 2**62])
def test_a_timestamp_that_is_not_in_milliseconds_counts_as_none(timestamp: int) -> None:
    records, _ = read(batch(0, [b"a"], timestamp=timestamp))
    assert records[0].timestamp == -1


@given(st.binary(max_size=400), st.integers(0, 60), st.sampled_from(list(CODECS.values())), st.booleans())
def test_reading_any_bytes_ends_and_never_goes_backwards(
    garbage: bytes, place: int, codec: int, check: bool
) -> None:
    data = bytearray(batch(3, [b"abc" * 9, b"", b"x"], codec))
    data[place : place + len(garbage)] = garbage
    records = TolerantRecords(TP, MemoryRecords(bytes(data)), None, 3, None, None, check, 1)
    found = list(records)
    offsets = [record.offset for record in found]
    assert offsets == sorted(set(offsets))
    assert records.next_fetch_offset >= (offsets[-1] + 1 if offsets else 3)


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_small_batch_takes_little_memory(codec: int) -> None:
    """Zeroing 64 MiB takes 40 ms; expanding 3 kB takes microseconds."""
    data = batch(0, [b"event " * 500], codec)
    began = time.process_time()
    for _ in range(50):
        read(data)
    assert time.process_time() - began < 0.5


def test_many_empty_members_of_gzip_are_read_in_one_pass() -> None:
    member = gzip.compress(b"")
    began = time.process_time()
    assert fetched.gzip_decode(member * 100_000 + gzip.compress(b"last")) == b"last"
    assert time.process_time() - began < 3


@given(st.binary(max_size=100_000))
def test_what_expands_is_what_was_compressed(data: bytes) -> None:
    assert fetched.gzip_decode(gzip.compress(data) + gzip.compress(data)) == data + data
    assert fetched.lz4_decode(bytes(cramjam.lz4.compress(data))) == data
    assert fetched.zstd_decode(bytes(cramjam.zstd.compress(data))) == data
    assert fetched.snappy_decode(bytes(cramjam.snappy.compress_raw(data))) == data


@pytest.mark.slow
@pytest.mark.usefixtures("local_kafka")
async def test_a_real_brokers_corrupted_batch_is_skipped(tmp_path: Path, topic_prefix: str) -> None:
    """A broker is stopped, some bytes of its log are changed, and it is started again."""
    with KafkaCluster(directory=tmp_path / "kafka") as cluster:
        counting = Counting(cluster.bootstrap_servers, topic_prefix, tmp_path / "state")
        await counting.create_topics()
        for number in range(3):
            producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
            producer.produce(counting.source, b"value-%d" % number, b"key", partition=0)
            assert producer.flush(20) == 0
        cluster.stop_node(1)
        (log,) = (tmp_path / "kafka").glob(f"**/{counting.source}-0/*.log")
        data = log.read_bytes()
        assert data.count(b"value-1") == 1
        log.write_bytes(data.replace(b"value-1", b"vALUE-1"))
        cluster.start_node(1)
        async with counting.running() as app:
            await counting.until(all_done(app, 3))
            assert app.metrics.unreadable == 1
        assert await counting.read(counting.out) == {b"key": [b"1", b"2"]}
        failed = await counting.read(counting.failed)
        assert failed == {None: [b"1 ValueError"]}
