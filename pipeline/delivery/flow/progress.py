"""Figures of progress: rates, lag, positions, open transactions, and a summary in the log every 30 seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from faust.types import TP
from mode import Service

from pipeline.delivery.flow.open_transactions import OpenTransactions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pipeline.delivery.commit.owned_unit import OwnedUnit
    from pipeline.delivery.runtime import Runtime, Unread

_SUMMARY_SECONDS: Final = 30.0


class Progress(Service):
    """Measures once per commit interval.

    Args:
        runtime: the application.
        owned: the units that this worker owns now.
        unread_elsewhere: records in partitions that nobody reads, see `TopologyWatch.unread`.
    """

    mundane_level = "debug"

    def __init__(
        self,
        runtime: Runtime,
        owned: Callable[[], Collection[OwnedUnit[Any]]],
        unread_elsewhere: Callable[[], Mapping[TP, int]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._runtime = runtime
        self._owned = owned
        self._unread_elsewhere = unread_elsewhere
        self._open_transactions = OpenTransactions()

    @Service.task
    async def _measure(self) -> None:
        metrics = self._runtime.metrics
        before, then = metrics.records, time.monotonic()
        while not self.should_stop:
            await self.sleep(self._runtime.conf.broker_commit_interval)
            now = time.monotonic()
            metrics.measure_rates(now)
            self._measure_units()
            await self._measure_lag(now)
            if now - then >= _SUMMARY_SECONDS:
                if metrics.records > before or metrics.total_lag:
                    self._summarise((metrics.records - before) / (now - then))
                before, then = metrics.records, now

    def _measure_units(self) -> None:
        metrics, units = self._runtime.metrics, [owned.unit for owned in self._owned()]
        metrics.partitions = len(units)
        metrics.dirty_keys = sum(len(unit.dirty) for unit in units)
        metrics.waiting_outputs = sum(len(unit.outputs) for unit in units)
        metrics.cached_keys = sum(unit.cached for unit in units)

    async def _measure_lag(self, now: float) -> None:
        metrics, owners = self._runtime.metrics, self._owners()
        unread = await self._runtime.consumer.thread.unread(owners) if owners else {}
        next_offsets = {tp: owners[tp].unit.next_offsets[tp.topic] for tp in unread}
        metrics.lag = {
            tp: left.behind + max(0, left.handed_out - next_offsets[tp]) for tp, left in unread.items()
        } | dict(self._unread_elsewhere())
        for warning in self._open_transactions.look(unread, now):
            self.log.warning("%s", warning)
        metrics.lag_open_transactions = self._open_transactions.held
        metrics.position = {tp: offset for tp, offset in metrics.position.items() if tp in next_offsets}
        for tp, left in unread.items():
            _pass_transaction_markers(owners[tp], tp.topic, left)

    def _owners(self) -> dict[TP, OwnedUnit[Any]]:
        return {
            TP(topic, owned.unit.partition): owned
            for owned in self._owned()
            for topic in owned.topics
            if topic in owned.unit.next_offsets
        }

    def _summarise(self, rate: float) -> None:
        metrics = self._runtime.metrics
        commits = max(1, metrics.commits)
        self.log.info(
            "%s records/s, %s behind; %d partitions; batches of %.0f, commits of %.0f ms (%.0f ms to disk), %.0f %% of "
            "keys in memory",
            f"{rate:,.0f}",
            f"{metrics.total_lag:,}",
            metrics.partitions,
            metrics.records / max(1, metrics.batches),
            1000 * metrics.commit_seconds / commits,
            1000 * metrics.store_seconds / commits,
            100 * metrics.cache_hits,
        )


def _pass_transaction_markers(owned: OwnedUnit[Any], topic: str, unread: Unread) -> None:
    """Advance the watermark over the transaction markers behind the last record; they never arrive as records.

    Without this, tools that look at the group's offsets would show a lag for ever.
    """
    unit = owned.unit
    all_processed = unread.handed_out == unit.next_offsets[topic]
    if (
        all_processed
        and unread.position > unread.handed_out
        and owned.may_change
        and not (unit.closed or unit.broken)
    ):
        unit.advance(topic, unread.position, [])
