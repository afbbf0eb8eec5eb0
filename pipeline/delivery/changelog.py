"""The changelog of a partition: what a commit writes to it, and how it is read back.

A commit writes the changed keys and, last, the watermarks: one record under `WATERMARKS` with the offset of the next
record of each source topic. With transactions a reader sees all of a commit or nothing. Without them only one record
batch is atomic; a commit that does not fit into one marks each of its records with a number, and the last one as such:
a reader applies them when the last one is there, and does not apply a commit that stayed incomplete.
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
        if version == _VERSION:
            return {str(topic): int(offset) for topic, offset in next_offsets.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"these are no watermarks: {value[:80]!r}") from error
    raise ValueError(f"watermarks of version {str(version)[:80]}; this program reads version {_VERSION}")


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
    """Puts the commits of one changelog partition together again; holds back those that are incomplete.

    A marked commit is complete when its last record is there. Compaction may have removed that record, as a newer
    one with the same key (`WATERMARKS`) has taken its place: so what is held back when a later commit ends counts
    as complete, too. That a commit which stayed incomplete does not come back to life in this way is up to the next
    writer: it writes the keys of such a commit anew, see `forget`. Values that are newer in the changelog win.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: dict[bytes, dict[bytes, tuple[int, bytes | None]]] = {}

    @property
    def waiting(self) -> int:
        """Records of incomplete commits."""
        return sum(map(len, self._parts.values()))

    @property
    def first(self) -> int | None:
        """The offset of the first record of an incomplete commit."""
        offsets = [offset for entries in self._parts.values() for offset, _ in entries.values()]
        return min(offsets, default=None)

    def add(self, records: Sequence[ChangelogRecord]) -> Applied:
        """Take the next records, at least one, of the partition; give those that may be applied."""
        ready: list[Entry] = []
        for record in records:
            key, value = record.key, record.value
            headers = dict(record.headers) if record.headers else {}
            part = headers.get(PART)
            if part is None:
                ready.append((key, value))
                if self._parts:
                    self._supersede((key,))
                    if key == WATERMARKS:
                        ready += self._rest()
                continue
            entries = self._parts.setdefault(part, {})
            entries[key] = (record.offset, value)
            if COMPLETE in headers:
                del self._parts[part]
                self._supersede(entries)
                ready += self._rest()
                ready += [(key, value) for key, (_, value) in entries.items()]
        first = self.first if self._parts else None
        return Applied(ready, records[-1].offset if first is None else first - 1)

    def _supersede(self, keys: Iterable[bytes]) -> None:
        for entries in self._parts.values():
            for key in keys:
                entries.pop(key, None)

    def _rest(self) -> list[Entry]:
        rest = [(key, value) for entries in self._parts.values() for key, (_, value) in entries.items()]
        self._parts.clear()
        return rest

    def forget(self) -> set[bytes]:
        """Give up commits that will never be complete, because their writer is gone.

        Returns:
            the keys in them: the next commit must write their values, or readers after it will take up these.
        """
        keys = {key for entries in self._parts.values() for key in entries}
        self._parts.clear()
        return keys
