"""The state of this worker as several views show it: readiness, counts, lag."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.evaluation.batch import PartitionState
from tables.risk import PARTITION_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import TP

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.table import WriteBehindTable
    from tables.risk import RiskValue


class WorkerStatus:
    """Reads the state of this worker.

    Args:
        app: the application.
        users: the risk agent's table.
    """

    def __init__(self, app: DeliveryApp, users: WriteBehindTable[RiskValue]) -> None:
        self._app = app
        self._users = users

    @property
    def ready(self) -> bool:
        """Whether the worker's partitions are assigned and recovered, and nothing is wrong with the topics."""
        return self.recovered and self.trouble is None

    @property
    def recovered(self) -> bool:
        """Whether the worker's partitions are assigned and recovered, and no rebalance is running."""
        return self._app.tables.actives_ready and not self._app.rebalancing

    @property
    def trouble(self) -> str | None:
        """A sentence that says what is wrong with the topics and how to repair it; None if they are fine."""
        return self._app.topology.trouble

    def counts(self) -> Counter[str]:
        """The sums of the counts of all owned partitions (see `pipeline.evaluation.batch.count`)."""
        total: Counter[str] = Counter()
        for _, reader in self._users.owned():
            partition = reader.peek(PARTITION_KEY)
            if isinstance(partition, PartitionState):
                total.update(partition.counts)
        return total

    def lag(self) -> dict[str, int]:
        """The number of records that are not judged yet, by `topic-partition`."""
        return _by_name(self._app.metrics.lag)

    def lag_open_transactions(self) -> dict[str, int]:
        """The part of the lag that waits behind an open transaction, by `topic-partition`; without zeros."""
        return _by_name(self._app.metrics.lag_open_transactions)


def _by_name(lag: Mapping[TP, int]) -> dict[str, int]:
    return {f"{tp.topic}-{tp.partition}": behind for tp, behind in sorted(lag.items())}
