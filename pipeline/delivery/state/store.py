"""The local copy of one partition's state: a RocksDB directory that can always be rebuilt from the changelog.

Every write is one atomic batch of keys together with the changelog offset that the store then has. So after any crash
the store is a correct state, perhaps an older one, and its offset says which.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, cast

from rocksdict import AccessType, BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from pipeline.delivery.errors import StoreError
from pipeline.delivery.state.changelog import RESERVED, WATERMARKS, Entry, decode_watermarks

FORMAT: Final = "write-behind/1"
_FORMAT_KEY: Final = RESERVED + b"format"
_POSITION_KEY: Final = RESERVED + b"position"

_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How much memory RocksDB may use, and when a store is too old.

    Attributes:
        block_cache_bytes: for the blocks of all partitions together.
        write_buffer_bytes: of each memtable.
        write_buffers: memtables per partition.
        max_open_files: per partition.
        max_age_seconds: a store that was not written for longer is dropped and rebuilt. Compaction removes tombstones
            from a changelog after `delete.retention.ms` (a day), so an older store would miss deletions.
    """

    block_cache_bytes: int = 32 * _MEBIBYTE
    write_buffer_bytes: int = 8 * _MEBIBYTE
    write_buffers: int = 2
    max_open_files: int = 128
    max_age_seconds: float = 12 * 3600.0


class StoreCache:
    """The block cache that the stores of one application share."""

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self.blocks = Cache(options.block_cache_bytes)

    def rocksdb_options(self) -> Options:
        """RocksDB's options for one partition."""
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(self.options.write_buffer_bytes)
        options.set_max_write_buffer_number(self.options.write_buffers)
        options.set_max_open_files(self.options.max_open_files)
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(2)
        table = BlockBasedOptions()
        table.set_block_cache(self.blocks)
        table.set_bloom_filter(10, block_based=False)
        table.set_cache_index_and_filter_blocks(True)  # otherwise they grow beyond the bound of the cache
        options.set_block_based_table_factory(table)
        return options


class PartitionStore:
    """The store of one partition of one table.

    Args:
        path: its directory.
        owner: application and table; a store that another owner wrote is refused.
        cache: shared with the other stores.

    Raises:
        StoreError: it cannot be opened, or another owner wrote it.
    """

    def __init__(self, path: Path, owner: str, cache: StoreCache) -> None:
        self.path = path
        self._owner = f"{FORMAT} {owner}".encode()
        self._cache = cache
        self._db = self._open()

    def _open(self) -> Rdict:
        path = self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self._discarded, ignore_errors=True)  # left behind by a crash
            db = Rdict(str(path), options=self._cache.rocksdb_options(), access_type=AccessType.read_write())
        except Exception as error:  # rocksdict raises plain Exceptions and OSErrors
            raise StoreError(
                f"the state in {path} cannot be opened ({error}); if another worker uses it, give this one "
                "another state directory, else remove the directory: it is rebuilt from the changelog"
            ) from error
        found = db.get(_FORMAT_KEY)
        if found is None:
            if next(iter(db.keys()), None) is not None:
                db.close()
                raise StoreError(
                    f"the state in {path} was not written by this program; move it away, or use another "
                    "state directory"
                )
            db.put(_FORMAT_KEY, self._owner)
        elif found != self._owner:
            db.close()
            raise StoreError(
                f"the state in {path} is {found.decode(errors='replace')!r}, and "
                f"{self._owner.decode()!r} is needed; move it away (it is rebuilt from the changelog), or use "
                "another state directory"
            )
        return db

    def get(self, key: bytes) -> bytes | None:
        """The value of a key.

        Raises:
            StoreError: the disk cannot be read.
        """
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:  # rocksdict raises plain Exceptions
            raise StoreError(f"the state in {self.path} cannot be read: {error}") from error
        return value

    def write(self, entries: Iterable[Entry], changelog_offset: int | None) -> None:
        """Write keys (None deletes one) and the changelog offset that the store then has, all or nothing.

        Raises:
            StoreError: the disk is full or broken.
        """
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in entries:
            if value is None:
                delete(key)
            else:
                put(key, value)
        if changelog_offset is not None:
            put(_POSITION_KEY, b"%d %d" % (changelog_offset, time.time()))
        try:
            self._db.write(batch)
        except Exception as error:  # rocksdict raises plain Exceptions
            raise StoreError(
                f"the state in {self.path} cannot be written: {error}; make room or repair the disk and start "
                "again: nothing that was committed is lost"
            ) from error

    def changelog_offset(self) -> int | None:
        """The offset of the last changelog record in the store; None if there is none, or if the store is too old."""
        value = self.get(_POSITION_KEY)
        if value is None:
            return None
        offset, _, written = value.partition(b" ")
        if time.time() - int(written) > self._cache.options.max_age_seconds:
            return None
        return int(offset)

    def watermarks(self) -> dict[str, int]:
        """Per source topic the offset of the first record that is not in the state.

        Raises:
            StoreError: they cannot be read.
        """
        try:
            return decode_watermarks(self.get(WATERMARKS))
        except ValueError as error:
            raise StoreError(f"the state in {self.path}: {error}") from error

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """The table's keys and values, in the order of the keys, without those of the delivery."""
        for key, value in cast("Iterable[tuple[bytes, bytes]]", self._db.items()):
            if not key.startswith(RESERVED):
                yield key, value

    def page(self, first: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """The next `count` keys from a key on, with their values. The keys of the delivery come behind all others.

        Raises:
            StoreError: the disk cannot be read.
        """
        try:
            return list(islice(cast("Iterable[tuple[bytes, bytes]]", self._db.items(from_key=first)), count))
        except Exception as error:  # rocksdict raises plain Exceptions
            raise StoreError(f"the state in {self.path} cannot be read: {error}") from error

    def is_empty(self) -> bool:
        """Whether it has neither keys nor a changelog offset."""
        return self.get(_POSITION_KEY) is None and next(self.items(), None) is None

    def clear(self) -> None:
        """Remove everything, and open it anew."""
        self._db.close()
        # Rename first: a directory that is half removed could be opened as a store with missing keys.
        self.path.rename(self._discarded)
        self._db = self._open()
        shutil.rmtree(self._discarded, ignore_errors=True)

    @property
    def _discarded(self) -> Path:
        return self.path.with_name(f"{self.path.name}.discarded")

    def close(self) -> None:
        """Close it, and release its memory and its lock.

        Errors are ignored: a failed write has been reported already, and the changelog has the rest.
        """
        with suppress(Exception):  # rocksdict raises plain Exceptions
            self._db.close()
