"""What the worker publishes is what `ott judge` says of the same records, byte for byte."""

import asyncio
from pathlib import Path

import pytest

from pipeline.kafka.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream


@pytest.mark.essential
def test_on_the_embedded_broker(embedded_broker: str, topic_prefix: str, tmp_path: Path) -> None:
    judge_alike(Stream(embedded_broker, topic_prefix, tmp_path), 15_000)


@pytest.mark.slow
def test_on_apache_kafka(apache_kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    judge_alike(Stream(apache_kafka, topic_prefix, tmp_path), 100_000)


def judge_alike(stream: Stream, events: int) -> None:
    """Generated events, with broken, late and repeated ones; scored by an anomaly model."""
    given = generated(events, seed=11)
    asyncio.run(ensure_topics(stream.settings))
    stream.score()
    stream.write("raw-events", given.events)
    with stream.worker() as worker:
        accounts = worker.wait_drained(len(given.events))
    expected = stream.expected()
    assert accounts["failed"]
    assert accounts["duplicate"]
    assert accounts["late"]
    assert accounts["judged"] + accounts["duplicate"] + accounts["failed"] == accounts["read"]
    for name in ("read", "judged", "duplicate", "failed", "flagged"):
        assert accounts[name] == getattr(expected.accounts, name), name
    assert expected.subjects
    anomalies = sum(
        b"anomaly.isolation_forest" in value for found in expected.verdicts.values() for value in found
    )
    assert anomalies > 100
    stream.check(expected)
