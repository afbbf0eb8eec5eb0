"""From an assignment to the first record: fence, restore, own, read on; then keep standbys warm.

It replaces Faust's recovery, which reads changelogs message by message through the group's consumer. Everything is one
task per assignment, and the next assignment cancels it as a whole.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP
from mode import Service

from pipeline.delivery.assignment.restore import ChangelogReader, StoreTarget
from pipeline.delivery.errors import DeliveryError, may_pass
from pipeline.delivery.runtime import RecoverableTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.delivery.assignment.ownership import Ownership
    from pipeline.delivery.commit.owned_unit import OwnedUnit
    from pipeline.delivery.runtime import Runtime

_READ_SECONDS: Final = 0.2
_STANDBY_READ_SECONDS: Final = 1.0
_PROGRESS_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0


Partitions = dict[RecoverableTable, set[int]]


class Recovery(Service):
    """Recovers the partitions of each assignment. Faust's table manager and our consumer call it.

    Args:
        runtime: the application.
        ownership: gets the units when their stores are recovered.
        tables: all tables of the application.
    """

    mundane_level = "debug"

    def __init__(
        self,
        runtime: Runtime,
        ownership: Ownership,
        tables: Callable[[], Iterable[RecoverableTable]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._runtime = runtime
        self._ownership = ownership
        self._tables = tables
        self._task: asyncio.Task[None] | None = None
        self.completed = asyncio.Event()
        """Faust waits for it at the start."""

    # -- called by Faust's table manager

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Do nothing: the consumer calls `interrupt`."""

    async def on_rebalance(
        self,
        assigned: set[TP],  # noqa: ARG002 - Faust's signature
        revoked: set[TP],  # noqa: ARG002
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,
    ) -> None:
        """Cancel the recovery under way, and begin one for this assignment."""
        await self.interrupt()
        if not self.should_stop:
            self._task = asyncio.create_task(self._run(generation_id), name=f"recovery {generation_id}")

    async def on_stop(self) -> None:
        """Stop reading."""
        await self.interrupt()

    async def interrupt(self) -> None:
        """Cancel what is under way; each store keeps its last complete write."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    # -- one assignment

    async def _run(self, generation: int) -> None:
        runtime = self._runtime
        try:
            while not self.should_stop:
                try:
                    await self._recover(generation)
                except IllegalStateError:
                    self.log.info("the partitions of assignment %d were taken away meanwhile", generation)
                except (KafkaError, TimeoutError, OSError, asyncio.CancelledError) as error:
                    if isinstance(error, KafkaError) and not may_pass(error):
                        raise
                    if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                        raise
                    self.log.warning(
                        "recovery failed and begins again: %s", str(error) or type(error).__name__
                    )
                    await self._ownership.give_up(commit=False)
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                break
            await self._keep_standbys_warm()
        except Exception as error:  # noqa: BLE001 - nothing works without this task, so the worker ends
            await runtime.crash(error)

    async def _recover(self, generation: int) -> None:
        """The steps of a recovery, in their order."""
        runtime, ownership = self._runtime, self._ownership
        if runtime.consumer_generation_id != generation:
            return
        runtime.metrics.rebalances += 1
        actives = self._partitions(runtime.assignor.assigned_actives())
        standbys = self._partitions(runtime.assignor.assigned_standbys())
        # 1. Open the local stores.
        await self._open(actives, standbys)
        runtime.reached("assign:fencing")
        # 2. Fence former owners. One of them may be about to write to the changelog, so this comes before reading it.
        await ownership.fence([(table, p) for table, owned in actives.items() for p in sorted(owned)])
        runtime.reached("assign:fenced")
        # 3. Read the changelogs into the stores.
        await self._restore(actives)
        runtime.reached("recover:end")
        # 4. Create the units.
        for table, partitions in actives.items():
            ownership.own(table, sorted(partitions))
        # 5. Read the source topics from the watermarks.
        await self._read_on(actives)
        self.completed.set()
        await runtime.go_live(standbys=bool(standbys))
        self.log.info(
            "ready: %d partitions%s",
            sum(map(len, actives.values())),
            f", {sum(map(len, standbys.values()))} kept warm for others" if standbys else "",
        )

    def _partitions(self, assigned: Iterable[TP]) -> Partitions:
        found: Partitions = defaultdict(set)
        by_changelog = {table.changelog_name: table for table in self._tables()}
        for tp in assigned:
            table = by_changelog.get(tp.topic)
            if table is not None:
                found[table].add(tp.partition)
        return dict(found)

    async def _open(self, actives: Partitions, standbys: Partitions) -> None:
        for table in self._tables():
            wanted = actives.get(table, set()) | standbys.get(table, set())
            table.stores.close_others(wanted)
            for partition in sorted(wanted):
                table.stores.open(partition)
                await asyncio.sleep(0)  # a heartbeat may be due

    def _reader(self, targets: list[StoreTarget]) -> ChangelogReader:
        return ChangelogReader(
            self._runtime.client_options, targets, self._runtime.conf.broker_request_timeout
        )

    async def _restore(self, actives: Partitions) -> None:
        targets = _targets(actives)
        if not targets:
            return
        metrics, began = self._runtime.metrics, time.monotonic()
        logged_at = began
        async with self._reader(targets) as reader:
            await reader.begin()
            while left := await reader.remaining():
                await reader.read(_READ_SECONDS)
                self._runtime.reached("recover:chunk")
                metrics.recovering = sum(left.values())
                now = time.monotonic()
                if now - logged_at >= _PROGRESS_SECONDS:
                    logged_at = now
                    self.log.info(
                        "recovering: %s changelog records read (%s/s), at most %s to go in %d partitions",
                        f"{reader.records:,}",
                        f"{reader.records / (now - began):,.0f}",
                        f"{metrics.recovering:,}",
                        len(left),
                    )
            await reader.finish()
        metrics.recovering = 0
        seconds = time.monotonic() - began
        metrics.restored_keys += reader.records
        metrics.restore_seconds += seconds
        self.log.info("recovered %d changelog records in %.2f s", reader.records, seconds)

    async def _read_on(self, actives: Partitions) -> None:
        """Place every source partition at its state's watermark.

        Raises:
            DeliveryError: an agent reads a topic that is not folded into a table.
        """
        runtime = self._runtime
        others = {tp.topic for tp in runtime.consumer.assignment() if not runtime.has_state(tp.topic)}
        if others:
            raise DeliveryError(
                f"an agent reads {', '.join(sorted(others))}, which no table is fed from, and gets nothing; give it "
                "the source of a WriteBehindTable"
            )
        units = [
            owned
            for table, partitions in actives.items()
            for partition in partitions
            if (owned := self._ownership.find(table.name, partition)) is not None
        ]
        await self._begin_unknown(units)
        positions = {
            TP(topic, owned.unit.partition): owned.unit.next_offsets[topic]
            for owned in units
            for topic in owned.topics
        }
        runtime.reached("assign:live")
        await runtime.consumer.place(positions)

    async def _begin_unknown(self, units: list[OwnedUnit[Any]]) -> None:
        """Choose where to begin with topics that a state has no watermark for: the group's offset, or the oldest."""
        unknown = {
            TP(topic, owned.unit.partition): owned
            for owned in units
            for topic in owned.topics
            if topic not in owned.unit.next_offsets
        }
        if not unknown:
            return
        thread = self._runtime.consumer.thread
        first, committed = await thread.first_offsets(unknown), await thread.committed(unknown)
        for tp, owned in unknown.items():
            offset = committed[tp]
            if offset is None:
                offset = first[tp]
            elif offset > first[tp]:
                self.log.warning(
                    "%s has no state for %s, though %d records of it were processed: its changelog is gone; it "
                    "continues with an empty state from offset %d",
                    owned.unit,
                    tp.topic,
                    offset,
                    offset,
                )
            owned.unit.begin_at(tp.topic, offset)

    # -- standbys

    async def _keep_standbys_warm(self) -> None:
        """Read the changelogs of partitions that others own, until the next assignment."""
        targets = _targets(self._partitions(self._runtime.assignor.assigned_standbys()))
        while targets and not self.should_stop:
            with suppress(TimeoutError):
                try:
                    await self._follow(targets)
                except (KafkaError, OSError) as error:
                    self.log.warning(
                        "standbys: %s; trying again in a second", str(error) or type(error).__name__
                    )
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self, targets: list[StoreTarget]) -> None:
        async with self._reader(targets) as reader:
            await reader.begin()
            warm = False
            while not self.should_stop:
                await reader.read(_STANDBY_READ_SECONDS)
                if not warm and not await reader.remaining():
                    warm = True
                    self._runtime.standbys_are_warm()
                    self.log.info("%d standby partitions are up to date", len(targets))


def _targets(partitions: Partitions) -> list[StoreTarget]:
    return [
        StoreTarget(TP(table.changelog_name, partition), table.stores.open(partition))
        for table, wanted in partitions.items()
        for partition in sorted(wanted)
    ]


def _is_cancelled() -> bool:
    """Whether this task itself was cancelled; aiokafka also raises CancelledErrors of its own tasks."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
