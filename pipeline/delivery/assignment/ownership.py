"""The units that this worker owns: from the assignment of their partitions until they are taken away."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING, Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP
from mode import Service

from pipeline.delivery.commit.owned_unit import Listeners, OwnedUnit
from pipeline.delivery.commit.steps import Commit
from pipeline.delivery.flow.open_transactions import OpenTransactions
from pipeline.delivery.partitioner import Partitioner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.flow.batches import Batch
    from pipeline.delivery.plugin.consumer import Unread
    from pipeline.delivery.state.table import WriteBehindTable
    from pipeline.delivery.state.unit import EncodingError

_STALL_SECONDS = 5.0
_SUMMARY_SECONDS = 30.0
_REDELIVERY_SECONDS = 1.0

Key = tuple[str, int]


class Ownership(Service):
    """Owns units, commits them at each interval, and gives them up.

    Args:
        app: the application.
    """

    mundane_level = "debug"

    def __init__(self, app: DeliveryApp, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app = app
        self.units: dict[Key, OwnedUnit[Any]] = {}
        self._writers: dict[Key, Commit] = {}
        self._partitioners: dict[str, Partitioner] = {}
        self._stalled_said = 0.0
        self._open_transactions = OpenTransactions()
        self._rejoin: asyncio.Future[Any] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    # -- taking over

    async def fence(self, partitions: Iterable[tuple[WriteBehindTable[Any], int]]) -> None:
        """Become the one writer of these partitions.

        Raises:
            KafkaError: the brokers refuse.
        """
        wanted = list(partitions)
        writers = {(table.name, p): self._writer(table, p) for table, p in wanted}
        self._writers.update(writers)
        # All of them, whatever becomes of one: a late start would shut out the writer of the next attempt.
        results = await asyncio.gather(
            *(writer.start() for writer in writers.values()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _writer(self, table: WriteBehindTable[Any], partition: int) -> Commit:
        app = self.app
        return Commit(
            app.client_options,
            f"{app.conf.id}-{table.name}-{partition}" if app.transactional else None,
            app.conf.id,
            (table.changelog_name, partition),
            self.partition_of,
            app.reached,
            app.options.transaction_timeout,
            app.conf.broker_request_timeout,
        )

    def partition_of(self, topic: str, key: bytes) -> int:
        """The partition of a key in an output topic.

        Raises:
            KafkaError: the topic is unknown.
        """
        partitioner = self._partitioners.get(topic)
        if partitioner is None:
            count = self.app.partition_count(topic)
            partitioner = self._partitioners[topic] = Partitioner(count)
        return partitioner(key)

    def own(self, table: WriteBehindTable[Any], partitions: Iterable[int]) -> None:
        """The stores of these partitions are recovered: their units exist from now on."""
        owned = list(partitions)
        app = self.app
        share = max(1, app.options.cache_keys // max(1, len(owned)))
        listeners = Listeners(self._lose, self._fail, self._find_not_encodable, self._committed)
        for partition in owned:
            key = (table.name, partition)
            self.units[key] = OwnedUnit(
                table.new_unit(partition, share),
                self._writers.pop(key),
                table.source_topics,
                app.limits,
                listeners,
                app.reached,
                app.metrics,
                app.turns,
                table.commit_every,
            )

    def find(self, table: str, partition: int) -> OwnedUnit[Any] | None:
        """A unit that is owned now."""
        return self.units.get((table, partition))

    async def skip_to(self, tp: TP, offset: int) -> None:
        """Records before an offset are gone."""
        for owned in self.units.values():
            if owned.unit.partition == tp.partition and tp.topic in owned.topics:
                owned.unit.begin_at(tp.topic, offset)

    # -- giving up

    async def give_up(self, *, commit: bool) -> None:
        """Own nothing any more; within seconds.

        Args:
            commit: what is done first, if the brokers take it in time.
        """
        units = list(self.units.values())
        self.units.clear()
        for owned in units:
            owned.unit.closed = True
        if units:
            self.app.reached("revoke:begin")
        if commit and units:
            done, late = await asyncio.wait(
                [asyncio.create_task(owned.commit_all()) for owned in units],
                timeout=self.app.options.give_up_timeout,
            )
            for task in late:
                task.cancel()
            if late:
                self.log.warning(
                    "%d of %d partitions could not be committed within %g s; their records since the last commit "
                    "are processed again",
                    len(late),
                    len(units),
                    self.app.options.give_up_timeout,
                )
            for task in done:
                task.result()
            self.app.reached("revoke:committed")
        writers = list(self._writers.values())
        self._writers.clear()
        await asyncio.gather(
            *(owned.stop() for owned in units), *(writer.stop() for writer in writers), *self._ending
        )

    async def on_stop(self) -> None:
        """Give up everything, committed."""
        await self.give_up(commit=True)

    # -- what commits tell

    def _lose(self, owned: OwnedUnit[Any], error: BaseException) -> None:
        unit = owned.unit
        unit.closed = True
        key = (unit.table, unit.partition)
        if self.units.get(key) is not owned:
            return
        del self.units[key]
        self.app.metrics.fenced += 1
        self.app.consumer.stop_reading(TP(topic, unit.partition) for topic in owned.topics)
        self.log.warning(
            "%s is given up, and what was not committed of it: %s; waiting for the next assignment",
            unit,
            str(error) or type(error).__name__,
        )
        # Its commit may still end well, and would then write to a store that the next assignment goes on with.
        ending = asyncio.create_task(owned.stop(), name=f"giving up {unit}")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        if self._rejoin is None or self._rejoin.done():
            self._rejoin = self.add_future(self._ask_for_assignment(self.app.consumer_generation_id))

    async def _ask_for_assignment(self, generation: int) -> None:
        # The heartbeat tells a worker that was taken for dead; a transaction that timed out has no other consequence.
        await self.sleep(2 * self.app.conf.broker_heartbeat_interval)
        app = self.app
        if app.consumer_generation_id == generation and not app.rebalancing and not self.should_stop:
            await app.consumer.thread.rejoin()

    async def _fail(self, error: Exception) -> None:
        await self.app.crash(error)

    async def _find_not_encodable(self, owned: OwnedUnit[Any], error: EncodingError) -> None:
        self.log.error("%s: %s", owned.unit, error)
        await self.go_back(owned, {})

    async def _committed(self, owned: OwnedUnit[Any], moved: dict[str, int]) -> None:
        offsets = {TP(topic, owned.unit.partition): offset for topic, offset in moved.items()}
        self.app.metrics.position.update(offsets)
        self.app.monitor.on_tp_commit(offsets)
        if not self.app.transactional:
            # Elsewhere they are part of the transaction. Whoever watches the group looks at them.
            try:
                await self.app.consumer.thread.commit_offsets(offsets)
            except (KafkaError, TimeoutError) as error:
                self.log.info("the group's offsets of %s are behind its state: %s", owned.unit, error)

    # -- going back

    async def go_back(self, owned: OwnedUnit[Any], until: Mapping[str, int]) -> None:
        """Drop everything of a unit since its last commit, and process the records since then one by one.

        Args:
            owned: the unit; it must be broken, so that no commit begins.
            until: per topic the offset before which to be careful, beside those that were reached.
        """
        unit = owned.unit
        self.app.metrics.rewinds += 1
        self.app.consumer.stop_reading(TP(topic, unit.partition) for topic in owned.topics)
        await owned.settled()
        if unit.closed or unit.in_flight is not None:
            return
        unit.back_to_last_commit(dict(until))
        await self._place(owned, owned.topics)

    async def redeliver(self, batch: Batch, table: str) -> None:
        """An agent left a batch behind: read on from what is processed of it."""
        self.app.metrics.redelivered += 1
        self.log.error("an agent failed on %s; they are delivered again in %g s", batch, _REDELIVERY_SECONDS)
        owned = self.find(table, batch.partition)
        current = self.app.consumer.is_current(batch)
        if owned is None or not current:
            batch.finish()
            return
        self.app.consumer.stop_reading((TP(batch.topic, batch.partition),))
        batch.finish()
        await self.sleep(_REDELIVERY_SECONDS)
        await self.read_on(owned, batch.topic)

    async def read_on(self, owned: OwnedUnit[Any], topic: str) -> None:
        """Read a topic of a unit again from what is processed of it."""
        if not owned.unit.closed:
            await self._place(owned, (topic,))

    async def _place(self, owned: OwnedUnit[Any], topics: Iterable[str]) -> None:
        unit = owned.unit
        try:
            await self.app.consumer.place(
                {TP(topic, unit.partition): unit.next_offsets[topic] for topic in topics}
            )
        except IllegalStateError:
            self.log.info("%s was taken away meanwhile", unit)

    # -- in the background

    @Service.task
    async def _commit_at_intervals(self) -> None:
        interval = self.app.conf.broker_commit_interval
        for tick in count():
            due = list(self.units.items())
            if not due:
                await self.sleep(interval)
            for key, owned in due:
                # Spread over the interval: encoding all units at once would keep everything else waiting.
                await self.sleep(interval / len(due))
                if self.units.get(key) is owned and not (tick + owned.unit.partition) % owned.commit_every:
                    owned.start()
            if self.should_stop:
                return
            self._watch_for_stalls()

    def _watch_for_stalls(self) -> None:
        now = time.monotonic()
        started = [owned.started_at for owned in self.units.values() if owned.started_at is not None]
        if not started or now - min(started) < _STALL_SECONDS:
            self._stalled_said = 0.0
        elif now - self._stalled_said > 2 * _STALL_SECONDS:
            self._stalled_said = now
            self.log.warning(
                "commits of %d partitions hang, the oldest for %.0f s; reading stops until the brokers answer",
                len(started),
                now - min(started),
            )
        for owned in list(self.units.values()):
            if owned.started_at is not None and now - owned.started_at > self.app.options.commit_timeout:
                self._lose(
                    owned,
                    TimeoutError(f"its commit did not end within {self.app.options.commit_timeout:g} s"),
                )

    @Service.task
    async def _measure(self) -> None:
        metrics = self.app.metrics
        before, then = metrics.records, time.monotonic()
        while not self.should_stop:
            await self.sleep(self.app.conf.broker_commit_interval)
            now = time.monotonic()
            metrics.measure_rates(now)
            units = [owned.unit for owned in self.units.values()]
            metrics.partitions = len(units)
            metrics.dirty_keys = sum(len(unit.dirty) for unit in units)
            metrics.waiting_outputs = sum(len(unit.outputs) for unit in units)
            metrics.cached_keys = sum(unit.cached for unit in units)
            read = await self._read_so_far()
            next_offsets = {tp: owned.unit.next_offsets[tp.topic] for tp, (owned, _) in read.items()}
            metrics.lag = {
                tp: unread.behind + max(0, unread.handed_out - next_offsets[tp])
                for tp, (_, unread) in read.items()
            } | self.app.topology.unread
            for warning in self._open_transactions.look({tp: left for tp, (_, left) in read.items()}, now):
                self.log.warning("%s", warning)
            metrics.lag_open_transactions = self._open_transactions.held
            for tp, (owned, unread) in read.items():
                self._pass_ends_of_transactions(owned, tp.topic, unread)
            metrics.position = {tp: offset for tp, offset in metrics.position.items() if tp in next_offsets}
            if now - then >= _SUMMARY_SECONDS:
                if metrics.records > before or metrics.total_lag:
                    self._summarise((metrics.records - before) / (now - then))
                before, then = metrics.records, now

    async def _read_so_far(self) -> dict[TP, tuple[OwnedUnit[Any], Unread]]:
        owners = {
            TP(topic, owned.unit.partition): owned
            for owned in self.units.values()
            for topic in owned.topics
            if topic in owned.unit.next_offsets
        }
        found = await self.app.consumer.thread.unread(owners) if owners else {}
        return {tp: (owners[tp], unread) for tp, unread in found.items()}

    @staticmethod
    def _pass_ends_of_transactions(owned: OwnedUnit[Any], topic: str, unread: Unread) -> None:
        """Behind the last record of a topic that transactions write lies an end of one, which never arrives.

        Who looks at the group's offsets from outside would see a lag for ever.
        """
        unit = owned.unit
        all_processed = unread.handed_out == unit.next_offsets[topic]
        stands_still = unit.closed or unit.broken or not owned.may_change
        if all_processed and unread.position > unread.handed_out and not stands_still:
            unit.advance(topic, unread.position, [])

    def _summarise(self, rate: float) -> None:
        metrics = self.app.metrics
        commits = max(1, metrics.commits)
        self.log.info(
            "%s records/s, %s behind; %d partitions; batches of %.0f, commits of %.0f ms (%.0f ms to disk), %.0f %% of "
            "keys in memory",
            f"{rate:,.0f}",
            f"{metrics.total_lag:,}",
            len(self.units),
            metrics.records / max(1, metrics.batches),
            1000 * metrics.commit_seconds / commits,
            1000 * metrics.store_seconds / commits,
            100 * metrics.cache_hits,
        )
