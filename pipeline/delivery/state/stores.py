"""The local stores of one table: one `PartitionStore` for each partition that is owned or kept warm here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.delivery.state.store import PartitionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pipeline.delivery.state.store import StoreCache


class PartitionStores:
    """Opens and closes the stores of a table.

    Args:
        table: its name.
        owner: application and table; a store that another owner wrote is refused.
        directory: where the partitions' directories are; called when the first store is opened.
        cache: the block cache, shared with the application's other tables.
    """

    def __init__(self, table: str, owner: str, directory: Callable[[], Path], cache: StoreCache) -> None:
        self._table = table
        self._owner = owner
        self._directory = directory
        self._cache = cache
        self._open: dict[int, PartitionStore] = {}

    def open(self, partition: int) -> PartitionStore:
        """The store of a partition, opened if it is not open yet.

        Raises:
            StoreError: it cannot be opened, or another owner wrote it.
        """
        store = self._open.get(partition)
        if store is None:
            path = self._directory() / f"{self._table}-{partition}.db"
            store = self._open[partition] = PartitionStore(path, self._owner, self._cache)
        return store

    def close_others(self, partitions: Iterable[int]) -> None:
        """Close all stores but these; their directories stay."""
        kept = set(partitions)
        for partition in [number for number in self._open if number not in kept]:
            self._open.pop(partition).close()
