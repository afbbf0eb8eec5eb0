"""A worker whose clock is a day off says so when it writes what the broker stamps."""

import asyncio
import logging
import time
from types import SimpleNamespace

import pytest

from pipeline.delivery.partitioner import Partitioner
from pipeline.kafka.topics import ensure_topics
from pipeline.web.http import outbox
from tests.stream.harness import Stream

DAY_S = 86_400


@pytest.mark.parametrize("name", ["raw-events", "audit-trail"])
@pytest.mark.parametrize(("off", "words"), [(DAY_S, "ahead of"), (-DAY_S, "behind"), (0, None)])
def test_a_clock_a_day_off_is_named(
    apache_kafka, topic_prefix, tmp_path, monkeypatch, caplog, name, off, words
):
    stream = Stream(apache_kafka, topic_prefix, tmp_path, partitions=1)
    topic = stream.topic(name)

    async def write():
        await ensure_topics(stream.settings)
        box = outbox.Outbox(stream.settings.kafka_client_options(), {topic: Partitioner(1)})
        clock = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() + off)
        monkeypatch.setattr(outbox, "time", clock)
        try:
            await box.write(topic, b"u", b"{}")
        finally:
            await box.close()

    with caplog.at_level(logging.WARNING, logger="pipeline.web.http.outbox"):
        asyncio.run(write())
    found = [record.getMessage() for record in caplog.records if record.name == "pipeline.web.http.outbox"]
    assert len(found) == (0 if words is None else 1)
    assert words is None or words in found[0]
