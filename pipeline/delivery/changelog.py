"""The changelog of a partition: what a commit writes to it, and how it is read back.

A commit writes the changed keys and, last, the watermarks: one record under `WATERMARKS` with the offset of the next
record of each source topic. With transactions a reader sees all of a commit or nothing. Without them only one record
batch is atomic; a commit that does not fit into one marks each of its records with a number, and the last one with
their count: a reader applies them when the last one is there, and never applies a commit that stayed incomplete.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

RESERVED: Final = b"\xff\x00"
"""Keys that begin so belong to this package; text in UTF-8 never does."""
WATERMARKS: Final = RESERVED + b"watermarks"

PART: Final = "part"
COMPLETE: Final = "complete"

_VERSION: Final = 1
# About what a record takes beside its key and value: lengths, deltas, the mark.
_OVERHEAD: Final = 48

Entry = tuple[bytes, bytes | None]
Headers = Sequence[tuple[str, bytes]]


class ChangelogRecord(Protocol):
    """What is read of a changelog record (aiokafka's ConsumerRecord has it)."""

    @property
    def offset(self) -> int: ...  # noqa: D102 - Kafka's own words
    @property
    def key(self) -> bytes: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102


def encode_watermarks(next_offsets: Mapping[str, int]) -> bytes:
    """The value under `WATERMARKS`: per topic the offset of the first record that is not in the state."""
    return json.dumps(
        {"v": _VERSION, "next": dict(sorted(next_offsets.items()))}, separators=(",", ":")
    ).encode()


def decode_watermarks(value: bytes | None) -> dict[str, int]:
    """The offsets that `encode_watermarks` wrote; none for None.

    Raises:
        ValueError: these are not watermarks, or those of a newer version.
    """
    if value is None:
        return {}
    try:
        content = json.loads(value)
        version, next_offsets = content["v"], content["next"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"these are no watermarks: {value[:80]!r}") from error
    if version != _VERSION or not isinstance(next_offsets, dict):
        raise ValueError(f"watermarks of version {version!r}; this program reads version {_VERSION}")
    return {str(topic): int(offset) for topic, offset in next_offsets.items()}


def size_of(entries: Iterable[Entry]) -> int:
    """Upper bound of the bytes that entries take in a record batch."""
    return sum(len(key) + len(value or b"") + _OVERHEAD for key, value in entries)


def marks(number: int, count: int) -> Iterable[Headers]:
    """The headers of the records of a commit that does not fit into one record batch.

    Args:
        number: of the commit, never used before in this changelog.
        count: of its records.
    """
    part = ((PART, b"%d" % number),)
    for _ in range(count - 1):
        yield part
    yield (*part, (COMPLETE, b"%d" % count))


class Applied(NamedTuple):
    """Changelog records to apply, and the offset up to which nothing is missing then."""

    entries: list[Entry]
    offset: int


class Assembler:
    """Puts the commits of one changelog partition together again; holds back those that are incomplete."""

    __slots__ = ("_first", "_parts")

    def __init__(self) -> None:
        self._parts: dict[bytes, list[Entry]] = {}
        self._first: dict[bytes, int] = {}

    @property
    def waiting(self) -> int:
        """Records of incomplete commits."""
        return sum(map(len, self._parts.values()))

    def add(self, records: Sequence[ChangelogRecord]) -> Applied:
        """Take the next records, at least one, of the partition; give those that may be applied."""
        ready: list[Entry] = []
        for record in records:
            if not record.headers:
                ready.append((record.key, record.value))
                continue
            headers = dict(record.headers)
            part = headers.get(PART)
            if part is None:
                ready.append((record.key, record.value))
                continue
            entries = self._parts.setdefault(part, [])
            self._first.setdefault(part, record.offset)
            entries.append((record.key, record.value))
            complete = headers.get(COMPLETE)
            if complete is not None:
                if len(entries) >= int(complete):
                    ready += entries
                del self._parts[part], self._first[part]
        offset = records[-1].offset
        if self._first:
            offset = min(offset, min(self._first.values()) - 1)
        return Applied(ready, offset)

    def forget(self) -> int:
        """Give up commits that will never be complete, because their writer is gone; how many records."""
        count = self.waiting
        self._parts.clear()
        self._first.clear()
        return count
