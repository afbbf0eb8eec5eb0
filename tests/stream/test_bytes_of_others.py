"""What strangers write neither stops a worker nor makes it believe something; good events beside it are judged."""

import asyncio
import hashlib
import json
from pathlib import Path

from confluent_kafka import Producer

from pipeline.delivery.partitioner import Partitioner
from pipeline.kafka.topics import ensure_topics
from tests.stream.harness import Stream
from tests.stream.web import event

PARTITIONS = 4
HUGE = b"\x01" * 5_000_000
"""Compressed it fits into a record of the brokers; as text of JSON it would take six times as much."""


def flagged(user: str) -> bytes:
    return json.dumps(event(user, has_consent=False, region="DE", is_eu=True)).encode()


def test_beside_forged_huge_and_deep_records_good_ones_are_judged(
    apache_kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    stream = Stream(apache_kafka, topic_prefix, tmp_path, PARTITIONS)
    asyncio.run(ensure_topics(stream.settings))
    place = Partitioner(PARTITIONS)
    producer = Producer(
        {"bootstrap.servers": apache_kafka, "compression.type": "gzip", "message.max.bytes": 16_000_000}
    )
    origin = {
        "origin-topic": b"raw-events",
        "origin-partition": b"0",
        "origin-offset": b"9" * 200,
        "origin-timestamp": b"1",
    }
    forged = {"on-raw": "raw-events", "on-rekeyed": "raw-events-rekeyed"}
    for user, topic in forged.items():
        producer.produce(
            stream.topic(topic),
            flagged(user),
            user.encode(),
            partition=place(user.encode()),
            headers=list(origin.items()),
        )
    producer.produce(stream.topic("raw-events"), HUGE, b"\x01" * 900_000, partition=0)
    elsewhere = (place(b"misplaced") + 1) % PARTITIONS
    producer.produce(stream.topic("raw-events"), flagged("misplaced"), None, partition=elsewhere)
    for topic in ("flagged-events", "risk-alerts"):
        for value in (b'{"a":' * 11_000 + b"1" + b"}" * 11_000, b"[" * 60_000, b"\xff"):
            producer.produce(stream.topic(topic), value, b"k", partition=0)
    assert producer.flush(30) == 0
    with stream.worker() as worker:
        worker.wait_drained(4)
    sources = {
        key.decode(): json.loads(value)["source"]
        for key, values in stream.verdicts().items()
        for value in values
        if key != b"k"
    }
    for user, topic in forged.items():
        assert (sources[user]["topic"], sources[user]["partition"]) == (
            stream.topic(topic),
            place(user.encode()),
        )
        assert sources[user]["offset"] < 10
    assert (sources["misplaced"]["topic"], sources["misplaced"]["partition"]) == (
        stream.topic("raw-events"),
        elsewhere,
    )
    (failed,) = stream.read(stream.topic("failed-events"))
    shown = json.loads(failed.value or b"")
    assert (shown["reason"], shown["source"]["partition"]) == ("too_large", 0)
    assert (shown["payload_bytes"], shown["payload_sha256"]) == (len(HUGE), hashlib.sha256(HUGE).hexdigest())
