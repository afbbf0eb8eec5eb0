"""Reading changelogs in bulk, with a consumer outside of any group.

It reads committed records only. A partition is complete when the *position* has reached the end, because the markers
that end a transaction have offsets but never arrive as records.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from pipeline.delivery.clients import stop_consumer
from pipeline.delivery.errors import StoreError, may_pass
from pipeline.delivery.flow.fetched import UnreadableBatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from aiokafka import ConsumerRecord
    from faust.types import TP

    from pipeline.delivery.state.store import PartitionStore

_FETCH_BYTES = 4 << 20
_FETCH_WAIT_MS = 100
_CHUNK = 4_000
_RETRY_SECONDS = 0.5
_BEYOND_SECONDS = 5.0


class StoreTarget:
    """Takes the records of one changelog partition into a local store.

    Args:
        tp: the changelog partition.
        store: of the table's partition.
    """

    def __init__(self, tp: TP, store: PartitionStore) -> None:
        self.tp = tp
        self._store = store

    def reached(self) -> int | None:
        """The offset of the last record that the store has; None to begin with the first one."""
        return self._store.changelog_offset()

    def start_over(self) -> None:
        """Drop everything: the changelog is read from its beginning."""
        if not self._store.is_empty():
            self._store.clear()

    def apply(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Take the next records.

        Raises:
            StoreError: some of them cannot be read.
        """
        for record in records:
            if isinstance(record, UnreadableBatch):
                raise StoreError(
                    f"the changelog cannot be read, so the state would be wrong: {record}; restore the topic from a "
                    "good replica, or delete it and replay the source topics"
                )
        # Every changelog record has a key.
        self._store.write([(record.key or b"", record.value) for record in records], records[-1].offset)

    def complete(self, position: int) -> None:
        """Note that everything before this offset has been read."""
        self._store.write((), position - 1)


class ChangelogReader:
    """Reads changelog partitions into their targets; an async context manager.

    Args:
        options: bootstrap servers and security, as aiokafka names them.
        targets: one for each partition.
        request_timeout: seconds.
    """

    def __init__(
        self, options: Mapping[str, Any], targets: Sequence[StoreTarget], request_timeout: float
    ) -> None:
        self._targets = {TopicPartition(*target.tp): target for target in targets}
        self._request_timeout = request_timeout
        self._ends: dict[TopicPartition, int] = {}
        self._beyond: dict[TopicPartition, float] = {}
        self._consumer = AIOKafkaConsumer(
            **options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            request_timeout_ms=int(request_timeout * 1000),
            max_poll_records=_CHUNK,
        )
        self.records = 0

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await stop_consumer(self._consumer)

    async def begin(self) -> None:
        """Ask where each partition begins and ends, and start behind the last record that its target has.

        Raises:
            KafkaError: the brokers do not answer.
        """
        tps = list(self._targets)
        self._consumer.assign(tps)
        first = await self._retried(self._consumer.beginning_offsets, tps)
        self._ends = await self._retried(self._consumer.end_offsets, tps)
        for tp, target in self._targets.items():
            reached = target.reached()
            start = first[tp]
            if reached is None or reached + 1 < start:
                # The missing records may have been compacted away, deletions included.
                target.start_over()
            else:
                start = reached + 1
            self._consumer.seek(tp, start)

    async def _retried(self, ask: Any, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        deadline = time.monotonic() + self._request_timeout
        while True:
            try:
                return dict(await ask(tps))
            except KafkaError as error:
                if not may_pass(error) or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def read(self, timeout: float) -> int:
        """Read once, wait up to `timeout` seconds for records, and return their number.

        Raises:
            StoreError: a store is ahead of its changelog.
        """
        try:
            fetched = await self._consumer.getmany(timeout_ms=int(timeout * 1000))
        except OffsetOutOfRangeError as error:
            await self._out_of_range(error)
            return 0
        except KafkaError as error:
            if not may_pass(error):
                raise
            await asyncio.sleep(_RETRY_SECONDS)
            return 0
        count = 0
        for tp, records in fetched.items():
            if records:
                self._targets[tp].apply(records)
                count += len(records)
                await asyncio.sleep(0)
        self.records += count
        return count

    async def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        positions: Mapping[TopicPartition, int] = error.args[0]
        first = await self._retried(self._consumer.beginning_offsets, list(positions))
        for tp, position in positions.items():
            if position >= first[tp]:
                raise self._ahead(tp, position) from error
            # The records were deleted while they were being read.
            self._targets[tp].start_over()
            self._consumer.seek(tp, first[tp])

    async def remaining(self) -> dict[TopicPartition, int]:
        """Upper bound of the records still to be read, per partition that is not complete.

        Raises:
            StoreError: a store is ahead of its changelog.
        """
        left = {}
        for tp in self._targets:
            position = await self._consumer.position(tp)
            end = self._end(tp)
            if end is None:
                left[tp] = max(1, self._ends[tp] - position)
            elif position > end:
                left[tp] = 1
                await self._look_again(tp, position)
            else:
                self._beyond.pop(tp, None)
                if position < end:
                    left[tp] = end - position
        return left

    async def _look_again(self, tp: TopicPartition, position: int) -> None:
        """Fail if a position stays beyond the end. A new leader may know less of the log for some seconds."""
        now = time.monotonic()
        if now - self._beyond.setdefault(tp, now) > _BEYOND_SECONDS:
            raise self._ahead(tp, position)
        self._ends.update(await self._retried(self._consumer.end_offsets, [tp]))

    def _end(self, tp: TopicPartition) -> int | None:
        """The offset after the last committed record; None before the first fetch.

        Neither a list of offsets nor a fetch is ever too high, but each may be too low: the embedded broker's list, or
        a new leader's fetch. So take the larger one.
        """
        stable = self._consumer.last_stable_offset(tp)
        if stable is None or stable < 0:
            stable = self._consumer.highwater(tp)
        return None if stable is None else max(stable, self._ends[tp])

    def _ahead(self, tp: TopicPartition, position: int) -> StoreError:
        return StoreError(
            f"the local state of {tp.topic}/{tp.partition} has read up to offset {position}, and the changelog ends "
            "before that: the topic was deleted or lost its end, or the state is another cluster's; move the state "
            "directory away to begin with what the changelog has"
        )

    async def finish(self) -> None:
        """Note in each target that it is complete."""
        for tp, target in self._targets.items():
            target.complete(await self._consumer.position(tp))
