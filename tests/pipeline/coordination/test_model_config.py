"""Whatever operators publish on `model-config` reaches a worker, in the order in which it was written."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.coordination.model_config import ModelConfig, log_refused_model
from pipeline.evaluation.model_book import IN_FORCE_KEY, NONE, ModelBook, ModelInForce
from pipeline.kafka.topics import MODEL_CONFIG, ensure_topics
from pipeline.settings.schema import load_settings
from tests.pipeline.evaluation.models import model_file, published

LIMIT_S = 20.0


@pytest.fixture
async def settings(any_broker, topic_prefix, tmp_path):
    environ = {
        "OTT_BOOTSTRAP_SERVERS": any_broker,
        "OTT_TOPIC_PREFIX": topic_prefix,
        "OTT_PARTITIONS": "2",
    }
    settings = load_settings(environ=environ, cwd=tmp_path)
    await ensure_topics(settings)
    return settings


async def write(settings, *records, partition=0, first=1_772_366_400_000):
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        for number, (key, value) in enumerate(records):
            # The clocks of producers may differ: times fall while offsets rise.
            time = first - 1_000 * number
            topic = settings.topic(MODEL_CONFIG.name)
            await producer.send_and_wait(topic, value, key, partition, timestamp_ms=time)


@asynccontextmanager
async def running(settings, book):
    config = ModelConfig(book, settings)
    await config.start()
    try:
        yield config
    finally:
        await config.stop()


async def test_what_was_published_before_the_start_is_known_before_anything_is_judged(settings):
    await write(settings, *published("a"), (b"a key of somebody else", b"\xff"))
    book = ModelBook()
    async with running(settings, book) as config, asyncio.timeout(LIMIT_S):
        await config.read_once()
        assert book.newest.version == model_file("a")[0]
        await write(settings, *published("b"))
        assert await config.catch_up(LIMIT_S)
        assert book.newest.version == model_file("b")[0]
        await write(settings, (IN_FORCE_KEY, None))
        assert await config.catch_up(LIMIT_S)
        assert book.newest.version == NONE


async def test_a_timestamp_that_is_no_time_counts_as_none(embedded_broker, topic_prefix, tmp_path):
    # Apache Kafka refuses timestamps that are far ahead.
    environ = {"OTT_BOOTSTRAP_SERVERS": embedded_broker, "OTT_TOPIC_PREFIX": topic_prefix}
    settings = load_settings(environ=environ, cwd=tmp_path)
    await ensure_topics(settings)
    await write(settings, *published("a"), first=2**62)
    book = ModelBook()
    async with running(settings, book) as config, asyncio.timeout(LIMIT_S):
        await config.read_once()
    assert book.newest == ModelInForce(model_file("a")[0], -1, 1)


async def test_only_the_first_partition_counts(settings):
    await write(settings, *published("a"), partition=1)
    book = ModelBook()
    async with running(settings, book) as config, asyncio.timeout(LIMIT_S):
        await config.read_once()
        assert book.newest is None


async def test_a_model_that_another_worker_has_read_already_is_waited_for(settings):
    book = ModelBook()
    async with running(settings, book) as config, asyncio.timeout(LIMIT_S):
        await config.read_once()
        await write(settings, *published("a"))
        in_force = ModelInForce(model_file("a")[0], 1, 1)
        await config.wait_for(in_force)
        assert not book.lacks(in_force)


async def test_a_model_that_is_not_there_is_not_waited_for_for_ever(settings):
    book = ModelBook()
    async with running(settings, book) as config, asyncio.timeout(LIMIT_S):
        await config.wait_for(ModelInForce("0123456789abcdef", 1, 1))
        assert book.newest is None


async def test_a_refused_one_is_in_the_log(settings, caplog):
    (key, data), in_force = published("a")
    await write(settings, (key, data[:-1]), in_force)
    book = ModelBook(log_refused_model)
    async with running(settings, book) as config, asyncio.timeout(LIMIT_S):
        await config.read_once()
    assert "offset 1 of model-config is refused" in caplog.text
    assert "checksum does not fit" in caplog.text
