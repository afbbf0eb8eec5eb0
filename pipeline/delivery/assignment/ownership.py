"""The units that this worker owns: from the assignment of their partitions until they are given up."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service

from pipeline.delivery.commit.owned_unit import Listeners, OwnedUnit
from pipeline.delivery.commit.transaction import TransactionWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.delivery.flow.processing import Processing
    from pipeline.delivery.runtime import RecoverableTable, Runtime
    from pipeline.delivery.state.unit import EncodingError

_STALL_SECONDS: Final = 5.0

Key = tuple[str, int]
"""Table name and partition."""


class Ownership(Service):
    """Owns units, commits each of them once per interval, and gives them up.

    Args:
        runtime: the application.
        processing: takes a unit back to its last commit when a value cannot be encoded.
    """

    mundane_level = "debug"

    def __init__(self, runtime: Runtime, processing: Processing, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units: dict[Key, OwnedUnit[Any]] = {}
        self._runtime = runtime
        self._processing = processing
        self._listeners = Listeners(self._lose, self._find_not_encodable, self._committed)
        self._writers: dict[Key, TransactionWriter] = {}
        self._stall_logged_at = 0.0
        self._rejoin: asyncio.Future[Any] | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    # -- taking over

    async def fence(self, partitions: Iterable[tuple[RecoverableTable, int]]) -> None:
        """Become the one writer of these partitions; recovery calls it before it reads a changelog.

        Raises:
            KafkaError: the brokers refuse.
        """
        writers = {
            (table.name, partition): TransactionWriter(
                self._runtime, table.name, table.changelog_name, partition
            )
            for table, partition in partitions
        }
        self._writers.update(writers)
        # Wait for all, even if one fails: a producer that starts late would fence the one of the next attempt.
        results = await asyncio.gather(
            *(writer.start() for writer in writers.values()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def own(self, table: RecoverableTable, partitions: Iterable[int]) -> None:
        """Create the units of these partitions; their stores are recovered, and their writers are started."""
        owned = list(partitions)
        cache_keys = max(1, self._runtime.options.cache_keys // max(1, len(owned)))
        for partition in owned:
            key = (table.name, partition)
            self.units[key] = OwnedUnit(
                table.new_unit(partition, cache_keys),
                self._writers.pop(key),
                table.source_topics,
                self._runtime,
                self._listeners,
                table.commit_every,
            )

    def find(self, table: str, partition: int) -> OwnedUnit[Any] | None:
        """The unit of a partition, if this worker owns it now."""
        return self.units.get((table, partition))

    def skip_to(self, tp: TP, offset: int) -> None:
        """Continue at a later offset, because the broker has deleted the records before it."""
        for owned in self.units.values():
            if owned.unit.partition == tp.partition and tp.topic in owned.topics:
                owned.unit.begin_at(tp.topic, offset)

    # -- giving up

    async def give_up(self, *, commit: bool) -> None:
        """Give up all units, within seconds.

        Args:
            commit: whether to commit first what is processed, if the brokers take it in time.
        """
        units = list(self.units.values())
        self.units.clear()
        for owned in units:
            owned.unit.closed = True
        if units:
            self._runtime.reached("revoke:begin")
        if commit and units:
            await self._commit_all(units)
            self._runtime.reached("revoke:committed")
        writers = list(self._writers.values())
        self._writers.clear()
        await asyncio.gather(
            *(owned.stop() for owned in units), *(writer.stop() for writer in writers), *self._stopping
        )

    async def _commit_all(self, units: list[OwnedUnit[Any]]) -> None:
        limit = self._runtime.options.give_up_timeout
        done, late = await asyncio.wait(
            [asyncio.create_task(owned.commit_all()) for owned in units], timeout=limit
        )
        for task in late:
            task.cancel()
        if late:
            self.log.warning(
                "%d of %d partitions could not be committed within %g s; their records since the last commit "
                "are processed again",
                len(late),
                len(units),
                limit,
            )
        for task in done:
            task.result()

    async def on_stop(self) -> None:
        """Commit and give up everything."""
        await self.give_up(commit=True)

    # -- outcomes of commits

    def _lose(self, owned: OwnedUnit[Any], error: BaseException) -> None:
        """Give up one unit without a commit, and ask for a new assignment if none comes by itself."""
        unit, runtime = owned.unit, self._runtime
        unit.closed = True
        key = (unit.table, unit.partition)
        if self.units.get(key) is not owned:
            return
        del self.units[key]
        runtime.metrics.fenced += 1
        runtime.consumer.stop_reading(TP(topic, unit.partition) for topic in owned.topics)
        self.log.warning(
            "%s is given up, and what was not committed of it: %s; waiting for the next assignment",
            unit,
            str(error) or type(error).__name__,
        )
        # Its commit may still succeed. It must not write to the store while the next assignment uses it.
        stopping = asyncio.create_task(owned.stop(), name=f"giving up {unit}")
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
        if self._rejoin is None or self._rejoin.done():
            self._rejoin = self.add_future(self._ask_for_assignment(runtime.consumer_generation_id))

    async def _ask_for_assignment(self, generation: int) -> None:
        # A worker that was taken for dead learns of it by its heartbeat. A transaction that timed out causes no
        # rebalance by itself, so ask for one.
        runtime = self._runtime
        await self.sleep(2 * runtime.conf.broker_heartbeat_interval)
        if runtime.consumer_generation_id == generation and not runtime.rebalancing and not self.should_stop:
            await runtime.consumer.thread.rejoin()

    async def _find_not_encodable(self, owned: OwnedUnit[Any], error: EncodingError) -> None:
        self.log.error("%s: %s", owned.unit, error)
        await self._processing.go_back(owned, {})

    async def _committed(self, owned: OwnedUnit[Any], moved: dict[str, int]) -> None:
        runtime = self._runtime
        offsets = {TP(topic, owned.unit.partition): offset for topic, offset in moved.items()}
        runtime.metrics.position.update(offsets)
        if not runtime.transactional:
            # With transactions the offsets are part of them. Here they only serve tools that watch the group.
            try:
                await runtime.consumer.thread.commit_offsets(offsets)
            except (KafkaError, TimeoutError) as error:
                self.log.info("the group's offsets of %s are behind its state: %s", owned.unit, error)

    # -- in the background

    @Service.task
    async def _commit_at_intervals(self) -> None:
        interval = self._runtime.conf.broker_commit_interval
        for tick in count():
            due = list(self.units.items())
            if not due:
                await self.sleep(interval)
            for key, owned in due:
                # Spread the units over the interval: encoding all of them at once would block everything else.
                await self.sleep(interval / len(due))
                if self.units.get(key) is owned and not (tick + owned.unit.partition) % owned.commit_every:
                    owned.start()
            if self.should_stop:
                return
            self._watch_for_stalls()

    def _watch_for_stalls(self) -> None:
        now, limit = time.monotonic(), self._runtime.options.commit_timeout
        started = [owned.started_at for owned in self.units.values() if owned.started_at is not None]
        if not started or now - min(started) < _STALL_SECONDS:
            self._stall_logged_at = 0.0
        elif now - self._stall_logged_at > 2 * _STALL_SECONDS:
            self._stall_logged_at = now
            self.log.warning(
                "commits of %d partitions hang, the oldest for %.0f s; reading stops until the brokers answer",
                len(started),
                now - min(started),
            )
        for owned in list(self.units.values()):
            if owned.started_at is not None and now - owned.started_at > limit:
                self._lose(owned, TimeoutError(f"its commit did not end within {limit:g} s"))
