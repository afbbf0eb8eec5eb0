"""The thread that fetches: Faust's, with positions and fetches of this package.

All of aiokafka's consumer runs in this thread and its own event loop. Each public method is called from the main event
loop and hands the work over with `call_thread`.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import aiokafka
from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.delivery.clients import BROKER_WAIT_SECONDS, patiently, stop_consumer
from pipeline.delivery.flow.batches import Chunk
from pipeline.delivery.runtime import Unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FETCH_WAIT_MS: Final = 250
_METADATA_SECONDS: Final = 5.0

Chunks = dict[TP, Chunk]


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Implements `GroupMember`, and fetches for `DeliveryConsumer`.

    Args:
        consumer: Faust's consumer in the main thread.
        client_options: bootstrap servers and security, as aiokafka names them.
    """

    mundane_level = "debug"

    def __init__(self, consumer: driver.Consumer, client_options: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._client_options = client_options
        # Both are used in the thread only: the next offset of each partition, and the epoch of its placement.
        self._next: dict[TP, int] = {}
        self._epochs: dict[TP, int] = {}

    # -- starting and stopping

    async def on_start(self) -> None:
        """Connect, and wait for the brokers if they do not answer yet."""
        self._consumer = self._create_consumer(loop=self.thread_loop)
        self.time_started = time.monotonic()
        await patiently(self._consumer.start, BROKER_WAIT_SECONDS)

    async def on_thread_stop(self) -> None:
        """As Faust's, but within seconds: the main thread waits for this one without a limit."""
        consumer, self._consumer = self._consumer, None
        await super().on_thread_stop()
        if consumer is not None:
            await stop_consumer(consumer)

    async def stop(self) -> None:
        """As Faust's, but it may be called twice: a crash ends the thread before the consumer is stopped."""
        try:
            await super().stop()
        except RuntimeError:
            if not self.thread_loop.is_closed():
                raise

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            **self._client_options,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            # If our offset was deleted, report it; never reset silently.
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
        )

    # -- positions and fetches

    async def hold(self, tps: Iterable[TP]) -> None:
        """Fetch nothing from these partitions until they are placed.

        They get a position at once, which is never read from. For a partition without one, aiokafka asks for the
        group's offset, and the answer may arrive as an error after the partition was placed or assigned anew.
        """
        await self.call_thread(self._hold, as_aiokafka(tps))

    async def _hold(self, tps: list[TopicPartition]) -> None:
        consumer = self._ensure_consumer()
        for tp in tps:
            if tp in consumer.assignment():
                consumer.seek(tp, 0)
                consumer.pause(tp)

    async def place(self, positions: Mapping[TP, int], epoch: int) -> None:
        """Continue reading at these offsets; chunks of earlier epochs are void.

        Raises:
            IllegalStateError: one of the partitions is no longer assigned.
        """
        await self.call_thread(self._place, dict(positions), epoch)

    async def _place(self, positions: dict[TP, int], epoch: int) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in positions.items():
            consumer.seek(TopicPartition(*tp), offset)
            consumer.resume(TopicPartition(*tp))
            self._next[tp] = offset
            self._epochs[tp] = epoch

    async def fetch(self, tps: Iterable[TP], timeout: float) -> Chunks:
        """The next records of these partitions, as soon as one of them has any; nothing after `timeout` seconds."""
        chunks: Chunks = await self.call_thread(self._fetch, as_aiokafka(tps), timeout)
        return chunks

    async def _fetch(self, tps: list[TopicPartition], timeout: float) -> Chunks:
        if not self.consumer.flow_active:
            return {}
        consumer = self._ensure_consumer()
        fetched = await consumer.getmany(*tps, timeout_ms=int(timeout * 1000))
        chunks: Chunks = {}
        for aiokafka_tp, records in fetched.items():
            tp = TP(*aiokafka_tp)
            start = self._next.get(tp)
            try:
                end = await consumer.position(aiokafka_tp)
            except IllegalStateError:
                continue  # the partition was taken away meanwhile
            if start is not None and records:
                self._next[tp] = end
                chunks[tp] = Chunk(self._epochs[tp], start, end, records)
        return chunks

    # -- as in `GroupMember`

    async def first_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The oldest existing offset per partition."""
        found = await self.call_thread(self._ensure_consumer().beginning_offsets, as_aiokafka(tps))
        return {TP(*tp): offset for tp, offset in found.items()}

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """The group's committed offsets; None where it has committed none."""
        consumer = self._ensure_consumer()
        return {tp: await self.call_thread(consumer.committed, TopicPartition(*tp)) for tp in tps}

    async def unread(self, tps: Iterable[TP]) -> dict[TP, Unread]:
        """How much is left of each assigned partition, as of the last fetch."""
        found: dict[TP, Unread] = await self.call_thread(self._unread, as_aiokafka(tps))
        return found

    async def _unread(self, tps: list[TopicPartition]) -> dict[TP, Unread]:
        consumer = self._ensure_consumer()
        found = {}
        for tp in tps:
            if tp not in consumer.assignment():
                continue
            end = consumer.highwater(tp)
            handed_out = self._next.get(TP(*tp))
            if end is not None and handed_out is not None:
                stable = consumer.last_stable_offset(tp)
                # A broker without a last stable offset answers with None or -1.
                readable = end if stable is None or stable < 0 else min(stable, end)
                position = await consumer.position(tp)
                withheld = max(0, end - max(readable, position))
                found[TP(*tp)] = Unread(handed_out, position, max(0, end - position), withheld)
        return found

    async def ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The offset after the last record of each partition; never less than what was fetched."""
        wanted = as_aiokafka(tps)
        consumer = self._ensure_consumer()
        # The embedded broker answers too low where a batch has several records, and every broker's answer stops at
        # the first open transaction. The end of the log that came with the last fetch has neither problem.
        listed = await self.call_thread(consumer.end_offsets, wanted)
        fetched = await self.call_thread(self._unread, wanted)
        ends = {TP(*tp): offset for tp, offset in listed.items()}
        for tp, unread in fetched.items():
            ends[tp] = max(ends.get(tp, 0), unread.handed_out + unread.behind)
        return ends

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit offsets of assigned partitions to the group, outside of a transaction.

        Raises:
            KafkaError: this worker is no longer a member of the group, or the brokers refuse.
        """
        wanted = {TopicPartition(*tp): offset for tp, offset in offsets.items()}
        await self.call_thread(self._commit_offsets, wanted)

    async def _commit_offsets(self, offsets: dict[TopicPartition, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        offsets = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        if offsets:
            await consumer.commit(offsets)

    async def rejoin(self) -> None:
        """Ask for a new assignment, as if the group had changed.

        The group's leader assigns partitions by its own copy of the topics' metadata, which may be five minutes old.
        So update the metadata first.
        """
        await self.call_thread(self._rejoin)

    async def _rejoin(self) -> None:
        consumer = self._ensure_consumer()
        with suppress(TimeoutError):
            await asyncio.wait_for(consumer._client.force_metadata_update(), _METADATA_SECONDS)  # noqa: SLF001 - as below
        coordinator = consumer._coordinator  # noqa: SLF001 - aiokafka has no public way
        if coordinator is not None:
            coordinator.request_rejoin()

    async def stay(self) -> None:
        """Remain a member of the group although nothing is fetched for a long time."""
        await self.call_thread(self._stay)

    async def _stay(self) -> None:
        with self._ensure_consumer()._subscription.fetch_context():  # noqa: SLF001 - aiokafka has no public way
            pass


def as_aiokafka(tps: Iterable[TP]) -> list[TopicPartition]:
    """Aiokafka's own tuples."""
    return [TopicPartition(*tp) for tp in tps]
