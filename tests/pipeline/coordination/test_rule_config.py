"""Whatever operators publish on `rule-config` reaches a worker, and nothing is judged before it is known."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.coordination.pauses import PAUSE_KEY, Pause, Pauses
from pipeline.coordination.revocations import NEVER, revocation_key
from pipeline.coordination.rule_config import KEY, RuleConfig
from pipeline.delivery.flow.gate import Gate
from pipeline.evaluation.rule_book import RuleBook
from pipeline.kafka.topics import RULE_CONFIG, ensure_topics
from pipeline.rules.ruleset import built_in
from pipeline.settings.schema import load_settings

LIMIT_S = 20.0
PAUSED_BY_ANNA = json.dumps(
    {"schema": "process-pause/1", "by": "anna", "at": "2026-03-01T12:00:00.000Z"}
).encode()


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


async def publish(settings, *records):
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        for key, value in records:
            await producer.send_and_wait(settings.topic(RULE_CONFIG.name), value, key=key)


@asynccontextmanager
async def running(settings):
    pauses = Pauses(Gate(), ["raw-events"], ["raw-events"])
    config = RuleConfig(RuleBook(built_in()), pauses, settings)
    await config.start()
    try:
        yield config
    finally:
        await config.stop()


async def test_what_was_published_before_the_start_is_known_before_anything_is_judged(settings):
    await publish(
        settings,
        (revocation_key("anna"), b""),
        (PAUSE_KEY, PAUSED_BY_ANNA),
        (KEY, b"no rule set"),
        (b"a key of somebody else", b"\xff"),
    )
    async with running(settings) as config:
        assert not config.revocations.complete
        async with asyncio.timeout(LIMIT_S):
            await config.read_once()
        assert config.pauses.current == Pause(by="anna", at="2026-03-01T12:00:00.000Z")
        assert config.revocations.complete
        assert config.revocations.newest("anna") != NEVER
        assert config.revocations.newest("ben") == NEVER
        assert "rule-config" in config._book.refused.reason


async def test_a_pause_that_was_ended_is_none(settings, caplog):
    await publish(settings, (PAUSE_KEY, PAUSED_BY_ANNA), (PAUSE_KEY, None))
    async with running(settings) as config:
        async with asyncio.timeout(LIMIT_S):
            await config.read_once()
        assert config.pauses.current is None
    assert "paused" not in caplog.text


async def test_a_worker_that_has_caught_up_knows_everything_that_was_published_before_it_was_asked(settings):
    async with running(settings) as config:
        for pause in (PAUSED_BY_ANNA, None, PAUSED_BY_ANNA):
            await publish(settings, (PAUSE_KEY, pause))
            assert await config.catch_up(LIMIT_S)
            assert (config.pauses.current is None) == (pause is None)
            # A value that cannot be read changes nothing.
            await publish(settings, (PAUSE_KEY, b"{"))
            assert await config.catch_up(LIMIT_S)
            assert (config.pauses.current is None) == (pause is None)


async def test_it_has_not_caught_up_while_no_broker_answers(tmp_path):
    pauses = Pauses(Gate(), [], [])
    settings = load_settings(environ={"OTT_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, cwd=tmp_path)
    config = RuleConfig(RuleBook(built_in()), pauses, settings)
    await config.start()
    try:
        assert not await config.catch_up(0.5)
        assert not config.revocations.complete
    finally:
        await config.stop()
