"""The origin key: with it workers prove to each other where a forwarded record was first written.

A worker may run without any secret in its settings, so the first worker makes the key and writes it to a topic of the
application. The first key on the topic counts for all workers. The rights to that topic protect it: nobody but the
application may read or write it (SECURITY.md).
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.errors import MissingError
from pipeline.kafka.brokers import broker_trouble
from pipeline.kafka.follower import Follower, TopicMissingError

if TYPE_CHECKING:
    from pipeline.settings.schema import Settings

KEY_BYTES: Final = 32
_LIMIT_S: Final = 30.0


async def shared_key(settings: Settings, topic: str) -> bytes:
    """The origin key of the application. The first worker makes it. `ask_cluster` calls this at each start.

    Args:
        settings: where the brokers are.
        topic: full name of the topic of the key; it exists.

    Raises:
        MissingError: the topic cannot be read or written.
    """
    try:
        async with asyncio.timeout(_LIMIT_S):
            key = await _first(settings, topic)
            if key is None:
                await _write(settings, topic, secrets.token_bytes(KEY_BYTES))
                # Another worker may have written a key before this one.
                key = await _first(settings, topic)
    except (KafkaError, TimeoutError, OSError) as error:
        raise broker_trouble(settings, error) from error
    if key is None:
        raise MissingError(
            f"topic {topic} at {settings.bootstrap_servers} does not show the key that was written to it; this "
            "application needs the rights to read and write it"
        )
    return key


async def known_key(settings: Settings, topic: str) -> bytes | None:
    """The origin key of the application; None where no worker has made one. Nothing is written.

    Raises:
        KafkaError: the topic cannot be read.
    """
    try:
        return await _first(settings, topic)
    except TopicMissingError:
        return None


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
