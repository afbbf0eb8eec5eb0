"""Lines of a file, and the partitions in them."""

import base64
import io
import json

import pytest

from pipeline.delivery.partitioner import partition_of
from pipeline.lab.generator.ledger import Ledger
from pipeline.lab.generator.lines import EnvelopeLines, LineSink, RawLines
from tests.pipeline.lab.generator.conftest import simulate


def written(records, form) -> bytes:
    file = io.BytesIO()
    LineSink(file, form, Ledger()).write(records)
    return file.getvalue()


# Of org.apache.kafka.common.utils.Utils.murmur2, from Kafka's own UtilsTest.
@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_partitions_are_those_of_kafka(key, murmur2):
    for partitions in (1, 8, 12):
        assert partition_of(key, partitions) == (murmur2 & 0x7FFFFFFF) % partitions


def test_raw_lines_are_the_values():
    records = simulate(2_000, with_topic=False, stamped_on_arrival=False, broken_share=0.05)
    lines = written(records, RawLines()).split(b"\n")
    assert lines.pop() == b""
    assert lines == [record.value for record in records]


def test_envelopes_keep_everything():
    records = simulate(3_000, broken_share=0.05, requests=20)
    lines = written(records, EnvelopeLines("p.raw-events", "p.privacy-requests", 8)).splitlines()
    assert len(lines) == len(records) == 3_020
    offsets: dict[tuple[str, int], int] = {}
    encodings = set()
    for record, line in zip(records, lines, strict=True):
        envelope = json.loads(line)
        source, payload = envelope["source"], envelope["payload"]
        encodings.add(envelope["payload_encoding"])
        if payload is None:
            value = None
        elif envelope["payload_encoding"] == "base64":
            value = base64.b64decode(payload, validate=True)
        else:
            value = payload.encode()
        assert value == record.value
        assert source["topic"] == ("p.privacy-requests" if record.is_request else "p.raw-events")
        assert source["key"].encode() == record.who.key
        assert source["partition"] == partition_of(record.who.key, 8)
        assert source["timestamp"] == record.arrival_ms
        stream = source["topic"], source["partition"]
        assert source["offset"] == offsets.get(stream, 0)
        offsets[stream] = source["offset"] + 1
    assert encodings == {"utf-8", "base64"}
    assert len(offsets) > 8


def test_the_ledger_counts_what_was_written():
    ledger = Ledger()
    progress = []
    ledger.advance = progress.append
    records = simulate(1_000, requests=7)
    LineSink(io.BytesIO(), RawLines(), ledger).write(records)
    summary = ledger.summary()
    assert (summary["events"], summary["requests"], sum(progress)) == (1_000, 7, 1_000)
    assert summary["judged"] + summary["duplicate"] + summary["failed"] == 1_000
