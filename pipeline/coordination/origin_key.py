"""The key with which the workers of an application prove to each other where forwarded records were first written.

No setting is needed for it, as a worker may run without any secret: the first worker makes the key, and writes it to
a topic of the application. The first key on the topic is everybody's. It is worth what the rights to the topic are:
nobody but the application may read or write it (SECURITY.md).
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.errors import MissingError
from pipeline.kafka.brokers import broker_trouble
from pipeline.kafka.follower import Follower

if TYPE_CHECKING:
    from pipeline.settings.schema import Settings

KEY_BYTES: Final = 32
_LIMIT_S: Final = 30.0


async def shared_key(settings: Settings, topic: str) -> bytes:
    """The key of the application; made, where no worker was there before.

    Args:
        settings: where the brokers are.
        topic: full name of the topic that holds it; it exists.

    Raises:
        MissingError: the topic cannot be read or written.
    """
    try:
        async with asyncio.timeout(_LIMIT_S):
            key = await _first(settings, topic)
            if key is None:
                await _write(settings, topic, secrets.token_bytes(KEY_BYTES))
                # Another worker may have been quicker.
                key = await _first(settings, topic)
    except (KafkaError, TimeoutError, OSError) as error:
        raise broker_trouble(settings, error) from error
    if key is None:
        raise MissingError(
            f"topic {topic} at {settings.bootstrap_servers} does not show the key that was written to it; this "
            "application needs the rights to read and write it"
        )
    return key


async def _first(settings: Settings, topic: str) -> bytes | None:
    """The first value of partition 0 that has the length of a key."""
    async with Follower(settings.kafka_client_options(), [topic]) as follower:
        while not follower.at_end:
            for record in (await follower.poll()).get(TopicPartition(topic, 0), ()):
                if record.value is not None and len(record.value) == KEY_BYTES:
                    return bytes(record.value)
    return None


async def _write(settings: Settings, topic: str, key: bytes) -> None:
    async with AIOKafkaProducer(**settings.kafka_client_options(), acks="all") as producer:
        await producer.send_and_wait(topic, key, partition=0)
