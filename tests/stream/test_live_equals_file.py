"""What the worker publishes is what `ott judge` says of the same records, byte for byte."""

import asyncio
from pathlib import Path

import pytest

from pipeline.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream


@pytest.mark.essential
def test_100_000_events_with_broken_late_and_repeated_ones(
    any_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    stream = Stream(any_broker, topic_prefix, tmp_path)
    given = generated(100_000, seed=11)
    asyncio.run(ensure_topics(stream.settings))
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
    stream.check(expected)
