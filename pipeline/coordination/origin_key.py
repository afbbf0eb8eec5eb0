"""The key with which the workers of an application prove to each other where forwarded records were first written.

No setting is needed for it, as a worker may run without any secret: the first worker makes the key, and writes it to
a topic of the application. The first key on the topic is everybody's. It is worth what the rights to the topic are:
nobody but the application may read or write it (SECURITY.md).
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.errors import MissingError
from pipeline.kafka.brokers import broker_trouble

if TYPE_CHECKING:
    from pipeline.settings.schema import Settings

KEY_BYTES: Final = 32
_LIMIT_S: Final = 30.0
_POLL_MS: Final = 250


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
    """The first value that has a key's length."""
    tp = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(
        **settings.kafka_client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=_POLL_MS,
    ) as consumer:
        consumer.assign([tp])
        consumer.seek(tp, 0)
        end: int | None = None
        # The answer to a fetch tells the end, also of an empty topic. To ask for it fails on a topic that is new.
        while end is None or await consumer.position(tp) < end:
            for record in (await consumer.getmany(timeout_ms=_POLL_MS)).get(tp, ()):
                if record.value is not None and len(record.value) == KEY_BYTES:
                    return bytes(record.value)
            end = consumer.highwater(tp)
    return None


async def _write(settings: Settings, topic: str, key: bytes) -> None:
    async with AIOKafkaProducer(**settings.kafka_client_options(), acks="all") as producer:
        await producer.send_and_wait(topic, key, partition=0)
