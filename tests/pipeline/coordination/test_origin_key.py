"""The key of an application: made once, the same for all its workers, whatever else stands on its topic."""

import asyncio

from aiokafka import AIOKafkaProducer

from pipeline.coordination.origin_key import KEY_BYTES, shared_key
from pipeline.kafka.topics import ensure_topics, origin_key
from pipeline.settings.schema import load_settings


async def test_workers_that_start_together_have_one_key(apache_kafka, topic_prefix, tmp_path):
    settings = load_settings(
        environ={
            "OTT_BOOTSTRAP_SERVERS": apache_kafka,
            "OTT_TOPIC_PREFIX": topic_prefix,
            "OTT_APP_ID": f"{topic_prefix}app",
            "OTT_PARTITIONS": "1",
        },
        cwd=tmp_path,
    )
    topic = origin_key(settings.app_id)
    await ensure_topics(settings, also=[topic])
    async with AIOKafkaProducer(bootstrap_servers=apache_kafka) as producer:
        await producer.send_and_wait(topic.name, b"no key of ours")
        keys = await asyncio.gather(*(shared_key(settings, topic.name) for _ in range(3)))
        await producer.send_and_wait(topic.name, bytes(KEY_BYTES))
    assert len(set(keys)) == 1
    assert len(keys[0]) == KEY_BYTES
    assert await shared_key(settings, topic.name) == keys[0]
