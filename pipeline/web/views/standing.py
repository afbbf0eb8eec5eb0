"""What the open views tell of the worker that they run in."""

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


class Standing:
    """What the open views tell of a worker.

    Args:
        app: the application.
        users: the risk agent's table.
    """

    def __init__(self, app: DeliveryApp, users: WriteBehindTable[RiskValue]) -> None:
        self._app = app
        self._users = users

    def ready(self) -> bool:
        """Whether an assignment is recovered, no other is under way, and nothing is wrong with the topics."""
        return self.recovered() and self.trouble is None

    @property
    def trouble(self) -> str | None:
        """What is wrong with the topics, in words and with the way out."""
        return self._app.topology.trouble

    def recovered(self) -> bool:
        """Whether an assignment is recovered, and no other is under way."""
        return self._app.tables.actives_ready and not self._app.rebalancing

    def counts(self) -> dict[str, int]:
        """The counts of the partitions that are owned here, summed (see `pipeline.evaluation.batch.count`)."""
        total: Counter[str] = Counter()
        for _, reader in self._users.owned():
            partition = reader.peek(PARTITION_KEY)
            if isinstance(partition, PartitionState):
                total.update(partition.counts)
        return dict(total)

    def lag(self) -> dict[str, int]:
        """Records that are not judged yet, by `topic-partition`."""
        return _by_name(self._app.metrics.lag)

    def lag_open_transactions(self) -> dict[str, int]:
        """The part of the lag that waits behind an open transaction, by `topic-partition`; where there is any."""
        return _by_name(self._app.metrics.lag_open_transactions)


def _by_name(lag: Mapping[TP, int]) -> dict[str, int]:
    """The same by `topic-partition`, as answers name them."""
    return {f"{tp.topic}-{tp.partition}": behind for tp, behind in sorted(lag.items())}
