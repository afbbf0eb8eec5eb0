"""Following a topic from outside any consumer group: what `ott tail` and the demo watch."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

import pipeline.delivery.plugin.fetched  # noqa: F401 - what cannot be read must not end whoever follows
from pipeline.errors import MissingError
from pipeline.kafka.brokers import broker_trouble, connected_admin, say_on_stderr

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from aiokafka.structs import ConsumerRecord

    from pipeline.settings.schema import Settings

_REQUEST_TIMEOUT_MS = 15_000
_FETCH_WAIT_MS = 250


class Follower:
    """A consumer of whole topics; see `follow`."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer) -> None:
        self._settings = settings
        self._consumer = consumer

    async def next_records(self, timeout_ms: int = 500) -> list[ConsumerRecord[bytes, bytes]]:
        """What arrived, at most `timeout_ms` milliseconds from now, oldest first; perhaps nothing.

        Raises:
            MissingError: the broker refuses.
        """
        try:
            batches = await self._consumer.getmany(timeout_ms=timeout_ms)
        except KafkaError as error:
            raise broker_trouble(self._settings, error) from error
        records = [record for batch in batches.values() for record in batch]
        return sorted(records, key=lambda record: record.timestamp)


@asynccontextmanager
async def follow(
    settings: Settings,
    topics: Sequence[str],
    *,
    from_beginning: bool,
    timeout_s: float = 30.0,
    say: Callable[[str], None] = say_on_stderr,
) -> AsyncIterator[Follower]:
    """Follows all partitions of the topics, committed records only.

    Args:
        settings: where the brokers are.
        topics: full names.
        from_beginning: start with the oldest record kept instead of the next one to come.
        timeout_s: how long to wait for a broker.
        say: told when a wait begins.

    Raises:
        MissingError: no broker answers, or a topic is not there.
    """
    async with connected_admin(settings, timeout_s, say) as admin:
        found = {entry["topic"]: entry["partitions"] for entry in await admin.describe_topics()}
    for topic in topics:
        if not found.get(topic):
            raise MissingError(
                f"there is no topic {topic} at {settings.bootstrap_servers}; "
                "create ours with: ott topics create"
            )
    consumer = AIOKafkaConsumer(
        **settings.kafka_client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest" if from_beginning else "latest",
        isolation_level="read_committed",
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        fetch_max_wait_ms=_FETCH_WAIT_MS,
    )
    try:
        await consumer.start()
        partitions = [TopicPartition(topic, entry["partition"]) for topic in topics for entry in found[topic]]
        consumer.assign(partitions)
        if from_beginning:
            await consumer.seek_to_beginning(*partitions)
        else:
            await consumer.seek_to_end(*partitions)
        yield Follower(settings, consumer)
    except KafkaError as error:
        raise broker_trouble(settings, error) from error
    finally:
        await consumer.stop()
