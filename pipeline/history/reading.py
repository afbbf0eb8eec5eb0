"""Reading a part of a partition, from one offset up to another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aiokafka.structs import TopicPartition

from pipeline.errors import MissingError
from pipeline.kafka.follower import Follower, from_positions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from pipeline.kafka.follower import Record
    from pipeline.settings.schema import Settings

_PATIENCE_S: Final = 60.0


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
