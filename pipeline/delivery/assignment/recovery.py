"""From an assignment to the first record: fence, restore, own, read on; and keeping standbys warm.

It takes the place of Faust's recovery, which reads changelogs message by message through the group's consumer. All of
it is one task per assignment, cancelled as a whole when the next one comes.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.types import TP
from mode import Service

from pipeline.delivery.assignment.restore import ChangelogReader, StoreTarget
from pipeline.delivery.errors import may_pass
from pipeline.delivery.state.table import WriteBehindTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faust.types.tables import CollectionT

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.commit.owned_unit import OwnedUnit

_READ_SECONDS = 0.2
_STANDBY_READ_SECONDS = 1.0
_PROGRESS_SECONDS = 5.0
_RETRY_SECONDS = 1.0

Partitions = dict[WriteBehindTable[Any], set[int]]


class DeliveryTables(TableManager):
    """Faust's table manager, with recovery in bulk."""

    app: DeliveryApp
    mundane_level = "debug"

    def __init__(self, app: DeliveryApp, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._recovery: BulkRecovery | None = None  # type: ignore[assignment]  # it takes the place of Faust's

    @property
    def recovery(self) -> BulkRecovery:  # type: ignore[override]  # as above
        """The service that recovers tables."""
        if self._recovery is None:
            self._recovery = BulkRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    def add(self, table: CollectionT) -> CollectionT:
        """As Faust's.

        Raises:
            TypeError: a table of another kind; its changes would not be part of the commit.
        """
        if not isinstance(table, WriteBehindTable):
            raise TypeError(
                f"table {table.name} must be a WriteBehindTable: others are not part of the commit"
            )
        return super().add(table)

    async def on_start(self) -> None:
        """Declare the changelogs; nothing to wait for."""
        await self._update_channels()
        await self.app.ownership.start()
        await self.app.topology.start()
        await self.recovery.start()

    async def on_stop(self) -> None:
        """Commit what is done, then let go of everything."""
        await self.app._fetcher.stop()  # noqa: SLF001 - as Faust's manager does
        await self.app.topology.stop()
        await self.recovery.stop()
        await self.app.ownership.stop()
        for table in self.values():
            await table.stop()


class BulkRecovery(Service):
    """Recovers the partitions of each assignment.

    Args:
        app: the application.
        tables: its tables.
    """

    mundane_level = "debug"

    def __init__(self, app: DeliveryApp, tables: DeliveryTables, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app = app
        self.tables = tables
        self.completed = asyncio.Event()
        self.in_recovery = False
        self._task: asyncio.Task[None] | None = None

    # -- what Faust calls

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """The consumer interrupts, see `interrupt`."""

    async def on_rebalance(
        self,
        assigned: set[TP],  # noqa: ARG002 - Faust's signature
        revoked: set[TP],  # noqa: ARG002
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,
    ) -> None:
        """Begin anew with this assignment."""
        await self.interrupt()
        if not self.should_stop:
            self._task = asyncio.create_task(self._run(generation_id), name=f"recovery {generation_id}")

    async def on_stop(self) -> None:
        """Stop reading."""
        await self.interrupt()

    async def interrupt(self) -> None:
        """End what is under way; stores stay as of their last complete write."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    # -- one assignment

    async def _run(self, generation: int) -> None:
        app = self.app
        self.in_recovery = app.in_recovery = True
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
                    await app.ownership.give_up(commit=False)
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                break
            self.in_recovery = app.in_recovery = False
            await self._keep_standbys_warm()
        except Exception as error:  # noqa: BLE001 - nothing goes on without this task; the worker ends with the error
            await app.crash(error)

    async def _recover(self, generation: int) -> None:
        app = self.app
        if app.consumer_generation_id != generation:
            return
        app.metrics.rebalances += 1
        actives = self._partitions(app.assignor.assigned_actives())
        standbys = self._partitions(app.assignor.assigned_standbys())
        await self._open(actives, standbys)
        app.reached("assign:fencing")
        # Before a changelog is read: a former owner may be about to write to it.
        await app.ownership.fence([(table, p) for table, owned in actives.items() for p in sorted(owned)])
        app.reached("assign:fenced")
        await self._restore(actives)
        app.reached("recover:end")
        for table, partitions in actives.items():
            app.ownership.own(table, sorted(partitions))
        await self._read_on(actives)
        await app.on_rebalance_complete.send()
        for table in self.tables.values():
            await table.on_recovery_completed(_changelogs(table, actives), _changelogs(table, standbys))
        self.completed.set()
        app.flow_control.resume()
        app.consumer.resume_flow()
        await app._fetcher.maybe_start()  # noqa: SLF001 - as Faust's recovery does
        self.tables.on_actives_ready()
        if not standbys:
            self.tables.on_standbys_ready()
        app.on_rebalance_end()
        count = sum(map(len, actives.values()))
        self.log.info(
            "ready: %d partitions%s",
            count,
            f", {sum(map(len, standbys.values()))} kept warm for others" if standbys else "",
        )

    def _partitions(self, assigned: Iterable[TP]) -> Partitions:
        found: Partitions = defaultdict(set)
        by_changelog = {
            table.changelog_name: table
            for table in self.tables.values()
            if isinstance(table, WriteBehindTable)
        }
        for tp in assigned:
            table = by_changelog.get(tp.topic)
            if table is not None:
                found[table].add(tp.partition)
        return dict(found)

    async def _open(self, actives: Partitions, standbys: Partitions) -> None:
        for table in self.tables.values():
            if isinstance(table, WriteBehindTable):
                wanted = actives.get(table, set()) | standbys.get(table, set())
                table.table_store.close_others(wanted)
                for partition in sorted(wanted):
                    table.table_store.open(partition)
                    await asyncio.sleep(0)  # a heartbeat may be due

    async def _restore(self, actives: Partitions) -> None:
        targets = _targets(actives)
        if not targets:
            return
        app, began = self.app, time.monotonic()
        said = began
        async with ChangelogReader(app.client_options, targets, app.conf.broker_request_timeout) as reader:
            await reader.begin()
            while left := await reader.remaining():
                await reader.read(_READ_SECONDS)
                app.reached("recover:chunk")
                app.metrics.recovering = sum(left.values())
                now = time.monotonic()
                if now - said >= _PROGRESS_SECONDS:
                    said = now
                    self.log.info(
                        "recovering: %s changelog records read (%s/s), at most %s to go in %d partitions",
                        f"{reader.records:,}",
                        f"{reader.records / (now - began):,.0f}",
                        f"{app.metrics.recovering:,}",
                        len(left),
                    )
            await reader.finish()
        app.metrics.recovering = 0
        seconds = time.monotonic() - began
        app.metrics.restored_keys += reader.records
        app.metrics.restore_seconds += seconds
        self.log.info("recovered %d changelog records in %.2f s", reader.records, seconds)

    async def _read_on(self, actives: Partitions) -> None:
        """Every source partition goes on from where its state is; topics of other agents from their commits."""
        app, thread = self.app, self.app.consumer.thread
        units = [
            owned
            for table, partitions in actives.items()
            for partition in partitions
            if (owned := app.ownership.find(table.name, partition)) is not None
        ]
        await self._begin_unknown(units)
        positions = {
            TP(topic, owned.unit.partition): owned.unit.next_offsets[topic]
            for owned in units
            for topic in owned.topics
        }
        others = {
            tp
            for tp in app.consumer.assignment()
            if tp.topic not in self.tables.changelog_topics and not app.is_batch_topic(tp.topic)
        }
        if others:
            first, committed = await thread.first_offsets(others), await thread.committed(others)
            positions |= {tp: offset if (offset := committed[tp]) is not None else first[tp] for tp in others}
        app.reached("assign:live")
        app.consumer.resume_partitions(others)
        await app.consumer.place(positions)

    async def _begin_unknown(self, units: list[OwnedUnit[Any]]) -> None:
        """Where to begin with topics of which a state knows nothing: the group's offset, else the oldest record."""
        unknown = {
            TP(topic, owned.unit.partition): owned
            for owned in units
            for topic in owned.topics
            if topic not in owned.unit.next_offsets
        }
        if not unknown:
            return
        thread = self.app.consumer.thread
        first, committed = await thread.first_offsets(unknown), await thread.committed(unknown)
        for tp, owned in unknown.items():
            offset = committed[tp]
            if offset is None:
                offset = first[tp]
            elif offset > first[tp]:
                self.log.warning(
                    "%s knows nothing of %s, though %d records of it were processed: its changelog is gone; going on "
                    "with an empty state from offset %d",
                    owned.unit,
                    tp.topic,
                    offset,
                    offset,
                )
            owned.unit.begin_at(tp.topic, offset)

    # -- standbys

    async def _keep_standbys_warm(self) -> None:
        """Read the changelogs of partitions that others own, until the next assignment."""
        app = self.app
        standbys = self._partitions(app.assignor.assigned_standbys())
        targets = _targets(standbys)
        while targets and not self.should_stop:
            with suppress(TimeoutError):
                try:
                    await self._follow(targets)
                except (KafkaError, OSError) as error:
                    self.log.warning("standbys: %s; going on in a second", str(error) or type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self, targets: list[StoreTarget]) -> None:
        app = self.app
        async with ChangelogReader(app.client_options, targets, app.conf.broker_request_timeout) as reader:
            await reader.begin()
            warm = False
            while not self.should_stop:
                await reader.read(_STANDBY_READ_SECONDS)
                if not warm and not await reader.remaining():
                    warm = True
                    self.tables.on_standbys_ready()
                    self.log.info("%d standby partitions are up to date", len(targets))


def _targets(partitions: Partitions) -> list[StoreTarget]:
    return [
        StoreTarget(TP(table.changelog_name, partition), table.table_store.open(partition))
        for table, wanted in partitions.items()
        for partition in sorted(wanted)
    ]


def _is_cancelled() -> bool:
    """Whether this task is to end; aiokafka lets CancelledErrors out that are about tasks of its own."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _changelogs(table: CollectionT, partitions: Partitions) -> set[TP]:
    if not isinstance(table, WriteBehindTable):
        return set()
    return {TP(table.changelog_name, partition) for partition in partitions.get(table, ())}
