"""Reading parts of topics: which offsets there are, and the records from one offset up to another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from pipeline.errors import MissingError
from pipeline.kafka.brokers import broker_trouble, wait_for_broker
from pipeline.kafka.follower import Follower, TopicMissingError, from_positions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer

    from pipeline.kafka.follower import Record
    from pipeline.settings.schema import Settings

_PATIENCE_S: Final = 60.0
OLDEST: Final = 0
"""A time before all records, in milliseconds since 1970."""


class Bounds(NamedTuple):
    """Offsets of the partitions of a topic, by number: of the oldest record kept, of some times, and the end."""

    oldest: dict[int, int]
    end: dict[int, int]
    at: dict[int, dict[int, int]]


async def bounds(settings: Settings, topic: str, times: Sequence[int]) -> Bounds:
    """The offsets of a topic (full name), and those of the first records that are not older than some times.

    Raises:
        TopicMissingError: there is no such topic.
        KafkaError: the brokers cannot be reached, or refuse.
    """
    found: list[Bounds] = []

    async def ask(
        consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(list(partitions))
        oldest: Mapping[TopicPartition, int] = await consumer.beginning_offsets(list(partitions))
        at: dict[int, dict[int, int]] = {}
        for asked in times:
            if asked == OLDEST:
                at[asked] = _by_number(oldest)
                continue
            first = await consumer.offsets_for_times(dict.fromkeys(partitions, asked))
            at[asked] = {
                tp.partition: ends[tp] if place is None else place.offset for tp, place in first.items()
            }
        found.append(Bounds(_by_number(oldest), _by_number(ends), at))
        return ends

    async with Follower(settings.kafka_client_options(), [topic], ask) as follower:
        await follower.connect()
    return found[0]


def _by_number(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {tp.partition: offset for tp, offset in offsets.items()}


async def read_range(
    settings: Settings, topic: str, partition: int, start: int, end: int
) -> AsyncGenerator[list[Record], None]:
    """The committed records of a partition with offsets from `start` up to, not including, `end`, in fetched batches.

    A batch that cannot be read is an `UnreadableBatch` among them. Records behind an open transaction do not count.

    Raises:
        KafkaError: the brokers refuse.
        MissingError: no broker answers for a minute.
    """
    if start >= end:
        return
    tp = TopicPartition(topic, partition)
    positions = from_positions({(topic, partition): start})
    async with Follower(
        settings.kafka_client_options(), [topic], positions, partitions={partition}, unreadable=True
    ) as follower:
        position, progress_at = -1, time.monotonic()
        while follower.positions.get(tp, start) < end and not follower.at_end:
            batches = await follower.poll()
            if follower.positions[tp] > position:
                position, progress_at = follower.positions[tp], time.monotonic()
            elif time.monotonic() - progress_at > _PATIENCE_S:
                raise MissingError(
                    f"{topic}/{partition} at {settings.bootstrap_servers} gives nothing from offset {position} on for "
                    f"{_PATIENCE_S:g} s; check the brokers and start again"
                )
            for batch in batches.values():
                wanted = [record for record in batch if record.offset < end]
                if wanted:
                    yield wanted


class Ahead:
    """The records of `read_range`, taken in pieces of any size."""

    def __init__(self, batches: AsyncIterator[list[Record]]) -> None:
        self._batches = batches
        self._waiting: list[Record] = []

    async def peek(self) -> Record | None:
        """The next record, which stays; None at the end."""
        if not self._waiting:
            self._waiting = await anext(self._batches, [])
        return self._waiting[0] if self._waiting else None

    async def up_to(self, offset: int) -> list[Record]:
        """The next records up to and including an offset."""
        taken: list[Record] = []
        while (first := await self.peek()) is not None and first.offset <= offset:
            count = next(
                (number for number, record in enumerate(self._waiting) if record.offset > offset),
                len(self._waiting),
            )
            taken += self._waiting[:count]
            self._waiting = self._waiting[count:]
        return taken


async def records_of(settings: Settings, topic: str) -> AsyncGenerator[Record, None]:
    """The records of a topic (full name), up to its end as it is now, each partition in its order.

    Raises:
        MissingError: no broker answers, or there is no such topic.
    """
    await wait_for_broker(settings)
    try:
        found = await bounds(settings, topic, [])
        for number, end in sorted(found.end.items()):
            async for batch in read_range(settings, topic, number, found.oldest[number], end):
                for record in batch:
                    yield record
    except TopicMissingError as error:
        raise MissingError(
            f"{error.args[0]} at {settings.bootstrap_servers}; ott topics check shows what is there"
        ) from error
    except KafkaError as error:
        raise broker_trouble(settings, error) from error
