"""The index follows the topic on a broker: all of it, or the newest part; over restarts of itself."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.kafka.topics import FLAGGED_EVENTS, ensure_topics
from pipeline.settings.schema import load_settings
from pipeline.verdict_index.index import IndexUnavailableError, VerdictIndex
from pipeline.verdict_index.pages import Filters
from tests.pipeline.verdict_index.verdicts import verdict

DAY_MS = 86_400_000
PARTITIONS = 3


@pytest.fixture
def settings(embedded_broker, topic_prefix, tmp_path):
    environ = {
        "OTT_BOOTSTRAP_SERVERS": embedded_broker,
        "OTT_TOPIC_PREFIX": topic_prefix,
        "OTT_PARTITIONS": str(PARTITIONS),
    }
    return load_settings(environ=environ, cwd=tmp_path)


async def publish(settings, numbers, timestamp_ms=None):
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        for number in numbers:
            value = json.dumps(verdict(number, f"u{number % 10}")).encode()
            await producer.send(
                settings.topic(FLAGGED_EVENTS.name),
                value,
                partition=number % PARTITIONS,
                timestamp_ms=timestamp_ms,
            )
        await producer.flush()


@asynccontextmanager
async def running(settings, directory, limit=10_000):
    index = VerdictIndex(directory, settings.model_copy(update={"indexed_verdicts": limit}))
    await index.start()
    try:
        yield index
    finally:
        await index.stop()


async def until(index, holds):
    deadline = time.monotonic() + 30
    while True:
        try:
            found = {
                json.loads(item.value)["event_id"]
                for item in (await index.page(Filters(), None, 1_000)).verdicts
            }
            if holds(found):
                return found
        except IndexUnavailableError:
            found = None
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)


def ids(numbers):
    return {f"e{number}" for number in numbers}


async def test_it_holds_what_is_published_also_after_a_restart(settings, tmp_path):
    await ensure_topics(settings)
    await publish(settings, range(100))
    async with running(settings, tmp_path) as index:
        await until(index, lambda found: found == ids(range(100)))
        await publish(settings, range(100, 130))
        await until(index, lambda found: found == ids(range(130)))
    await publish(settings, range(120, 150))
    async with running(settings, tmp_path) as index:
        await until(index, lambda found: found == ids(range(150)))
        span = index.span()
        assert (span.verdicts, span.behind) == (150, 0)
        assert sum(tally.verdicts for tally in await index.tallies()) == 150


async def test_two_workers_answer_alike(settings, tmp_path):
    await ensure_topics(settings)
    await publish(settings, range(60))
    async with running(settings, tmp_path / "a") as one, running(settings, tmp_path / "b") as other:
        await until(one, lambda found: found == ids(range(60)))
        await until(other, lambda found: found == ids(range(60)))
        assert await one.page(Filters(), None, 20) == await other.page(Filters(), None, 20)


async def test_far_behind_it_goes_on_with_the_newest(settings, tmp_path):
    await ensure_topics(settings)
    await publish(settings, range(3_000))
    async with running(settings, tmp_path, limit=300) as index:
        found = await until(index, lambda found: ids(range(2_990, 3_000)) <= found)
        assert len(found) <= 315
        assert found <= ids(range(2_000, 3_000))
        await publish(settings, range(3_000, 3_050))
        await until(index, lambda found: ids(range(3_000, 3_050)) <= found)


async def test_what_the_topic_would_have_deleted_is_not_kept(settings, tmp_path):
    await ensure_topics(settings)
    await publish(settings, range(9), timestamp_ms=int(time.time() * 1000) - 31 * DAY_MS)
    await publish(settings, range(9, 18))
    async with running(settings, tmp_path) as index:
        await until(index, lambda found: ids(range(9, 18)) <= found)
    async with running(settings, tmp_path) as index:
        await until(index, lambda found: found == ids(range(9, 18)))


async def test_a_directory_that_cannot_be_used_is_told_and_stops_nothing(settings, tmp_path):
    await ensure_topics(settings)
    (tmp_path / "file").write_text("no directory")
    async with running(settings, tmp_path / "file") as index:
        await asyncio.sleep(0.5)
        with pytest.raises(IndexUnavailableError, match="cannot be asked now"):
            await index.page(Filters(), None, 1)
        assert not index.should_stop
