"""The consumer: whole batches for the sources of write-behind tables.

Faust's own loop makes a message of every record and counts acknowledgements. Here the tables' watermarks count instead.
Every assignment places each partition at its watermark. A placement has a number (epoch), and every chunk carries the
epoch that it was read in, so nothing read before a rebalance ever counts as current.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import ConsumerStoppedError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.delivery.errors import DeliveryError, may_pass
from pipeline.delivery.flow.alignment import Alignment
from pipeline.delivery.flow.batches import Batch
from pipeline.delivery.plugin.consumer_thread import ConsumerThread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiokafka.structs import TopicPartition
    from faust.app.base import App
    from mode import ServiceT

    from pipeline.delivery.assignment.ownership import Ownership
    from pipeline.delivery.assignment.recovery import Recovery
    from pipeline.delivery.flow.gate import Gate
    from pipeline.delivery.plugin.consumer_thread import Chunks
    from pipeline.delivery.runtime import Runtime

_FETCH_SECONDS: Final = 1.0
# While some partitions are busy, a fetch for the others must not delay the next fetch for the busy ones.
_FETCH_SECONDS_IF_BUSY: Final = 0.05
# A batch costs about as much as thirty records in it. After a fetch with few records, wait for more: without this,
# hundreds of tiny batches a second took most of the time at 3,000 records/s.
_FEW_RECORDS: Final = 200
_GATHERING_SECONDS: Final = 0.05
# One batch is being processed, and the next one is ready.
_BATCHES_IN_FLIGHT: Final = 2


class DeliveryConsumer(driver.Consumer):
    """Implements `Positions`; Faust's application makes it and calls it on each rebalance.

    Args:
        args: Faust's.
        runtime: the application.
        ownership: gives up its units when partitions are revoked.
        recovery: interrupted when partitions are revoked.
        gate: in front of the processing.
        kwargs: Faust's.
    """

    app: App
    mundane_level = "debug"
    _thread: ConsumerThread

    def __init__(
        self,
        *args: Any,
        runtime: Runtime,
        ownership: Ownership,
        recovery: Recovery,
        gate: Gate,
        **kwargs: Any,
    ) -> None:
        self._runtime = runtime
        self._ownership = ownership
        self._recovery = recovery
        self._gate = gate
        super().__init__(*args, **kwargs)
        self._epoch = 0
        self._placed: dict[TP, int] = {}
        """The epoch of each partition that is being read."""
        self._batches: dict[TP, int] = defaultdict(int)
        """Unfinished batches."""
        self._alignment = Alignment()
        self._room = asyncio.Event()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, self._runtime.client_options, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> ConsumerThread:
        """The thread that fetches."""
        return self._thread

    # -- rebalances

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit what is processed, then give up everything: the eager protocol takes all partitions away."""
        self.stop_flow()
        self._placed.clear()
        await self._recovery.interrupt()
        await self._ownership.give_up(commit=True)
        await super().on_partitions_revoked(revoked)
        self._forget()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Read nothing until recovery has placed the partitions."""
        self._forget()
        await self._thread.hold(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    def _forget(self) -> None:
        self._placed.clear()
        self._batches.clear()
        self._alignment.forget()
        self._room.set()

    # -- as in `Positions`

    async def place(self, positions: Mapping[TP, int]) -> None:
        """Continue reading at these offsets; what was fetched before is void.

        Raises:
            IllegalStateError: one of the partitions is no longer assigned.
        """
        self._epoch += 1
        epoch = self._epoch
        self.stop_reading(positions)
        await self._thread.place(positions, epoch)
        for tp in positions:
            self._placed[tp] = epoch
            self._batches[tp] = 0
        self._room.set()

    def stop_reading(self, tps: Iterable[TP]) -> None:
        """Hand out nothing of these partitions until they are placed again."""
        for tp in tps:
            self._placed.pop(tp, None)

    def is_current(self, tp: TP, epoch: int) -> bool:
        """Whether records that were fetched in this epoch still count."""
        return self._placed.get(tp) == epoch

    async def perform_seek(self) -> None:
        """Do nothing: recovery sets the positions, see `place`."""

    # -- fetching

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: `_wanted` bounds the batches in flight. Faust's own flow control can starve partitions."""

    def _wanted(self) -> tuple[set[TP], bool]:
        """The partitions to fetch from, and whether some are left out because they are busy."""
        # Only placed partitions: batches of a partition that waits for its placement are never processed.
        processing = {tp for tp in self._placed if self._batches[tp]}
        wanted = {
            tp
            for tp in self._placed
            if self._batches[tp] < _BATCHES_IN_FLIGHT and not self._alignment.waits(tp, processing)
        }
        return wanted, len(wanted) < len(self._placed)

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Fetch and deliver until the worker stops; Faust's fetcher runs it."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow.wait())
                    continue
                wanted, busy = self._wanted()
                timeout = _FETCH_SECONDS_IF_BUSY if busy else _FETCH_SECONDS
                if not wanted:
                    self._room.clear()
                    await _wait_for(self._room, timeout)
                    if self._gate.closed:
                        await self._thread.stay()
                    continue
                chunks = await self._fetch(wanted, timeout)
                await self._deliver(chunks)
                if 0 < sum(len(chunk.records) for chunk in chunks.values()) < _FEW_RECORDS:
                    await self.sleep(_GATHERING_SECONDS)
        except ConsumerStoppedError:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            # If the worker is stopped in a rebalance, Faust's fetcher would take this for a crash.
            if not fetcher.should_stop:
                raise

    async def _fetch(self, wanted: set[TP], timeout: float) -> Chunks:
        try:
            return await self._thread.fetch(wanted, timeout)
        except OffsetOutOfRangeError as error:
            await self._out_of_range(error)
        except NoOffsetForPartitionError as error:
            # This concerns an earlier assignment: every partition that is fetched now has been placed.
            self.log.debug("a late answer about an earlier assignment is ignored: %s", error)
        except KafkaError as error:
            if not may_pass(error):
                raise
            self.log.warning("fetching failed, trying again: %s", error)
            await self.sleep(1.0)
        return {}

    async def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        """Continue with the oldest record if older ones were deleted; fail if the position is beyond the end.

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
            return  # the next fetch fails in the same way and comes here again
        for aiokafka_tp, position in positions.items():
            tp = TP(*aiokafka_tp)
            if position >= first[tp]:
                raise DeliveryError(
                    f"{tp.topic}/{tp.partition} has no offset {position}, from which this worker must continue: the "
                    "topic was deleted, or lost its end; if that was intended, use a new application id"
                )
            self.log.error(
                "%s/%d: %d records, from offset %d on, were deleted by the broker before they were read",
                tp.topic,
                tp.partition,
                first[tp] - position,
                position,
            )
            self._runtime.metrics.lost += first[tp] - position
            self._ownership.skip_to(tp, first[tp])
            await self.place({tp: first[tp]})

    async def _deliver(self, chunks: Chunks) -> None:
        generation = self._runtime.consumer_generation_id
        for tp, chunk in chunks.items():
            if self.is_current(tp, chunk.epoch):
                batch = Batch(tp.topic, tp.partition, chunk, self._on_batch_finished)
                self._batches[tp] += 1
                self._alignment.reached(tp, chunk)
                await self.callback(batch.as_message(generation))

    def _on_batch_finished(self, batch: Batch) -> None:
        tp = batch.tp
        if self.is_current(tp, batch.chunk.epoch):
            self._batches[tp] -= 1
            self._alignment.processed(tp)
            self._room.set()

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: the lag and the log show stalls, and Faust's check needs its own counts."""


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
