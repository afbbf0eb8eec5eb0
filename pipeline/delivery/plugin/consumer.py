"""The consumer: whole batches for the sources of write-behind tables, stock messages for every other topic.

Faust's own loop makes a message of every record and keeps its books by acknowledgements. For batches the books are
the tables' watermarks: a position is set from them on every assignment, and every chunk of records carries the number
of the positioning (epoch) that it was read after, so that nothing read before a rebalance is ever taken for current.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import aiokafka
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.delivery.clients import stop_consumer
from pipeline.delivery.errors import DeliveryError, may_pass
from pipeline.delivery.flow.alignment import Alignment
from pipeline.delivery.flow.batches import Batch, Chunk
from pipeline.delivery.guarantee import BROKER_WAIT_SECONDS, patiently

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mode import ServiceT

    from pipeline.delivery.app import DeliveryApp

_FETCH_WAIT_MS = 250
_FETCH_SECONDS = 1.0
# While some partitions are busy a fetch for the others must not keep them waiting when they are done.
_FETCH_SECONDS_IF_BUSY = 0.05
# A batch costs about as much as thirty records in it. Where a fetch brings few, the next one waits for more to come:
# measured at 3,000 records/s hundreds of tiny batches a second took most of the time.
_FEW = 200
_GATHERING_SECONDS = 0.05
_METADATA_SECONDS = 5.0
# One batch is processed, the next is ready.
_BATCHES_IN_FLIGHT = 2

Chunks = dict[TP, Chunk]


class Unread(NamedTuple):
    """How much of a partition was handed out, and is left.

    Attributes:
        handed_out: the offset after the last record that was.
        position: where reading goes on; what lies between is no record (ends of transactions).
        behind: how much of the log comes then, up to its end.
        withheld: the part of it that the broker does not give out yet, since a transaction before it is open.
    """

    handed_out: int
    position: int
    behind: int
    withheld: int = 0

    @property
    def readable_until(self) -> int:
        """The offset up to which the broker gives records out."""
        return self.position + self.behind - self.withheld


class DeliveryConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread around aiokafka's consumer, with positions and fetches of our own."""

    app: DeliveryApp
    mundane_level = "debug"

    def __post_init__(self) -> None:
        super().__post_init__()
        # Both belong to the thread: where reading goes on, and since which positioning.
        self._next: dict[TP, int] = {}
        self._epochs: dict[TP, int] = {}

    async def on_start(self) -> None:
        """Connect, as soon as the brokers answer."""
        self._consumer = self._create_consumer(loop=self.thread_loop)
        self.time_started = time.monotonic()
        await patiently(self._consumer.start, BROKER_WAIT_SECONDS)

    async def on_thread_stop(self) -> None:
        """As Faust's, within seconds: the main thread waits for this one without a limit."""
        consumer, self._consumer = self._consumer, None
        await super().on_thread_stop()
        if consumer is not None:
            await stop_consumer(consumer)

    async def stop(self) -> None:
        """As Faust's; repeatable, as a crash ends the thread before the consumer is stopped."""
        try:
            await super().stop()
        except RuntimeError:
            if not self.thread_loop.is_closed():
                raise

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            **self.app.client_options,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            # A position that does not exist any more is a finding, not a reason to begin anew.
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

    async def hold(self, tps: Iterable[TP]) -> None:
        """Fetch nothing from these partitions until they are placed.

        They get a position at once, which nobody reads from: for a partition without one aiokafka asks for the
        group's offset, and the answer may come when the partition is long placed, or assigned anew, as an error.
        """
        await self.call_thread(self._hold, _as_aiokafka(tps))

    async def _hold(self, tps: list[TopicPartition]) -> None:
        consumer = self._ensure_consumer()
        for tp in tps:
            if tp in consumer.assignment():
                consumer.seek(tp, 0)
                consumer.pause(tp)

    async def place(self, positions: Mapping[TP, int], epoch: int) -> None:
        """Read on from these offsets; what was fetched before is void.

        Raises:
            IllegalStateError: one of the partitions is not assigned any more.
        """
        await self.call_thread(self._place, dict(positions), epoch)

    async def _place(self, positions: dict[TP, int], epoch: int) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in positions.items():
            consumer.seek(TopicPartition(*tp), offset)
            consumer.resume(TopicPartition(*tp))
            self._next[tp] = offset
            self._epochs[tp] = epoch

    async def first_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The oldest offset that there is, per partition."""
        found = await self.call_thread(self._ensure_consumer().beginning_offsets, _as_aiokafka(tps))
        return {TP(*tp): offset for tp, offset in found.items()}

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """The group's committed offsets."""
        consumer = self._ensure_consumer()
        return {tp: await self.call_thread(consumer.committed, TopicPartition(*tp)) for tp in tps}

    async def fetch(self, tps: Iterable[TP], timeout: float) -> Chunks:
        """The next records of these partitions, as soon as there are any."""
        chunks: Chunks = await self.call_thread(self._fetch, _as_aiokafka(tps), timeout)
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
                continue  # taken away meanwhile
            if start is not None and records:
                self._next[tp] = end
                chunks[tp] = Chunk(self._epochs[tp], start, end, records)
        return chunks

    async def unread(self, tps: Iterable[TP]) -> dict[TP, Unread]:
        """How much of each partition was handed out, and is left, as of the last fetch."""
        found: dict[TP, Unread] = await self.call_thread(self._unread, _as_aiokafka(tps))
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
                # A broker that keeps no last stable offset answers with none, or with -1.
                readable = end if stable is None or stable < 0 else min(stable, end)
                position = await consumer.position(tp)
                withheld = max(0, end - max(readable, position))
                found[TP(*tp)] = Unread(handed_out, position, max(0, end - position), withheld)
        return found

    async def ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Where the log of each partition ends; never before what was fetched."""
        wanted = _as_aiokafka(tps)
        consumer = self._ensure_consumer()
        # The embedded broker's answer is too low where a batch holds several records, and every broker's stops at the
        # first open transaction. The end that the last fetch brought counts what lies behind it, too.
        told = await self.call_thread(consumer.end_offsets, wanted)
        fetched = await self.call_thread(self._unread, wanted)
        ends = {TP(*tp): offset for tp, offset in told.items()}
        for tp, unread in fetched.items():
            ends[tp] = max(ends.get(tp, 0), unread.handed_out + unread.behind)
        return ends

    async def stay(self) -> None:
        """Tell the group that this worker lives, while it wants no records for a long time."""
        await self.call_thread(self._stay)

    async def _stay(self) -> None:
        with self._ensure_consumer()._subscription.fetch_context():  # noqa: SLF001 - aiokafka has no public way
            pass

    async def rejoin(self) -> None:
        """Ask for a new assignment, as if the group had changed; by what the brokers say of the topics now.

        The group's leader shares out partitions by the metadata that it has, and that may be five minutes old.
        """
        await self.call_thread(self._rejoin)

    async def _rejoin(self) -> None:
        consumer = self._ensure_consumer()
        with suppress(TimeoutError):
            await asyncio.wait_for(consumer._client.force_metadata_update(), _METADATA_SECONDS)  # noqa: SLF001 - as below
        coordinator = consumer._coordinator  # noqa: SLF001 - aiokafka has no public way
        if coordinator is not None:
            coordinator.request_rejoin()

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit offsets to the group.

        Raises:
            KafkaError: the group has another opinion, or the brokers refuse.
        """
        wanted = {TopicPartition(*tp): offset for tp, offset in offsets.items()}
        await self.call_thread(self._commit_offsets, wanted)

    async def _commit_offsets(self, offsets: dict[TopicPartition, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        offsets = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        if offsets:
            await consumer.commit(offsets)


class DeliveryConsumer(driver.Consumer):
    """Faust's consumer; see the module."""

    app: DeliveryApp
    mundane_level = "debug"
    _thread: DeliveryConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._epoch = 0
        self._placed: dict[TP, int] = {}
        self._batches: dict[TP, int] = defaultdict(int)
        self._alignment = Alignment()
        self._room = asyncio.Event()
        # Stock topics: offsets in the order of their delivery, and what a failed commit still owes.
        self._delivered: dict[TP, deque[int]] = defaultdict(deque)
        self._owed: dict[TP, int] = {}

    def _new_consumer_thread(self) -> DeliveryConsumerThread:
        return DeliveryConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> DeliveryConsumerThread:
        """The thread that fetches."""
        return self._thread

    # -- rebalances

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Everything is taken away (eager protocol): commit what is done, then forget it."""
        self.stop_flow()
        self._placed.clear()
        await self.app.tables.recovery.interrupt()
        await self.app.ownership.give_up(commit=True)
        await super().on_partitions_revoked(revoked)
        self._forget()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Recovery is to follow; nothing is read before it is over."""
        self._forget()
        await self._thread.hold(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    def _forget(self) -> None:
        self._placed.clear()
        self._batches.clear()
        self._alignment.forget()
        self._delivered.clear()
        self._owed.clear()
        self._room.set()

    async def place(self, positions: Mapping[TP, int]) -> None:
        """Read on from these offsets.

        Raises:
            IllegalStateError: one of the partitions is not assigned any more.
        """
        self._epoch += 1
        epoch = self._epoch
        for tp in positions:
            self._placed.pop(tp, None)
        await self._thread.place(positions, epoch)
        for tp, offset in positions.items():
            self._placed[tp] = epoch
            self._batches[tp] = 0
            if not self.app.is_batch_topic(tp.topic):
                self._delivered[tp].clear()
                self._acked[tp].clear()
                self._acked_index[tp].clear()
                self._committed_offset[tp] = offset
                self._read_offset[tp] = None
        self._room.set()

    def stop_reading(self, tps: Iterable[TP]) -> None:
        """Read nothing from these partitions until they are placed again."""
        for tp in tps:
            self._placed.pop(tp, None)

    def is_current(self, batch: Batch) -> bool:
        """Whether a batch was read after the last positioning of its partition."""
        return self._placed.get(TP(batch.topic, batch.partition)) == batch.chunk.epoch

    async def perform_seek(self) -> None:
        """Positions are set by the recovery, see `place`."""

    # -- fetching

    def on_buffer_full(self, tp: TP) -> None:
        """Stock flow control un-pauses one partition at a time and can starve some; batches have their own bound."""
        if not self.app.is_batch_topic(tp.topic):
            super().on_buffer_full(tp)

    def _wanted(self) -> tuple[set[TP], bool]:
        """The partitions to fetch from, and whether some are left out because they are busy."""
        wanted: set[TP] = set()
        busy = False
        active = self._get_active_partitions()
        # Batches of a partition that is to be placed anew are never worked off.
        working = {tp for tp in self._placed if self._batches[tp]}
        for tp in self._placed:
            if self.app.is_batch_topic(tp.topic):
                if self._batches[tp] < _BATCHES_IN_FLIGHT and not self._alignment.waits(tp, working):
                    wanted.add(tp)
                else:
                    busy = True
            elif tp in active:
                wanted.add(tp)
        return wanted, busy

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow.wait())
                    continue
                wanted, busy = self._wanted()
                if not wanted:
                    self._room.clear()
                    await _wait_for(self._room, _FETCH_SECONDS_IF_BUSY if busy else _FETCH_SECONDS)
                    if self.app.valve.closed:
                        await self._thread.stay()
                    continue
                timeout = _FETCH_SECONDS_IF_BUSY if busy else _FETCH_SECONDS
                chunks = await self._fetch(wanted, timeout)
                await self._deliver(chunks)
                if 0 < sum(len(chunk.records) for chunk in chunks.values()) < _FEW:
                    await self.sleep(_GATHERING_SECONDS)
        except ConsumerStoppedError:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            # Faust's fetcher takes it for a crash if the worker is stopped in the middle of a rebalance.
            if not fetcher.should_stop:
                raise

    async def _fetch(self, wanted: set[TP], timeout: float) -> Chunks:
        try:
            return await self._thread.fetch(wanted, timeout)
        except OffsetOutOfRangeError as error:
            await self._out_of_range(error)
        except NoOffsetForPartitionError as error:
            # About an earlier assignment: whatever is fetched from now has been placed.
            self.log.debug("an answer that came too late: %s", error)
        except KafkaError as error:
            if not may_pass(error):
                raise
            self.log.warning("fetching failed, trying again: %s", error)
            await self.sleep(1.0)
        return {}

    async def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        """Go on with the oldest record where older ones were deleted; stop where the position is in the future.

        Raises:
            DeliveryError: the topic ends before our position.
        """
        positions: Mapping[TopicPartition, int] = error.args[0]
        try:
            first = await self._thread.first_offsets(TP(*tp) for tp in positions)
        except KafkaError as no_answer:
            if not may_pass(no_answer):
                raise
            self.log.warning("the oldest offsets are not known now, trying again: %s", no_answer)
            return  # the next fetch comes here again
        for aiokafka_tp, position in positions.items():
            tp = TP(*aiokafka_tp)
            if position >= first[tp]:
                raise DeliveryError(
                    f"{tp.topic}/{tp.partition} has no offset {position}, from which this worker must go on: the "
                    "topic was deleted, or lost its end; if that was intended, use a new application id"
                )
            self.log.error(
                "%s/%d: %d records, from offset %d on, were deleted by the broker before they were read",
                tp.topic,
                tp.partition,
                first[tp] - position,
                position,
            )
            self.app.metrics.lost += first[tp] - position
            await self.app.ownership.skip_to(tp, first[tp])
            await self.place({tp: first[tp]})

    async def _deliver(self, chunks: Chunks) -> None:
        generation = self.app.consumer_generation_id
        for tp, chunk in chunks.items():
            if self._placed.get(tp) != chunk.epoch:
                continue
            if self.app.is_batch_topic(tp.topic):
                batch = Batch(tp.topic, tp.partition, chunk, self._on_batch_finished)
                self._batches[tp] += 1
                self._alignment.reached(tp, chunk)
                await self.callback(batch.as_message(generation))
            else:
                await self._deliver_one_by_one(tp, chunk)

    def _on_batch_finished(self, batch: Batch) -> None:
        if self.is_current(batch):
            tp = TP(batch.topic, batch.partition)
            self._batches[tp] -= 1
            self._alignment.worked_off(tp)
            self._room.set()

    async def _deliver_one_by_one(self, tp: TP, chunk: Chunk) -> None:
        acknowledged = self.app.topics.acks_enabled_for(tp.topic)
        for number, record in enumerate(chunk.records, 1):
            if self._placed.get(tp) != chunk.epoch or not self.flow_active:
                return
            message = self._to_message(tp, record)
            if acknowledged:
                self._delivered[tp].append(record.offset)
            await self.callback(message)
            self._read_offset[tp] = record.offset
            if not number % 100:
                await asyncio.sleep(0)

    # -- offsets of stock topics

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Gaps need no books: offsets are compared with what was delivered."""

    def _new_offset(self, tp: TP) -> int | None:
        # Acknowledgements are looked up here and not recorded in `ack`, because Faust's compiled streams write
        # them into these mappings without calling it.
        delivered, acked = self._delivered[tp], self._acked_index[tp]
        new: int | None = None
        while delivered and delivered[0] in acked:
            offset = delivered.popleft()
            acked.discard(offset)
            new = offset + 1
        if new is not None:
            self._acked[tp] = [offset for offset in self._acked[tp] if offset >= new]
        return new

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:  # noqa: ARG002
        offsets = {tp: offset for tp in tps if (offset := self._new_offset(tp)) is not None}
        if offsets:
            await self._handle_attached(offsets)
        self._owed.update(offsets)
        owed = {tp: offset for tp, offset in self._owed.items() if tp in self._placed}
        if not owed:
            return False
        try:
            await self.app.producer.flush()
            await self._thread.commit_offsets(owed)
        except (KafkaError, TimeoutError) as error:
            # What is owed is tried again with the next commit, or forgotten in the rebalance that caused this.
            self.log.warning("offsets of %d partitions are not committed yet: %s", len(owed), error)
            return False
        for tp, offset in owed.items():
            if self._owed.get(tp) == offset:
                del self._owed[tp]
        self._committed_offset.update(owed)
        self.app.tables.on_commit(owed)
        self.app.monitor.on_tp_commit(owed)
        return True

    async def verify_all_partitions_active(self) -> None:
        """Stalls are told by the lag and the commit log; Faust's check needs its own books."""


def _as_aiokafka(tps: Iterable[TP]) -> list[TopicPartition]:
    return [TopicPartition(*tp) for tp in tps]


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
