"""One unit of state: partition p of a table, and of every topic that is folded into it.

A unit has one cache of decoded values, one set of changed keys, the outputs that wait for the next commit, and a
watermark per topic. A commit takes all of these together. Nothing here awaits, so between two awaits of its callers a
unit is always consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from pipeline.delivery.state.changelog import RESERVED, WATERMARKS, Entry, encode_watermarks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.delivery.metrics import Metrics
    from pipeline.delivery.state.outputs import Output
    from pipeline.delivery.state.store import PartitionStore

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

_ENCODED_PER_TURN: Final = 300
"""Encoding this many values takes a few milliseconds; then others have their turn."""


class Codec(Protocol[V]):
    """The wire form of a table's values. Equal values must give equal bytes, so that a rerun writes the same."""

    def encode(self, value: V, /) -> bytes:
        """The bytes of a value."""

    def decode(self, data: bytes, /) -> V:
        """The value of bytes that `encode` returned."""


class State(Generic[V]):
    """A partition as a handler sees it: its keys and values.

    The hot path may use the parts directly: `cache` (a plain dictionary of decoded values), `load` for
    a key that is not in it, and `dirty`, the set of changed keys. A value may be changed in place, if its key is set
    again (or added to `dirty`) before the handler returns.

    Take `cache` and `dirty` from the state of each call: they are not always the same objects.
    """

    __slots__ = ("_partition_of", "cache", "dirty", "next_offsets", "notes", "partition")

    def __init__(self, partition: int, partition_of: Callable[[bytes], int]) -> None:
        self.partition = partition
        self.cache: dict[bytes, V] = {}
        self.dirty: set[bytes] = set()
        self.next_offsets: dict[str, int] = {}
        """The watermarks: per source topic the offset after the last record in this state. Read only."""
        self.notes: list[Any] = []
        """What a handler adds here goes to the table's `at_commit`, which makes outputs of it once per commit."""
        self._partition_of = partition_of

    def owns(self, key: bytes) -> bool:
        """Whether a key belongs to this partition, by murmur2."""
        return self._partition_of(key) == self.partition

    def load(self, key: bytes) -> V | None:
        """Load a key that is not in `cache` into it, and return its value; None if there is no such key."""
        raise NotImplementedError

    def stored(self, first: bytes, count: int) -> list[tuple[bytes, bytes]]:  # noqa: ARG002 - nothing is stored here
        """The next `count` keys from a key on, and the bytes of their values, as of the last commit."""
        return []

    def in_memory(self, key: bytes) -> bool:
        """Whether the stored value of a key may be out of date, because the key is cached or was changed."""
        return key in self.cache or key in self.dirty

    def get(self, key: bytes) -> V | None:
        """The value of a key; None if there is no such key."""
        value = self.cache.get(key)
        return self.load(key) if value is None else value

    def __getitem__(self, key: bytes) -> V:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: V) -> None:
        self.cache[key] = value
        self.dirty.add(key)

    def discard(self, key: bytes) -> None:
        """Delete a key, whether it is there or not."""
        self.cache.pop(key, None)
        self.dirty.add(key)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one commit of one unit writes, encoded.

    Attributes:
        entries: changed keys with their new values (None: deleted); the last one is the watermarks.
        keys: the changed keys.
        outputs: records to publish.
        next_offsets: per topic the offset after the last record in the snapshot.
        moved: those of them that changed since the last commit.
    """

    entries: list[Entry]
    keys: set[bytes]
    outputs: list[Output]
    next_offsets: dict[str, int]
    moved: dict[str, int]


AtCommit = Callable[[State[V], list[Any]], Iterable["Output | None"]]
"""(state, notes since the last commit) to outputs, which are part of the commit. It may change the state.

If it takes long, make it a generator that also yields None wherever others may have their turn."""


class Reader(Protocol[V_co]):
    """What a view beside the stream may ask of a partition's state. Asking changes nothing."""

    @property
    def cache(self) -> Mapping[bytes, V_co]:
        """Decoded values that are in memory; not all of them."""

    @property
    def closed(self) -> bool:
        """Whether the partition was taken away from this worker."""

    @property
    def settled(self) -> bool:
        """Whether everything that was processed is committed."""

    @property
    def committed_offsets(self) -> Mapping[str, int]:
        """By topic, the offset after the last record whose commit is acknowledged."""

    @property
    def next_offsets(self) -> Mapping[str, int]:
        """By topic, the offset after the last record that was processed."""

    def peek(self, key: bytes) -> V_co | None:
        """The value of a key as of now, also before it is committed; None if there is none."""


class EncodingError(Exception):
    """A value cannot be encoded, or is too large."""


class Unit(State[V]):
    """One partition of a table while this worker owns it.

    Args:
        table: the table's name, for messages.
        partition: its number.
        store: the local store, as of the last commit.
        codec: of the values.
        partition_of: murmur2 for this table's partition count.
        cache_keys: number of decoded values that are kept beside the changed ones.
        max_value_bytes: the largest value that the changelog accepts.
        metrics: of the worker.
        at_commit: makes outputs of the handlers' notes.

    Attributes:
        closed: the unit was given up; process nothing more.
        broken: a handler failed half-way; commit nothing before the unit is back at its last commit.
        in_flight: the snapshot of the commit under way.
        careful_until: per topic the offset before which records are processed one by one.
        outputs: what the next commit publishes.
        output_bytes: their total size.
    """

    def __init__(
        self,
        table: str,
        partition: int,
        store: PartitionStore,
        codec: Codec[V],
        partition_of: Callable[[bytes], int],
        cache_keys: int,
        max_value_bytes: int,
        metrics: Metrics,
        at_commit: AtCommit[V] | None = None,
    ) -> None:
        super().__init__(partition, partition_of)
        self.table = table
        self.store = store
        self.codec = codec
        self.metrics = metrics
        self._cache_keys = max(2, cache_keys)
        self._max_value_bytes = max_value_bytes
        self._at_commit = at_commit
        self._older: dict[bytes, V] = {}
        self._committed = store.watermarks()
        self.next_offsets = dict(self._committed)
        self.outputs: list[Output] = []
        self.output_bytes = 0
        self.in_flight: Snapshot | None = None
        self.careful_until: dict[str, int] = {}
        self.closed = False
        self.broken = False

    def __str__(self) -> str:
        return f"partition {self.partition} of {self.table}"

    # -- values

    def load(self, key: bytes) -> V | None:
        """As in `State`; reads the store if the key is not cached."""
        value = self._older.pop(key, None)
        if value is not None:
            self.cache[key] = value
            return value
        # Changed keys are never evicted, so a changed key that is not cached was deleted.
        if self._is_changed(key):
            return None
        self.metrics.cache_misses += 1
        data = self.store.get(key)
        if data is None:
            return None
        value = self.codec.decode(data)
        self.cache[key] = value
        return value

    def _is_changed(self, key: bytes) -> bool:
        return key in self.dirty or (self.in_flight is not None and key in self.in_flight.keys)

    def stored(self, first: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """As in `State`."""
        return [(key, value) for key, value in self.store.page(first, count) if not key.startswith(RESERVED)]

    def in_memory(self, key: bytes) -> bool:
        """As in `State`."""
        return key in self.cache or key in self._older or self._is_changed(key)

    def discard(self, key: bytes) -> None:
        """As in `State`."""
        self._older.pop(key, None)
        super().discard(key)

    def peek(self, key: bytes) -> V | None:
        """The current value of a key, committed or not; the cache stays as it is."""
        value = self.cache.get(key)
        if value is None:
            value = self._older.get(key)
        if value is not None:
            return value
        if self._is_changed(key):
            return None
        data = self.store.get(key)
        return None if data is None else self.codec.decode(data)

    @property
    def cached(self) -> int:
        """The number of decoded values in memory."""
        return len(self.cache) + len(self._older)

    def evict(self) -> None:
        """Drop values that were not used recently, if there are too many. Changed values are never dropped.

        The cache has a younger and an older half. A lookup moves a value to the younger half. When the younger half is
        full, it becomes the older one, and the values left in the former older half are dropped. So a hit costs nothing
        but a dictionary lookup.
        """
        if len(self.cache) * 2 <= self._cache_keys:
            return
        older, cache = self._older, self.cache
        changed = self.dirty if self.in_flight is None else self.dirty | self.in_flight.keys
        kept = {key: older[key] for key in changed if key in older and key not in cache}
        self._older = dict(cache)
        # Change the dictionary instead of replacing it: a handler may hold it while this runs between its records.
        cache.clear()
        cache.update(kept)
        self.metrics.cache_evictions += 1

    # -- what a handler did

    def advance(self, topic: str, next_offset: int, outputs: list[Output]) -> None:
        """Accept what a handler did: its outputs wait for the commit, and the watermark passes its records."""
        if outputs:
            self.outputs += outputs
            self.output_bytes += sum([output.size for output in outputs])
        self.next_offsets[topic] = next_offset

    def begin_at(self, topic: str, offset: int) -> None:
        """Set the watermark of a topic that has none yet, or whose records were deleted before they were read."""
        self.next_offsets[topic] = offset
        self._committed[topic] = offset

    @property
    def committed_offsets(self) -> Mapping[str, int]:
        """Per topic the offset after the last committed record."""
        return self._committed

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.dirty or self.outputs or self.next_offsets != self._committed)

    @property
    def settled(self) -> bool:
        """Whether everything that was processed is committed."""
        return not self.changed and self.in_flight is None

    # -- commits

    def encode(self, key: bytes, value: V) -> bytes:
        """The bytes of a value.

        Raises:
            EncodingError: it cannot be encoded, or is too large.
        """
        if key.startswith(RESERVED):
            raise EncodingError(f"key {key!r} begins as the keys that are reserved for the delivery")
        try:
            data = self.codec.encode(value)
        except Exception as error:
            raise EncodingError(f"the value of key {key!r} cannot be encoded: {error!r}") from error
        if len(data) > self._max_value_bytes:
            raise EncodingError(
                f"the value of key {key!r} takes {len(data)} bytes; {self._max_value_bytes} are allowed"
            )
        return data

    def take(self) -> Iterator[Snapshot | None]:
        """Take everything since the last snapshot, encoded. Step 1 of a commit (`commit/steps.py`).

        It yields None wherever others may have their turn; the unit must not change before the end. The last item is
        the snapshot, which then is in flight until `settle`.

        Raises:
            EncodingError: a value cannot be encoded; nothing is in flight.
        """
        if self.in_flight is not None:
            raise RuntimeError(f"{self}: a commit is under way")
        if self.notes and self._at_commit is not None:
            notes, self.notes = self.notes, []
            for output in self._at_commit(self, notes):
                if output is None:
                    yield None
                else:
                    self.outputs.append(output)
        cache, older, encode = self.cache, self._older, self.encode
        entries: list[Entry] = []
        for number, key in enumerate(self.dirty, 1):
            value = cache.get(key)
            if value is None:
                value = older.get(key)
            entries.append((key, None if value is None else encode(key, value)))
            if not number % _ENCODED_PER_TURN:
                yield None
        next_offsets = dict(self.next_offsets)
        committed = self._committed
        moved = {topic: offset for topic, offset in next_offsets.items() if committed.get(topic) != offset}
        entries.append((WATERMARKS, encode_watermarks(next_offsets)))
        snapshot = Snapshot(entries, self.dirty, self.outputs, next_offsets, moved)
        self.in_flight = snapshot
        self.dirty, self.outputs, self.output_bytes = set(), [], 0
        yield snapshot

    def settle(self, snapshot: Snapshot, changelog_offset: int | None) -> None:
        """Write a committed snapshot to the local store, and count it as committed. Step 6 of a commit.

        Raises:
            StoreError: the store cannot be written.
        """
        self.store.write(snapshot.entries, changelog_offset)
        self._committed = snapshot.next_offsets
        self.in_flight = None

    def back_to_last_commit(self, until: dict[str, int]) -> None:
        """Drop everything since the last commit; nothing may be in flight.

        Args:
            until: per topic the offset before which records are processed one by one, if it is beyond the watermark.
        """
        if self.in_flight is not None:
            raise RuntimeError(f"{self}: a commit is under way")
        for topic, offset in (*self.next_offsets.items(), *until.items()):
            self.careful_until[topic] = max(offset, self.careful_until.get(topic, 0))
        self.cache, self._older = {}, {}
        self.dirty, self.outputs, self.output_bytes = set(), [], 0
        self.notes = []
        self.next_offsets = dict(self._committed)
        self.broken = False

    # -- one by one

    def trial(self) -> Trial[V]:
        """A state to process one record on, with copies of the values."""
        return Trial(self)


class Trial(State[V]):
    """A unit's state for one record. Its values are copies, so a failing handler leaves no trace."""

    __slots__ = ("_unit",)

    def __init__(self, unit: Unit[V]) -> None:
        super().__init__(unit.partition, unit._partition_of)  # noqa: SLF001 - the same module
        self._unit = unit
        self.next_offsets = unit.next_offsets

    def load(self, key: bytes) -> V | None:
        """As in `State`."""
        if key in self.dirty:
            return None
        value = self._unit.peek(key)
        if value is None:
            return None
        codec = self._unit.codec
        value = codec.decode(codec.encode(value))
        self.cache[key] = value
        return value

    def keep(self) -> None:
        """Take the writes over into the unit, because the record went well.

        Raises:
            EncodingError: one of them could never be committed; none was taken over.
        """
        unit, cache = self._unit, self.cache
        changed = [(key, cache.get(key)) for key in self.dirty]
        for key, value in changed:
            if value is not None:
                unit.encode(key, value)
        for key, value in changed:
            if value is None:
                unit.discard(key)
            else:
                unit._older.pop(key, None)  # noqa: SLF001 - the same module
                unit[key] = value
        unit.notes += self.notes
