"""Reading fetched bytes, when some of them cannot be read.

Producers may use any codec, a disk may corrupt bytes, and a small batch may expand to gigabytes. aiokafka raises an
error then, and raises it again at every attempt, so one bad batch would stop its partition for ever. Here a batch that
cannot be read becomes one `UnreadableBatch` among the records, and reading continues behind it.

Importing this module is enough: it replaces aiokafka's reading of fetched bytes for every consumer of the process. It
uses internals of aiokafka 0.14, whose version is pinned. The tests fail if these internals have moved.
"""

from __future__ import annotations

from gzip import GzipFile
from io import BytesIO
from mmap import mmap
from typing import TYPE_CHECKING, Any, Final

import cramjam
from aiokafka.consumer import fetcher
from aiokafka.record import default_records, legacy_records
from aiokafka.record._crecords import default_records as c_default_records
from aiokafka.record._crecords import legacy_records as c_legacy_records
from aiokafka.structs import ConsumerRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiokafka.structs import TopicPartition

MAX_EXPANDED_BYTES: Final = 64 << 20
"""A batch that expands beyond this is not read. Brokers accept 1 MiB, and events compress to about a tenth."""
LAST_TIMESTAMP_MS: Final = 253_402_300_799_999
"""The end of the year 9999. A timestamp beyond it is not in milliseconds, and counts as none."""
NO_TIMESTAMP: Final = -1
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER: Final = 16
_LONGEST_RANGE: Final = 1 << 24
"""A batch header that claims more offsets than this is wrong."""


class UnreadableBatch(ConsumerRecord[bytes, bytes]):
    """Takes the place of the records of a batch that cannot be read.

    It has no key, no value and no timestamp. Its offset is the last one of the batch.

    Attributes:
        first_offset: the first offset that could not be read; earlier records of the batch were read.
        reason: what went wrong.
    """

    first_offset: int
    reason: str

    def __init__(self, tp: TopicPartition, first: int, last: int, reason: str) -> None:
        super().__init__(tp.topic, tp.partition, last, NO_TIMESTAMP, 0, None, None, None, -1, -1, ())
        # The base class is frozen.
        object.__setattr__(self, "first_offset", first)
        object.__setattr__(self, "reason", reason)

    @property
    def count(self) -> int:
        """The number of offsets that it takes the place of."""
        return self.offset - self.first_offset + 1

    def __str__(self) -> str:
        return (
            f"offsets {self.first_offset} to {self.offset} of {self.topic}/{self.partition} cannot be read: "
            f"{self.reason}"
        )


class TooLargeError(Exception):
    """A batch expands to more than `MAX_EXPANDED_BYTES`."""

    def __init__(self) -> None:
        super().__init__(f"it expands to more than {MAX_EXPANDED_BYTES} bytes")


class _LastBatch:
    """The batches of a fetch. It remembers the last one, and refuses one whose offsets lie behind the position."""

    def __init__(self, batches: Any, position: Callable[[], int]) -> None:
        self._batches = batches
        self._position = position
        self.last: Any = None

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def next_batch(self) -> Any:
        self.last = None
        self.last = self._batches.next_batch()
        if self.last.next_offset <= self._position():
            raise ValueError(f"its offsets end with {self.last.next_offset - 1}")
        return self.last


class TolerantRecords(fetcher.PartitionRecords):
    """aiokafka's records of a fetch, but reading continues behind a batch that cannot be read."""

    def __init__(self, tp: TopicPartition, records: Any, *rest: Any) -> None:
        self._batches = _LastBatch(records, lambda: self.next_fetch_offset)
        super().__init__(tp, self._batches, *rest)  # type: ignore[no-untyped-call]  # aiokafka's

    def _unpack_records(self) -> Iterator[ConsumerRecord[bytes, bytes]]:
        try:
            yield from super()._unpack_records()  # type: ignore[no-untyped-call]  # aiokafka's
        except Exception as error:  # noqa: BLE001 - anything may be wrong with bytes that others wrote
            # Leave the rest to the next fetch, which has a new list of aborted transactions. If the bad batch was
            # the end of one, the present list would make the producer's next records seem aborted, too.
            yield self._unreadable(self._batches.last, error)

    def _unreadable(self, batch: Any, error: Exception) -> UnreadableBatch:
        first = self.next_fetch_offset
        last = first
        if batch is not None:
            claimed = batch.next_offset - 1
            if first <= claimed < first + _LONGEST_RANGE:
                last = claimed
        self.next_fetch_offset = last + 1
        return UnreadableBatch(self._tp, first, last, f"{type(error).__name__}: {error}"[:500])

    def _consumer_record(self, tp: TopicPartition, record: Any) -> ConsumerRecord[bytes, bytes]:
        key, value, timestamp = record.key, record.value, record.timestamp
        return ConsumerRecord(
            tp.topic,
            tp.partition,
            record.offset,
            # Messages of the oldest format have no timestamp.
            timestamp if timestamp is not None and 0 <= timestamp <= LAST_TIMESTAMP_MS else NO_TIMESTAMP,
            record.timestamp_type,
            key,
            value,
            record.checksum,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            tuple(record.headers),
        )


# -- expanding within bounds


def _within_bounds(decompress_into: Callable[[bytes, mmap], int], payload: bytes) -> bytes:
    # The system provides mapped memory only where it is written. A bytearray would be zeroed as a whole each time.
    with mmap(-1, MAX_EXPANDED_BYTES) as output:
        try:
            size = decompress_into(payload, output)
        except cramjam.DecompressionError as error:
            if "whole buffer" in str(error):
                raise TooLargeError from error
            raise
        return output[:size]


def gzip_decode(payload: bytes) -> bytes:
    """Expand gzip with any number of members."""
    with GzipFile(fileobj=BytesIO(payload)) as expanding:
        expanded = expanding.read(MAX_EXPANDED_BYTES + 1)
    if len(expanded) > MAX_EXPANDED_BYTES:
        raise TooLargeError
    return expanded


def lz4_decode(payload: bytes) -> bytes:
    """Expand an LZ4 frame."""
    return _within_bounds(cramjam.lz4.decompress_into, bytes(payload))


def zstd_decode(payload: bytes) -> bytes:
    """Expand Zstandard."""
    return _within_bounds(cramjam.zstd.decompress_into, bytes(payload))


def snappy_decode(payload: bytes) -> bytes:
    """Expand Snappy, either raw or in the blocks of the Java client."""
    payload = bytes(payload)
    if not payload.startswith(_XERIAL):
        return _raw_snappy(payload, MAX_EXPANDED_BYTES)
    parts: list[bytes] = []
    left, position = MAX_EXPANDED_BYTES, _XERIAL_HEADER
    while position < len(payload):
        size = int.from_bytes(payload[position : position + 4], "big")
        position += 4
        if not 0 < size <= len(payload) - position:
            raise ValueError(f"a Snappy block of {size} bytes, and {len(payload) - position} are left")
        parts.append(_raw_snappy(payload[position : position + size], left))
        left -= len(parts[-1])
        position += size
    return b"".join(parts)


def _raw_snappy(payload: bytes, limit: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(payload) > limit:
        raise TooLargeError
    return bytes(cramjam.snappy.decompress_raw(payload))


def _install() -> None:
    fetcher.PartitionRecords = TolerantRecords  # type: ignore[misc]  # aiokafka has no other place for it
    for module in (default_records, legacy_records, c_default_records, c_legacy_records):
        for decode in (gzip_decode, lz4_decode, snappy_decode, zstd_decode):
            if hasattr(module, decode.__name__):
                setattr(module, decode.__name__, decode)


_install()
