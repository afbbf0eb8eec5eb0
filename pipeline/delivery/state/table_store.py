"""Faust's store of a write-behind table: one `PartitionStore` for each partition that is owned or kept warm here."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from faust.stores.base import Store

from pipeline.delivery.state.store import PartitionStore, StoreCache, StoreOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from faust.types import TP, AppT, CollectionT, EventT
    from yarl import URL

URL_SCHEME = "write-behind://"

# One block cache per process, as StoreOptions promises: the first table's options set its size.
_WRITES = "a write-behind table changes in its process() only"


class TableStore(Store[bytes, bytes]):
    """The partitions of a table on this machine. Keys and values are bytes as in the changelog.

    Args:
        url: `write-behind://`.
        app: the application.
        table: the table.
        cache: the block cache, shared with other tables.
        directory: where the partitions' directories are; asked for when it is needed.
    """

    mundane_level = "debug"

    def __init__(
        self,
        url: str | URL,
        app: AppT,
        table: CollectionT,
        *,
        cache: StoreCache,
        directory: Callable[[], Path],
        **options: Any,
    ) -> None:
        super().__init__(url, app, table, **options)
        self._cache = cache
        self._directory = directory
        self._partitions: dict[int, PartitionStore] = {}

    def path(self, partition: int) -> Path:
        """The directory of a partition."""
        return self._directory() / f"{self.table_name}-{partition}.db"

    def open(self, partition: int) -> PartitionStore:
        """The store of a partition, opened if it is not yet.

        Raises:
            StoreError: it cannot be opened, or is not ours.
        """
        store = self._partitions.get(partition)
        if store is None:
            owner = f"{self.app.conf.id} {self.table_name}"
            store = self._partitions[partition] = PartitionStore(self.path(partition), owner, self._cache)
        return store

    def opened(self, partition: int) -> PartitionStore | None:
        """The store of a partition, if it is open."""
        return self._partitions.get(partition)

    def close_others(self, partitions: Iterable[int]) -> None:
        """Close the stores of all partitions but these; their directories stay."""
        kept = set(partitions)
        for partition in [p for p in self._partitions if p not in kept]:
            self._partitions.pop(partition).close()

    async def on_stop(self) -> None:
        """Close everything."""
        self.close_others(())

    # -- what Faust asks of a store

    def persisted_offset(self, tp: TP) -> int | None:
        """The changelog offset that a partition's store has reached."""
        return self.open(tp.partition).changelog_offset()

    async def need_active_standby_for(self, tp: TP) -> bool:  # noqa: ARG002
        """Every worker has its own directory."""
        return True

    def apply_changelog_batch(
        self,
        batch: Iterable[EventT[Any]],
        to_key: Callable[[Any], bytes],
        to_value: Callable[[Any], bytes],
    ) -> NoReturn:
        """Not used: recovery reads changelogs in bulk."""
        raise NotImplementedError("write-behind tables are recovered in bulk")

    async def backup_partition(
        self, tp: TP | int, flush: bool = True, purge: bool = False, keep: int = 1
    ) -> NoReturn:
        """Not needed: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup of a write-behind table")

    def restore_backup(self, tp: TP | int, latest: bool = True, backup_id: int = 0) -> NoReturn:
        """As `backup_partition`."""
        raise NotImplementedError("the changelog is the backup of a write-behind table")

    def reset_state(self) -> None:
        """Remove the local state; it is rebuilt from the changelog."""
        self.close_others(())
        for path in self._directory().glob(f"{self.table_name}-*.db"):
            with suppress(FileNotFoundError):
                shutil.rmtree(path)

    def __getitem__(self, key: bytes) -> bytes:
        for store in self._partitions.values():
            value = store.get(key)
            if value is not None:
                return value
        raise KeyError(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise TypeError(_WRITES)

    def __delitem__(self, key: bytes) -> None:
        raise TypeError(_WRITES)

    def __iter__(self) -> Iterator[bytes]:
        for store in self._partitions.values():
            yield from (key for key, _ in store.items())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def new_cache(options: StoreOptions | None) -> StoreCache:
    """The block cache of an application."""
    return StoreCache(options or StoreOptions())
