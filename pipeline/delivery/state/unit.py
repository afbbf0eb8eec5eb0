"""One unit of state: partition p of a table, and of every topic that is folded into it.

All of it moves together: one cache of decoded values, one set of changed keys, the outputs that wait for the next
commit, and a watermark per topic. Nothing here waits for anything: between two awaits a unit is always consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar

from pipeline.delivery.state.changelog import RESERVED, WATERMARKS, Entry, encode_watermarks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.delivery.metrics import Metrics
    from pipeline.delivery.state.outputs import Output
    from pipeline.delivery.state.store import PartitionStore

V = TypeVar("V")

_ENCODED_TOGETHER: Final = 300


class Codec(Protocol[V]):
    """The wire form of a table's values. Equal states must give equal bytes, or reruns differ."""

    def encode(self, value: V, /) -> bytes:
        """The bytes of a value."""
        ...

    def decode(self, data: bytes, /) -> V:
        """The value of bytes that `encode` made."""
        ...


class State(MutableMapping[bytes, V]):
    """What a handler sees of a partition: its keys and values, and whether a key belongs here.

    For the hot path there are `cache` (a plain dictionary of decoded values), `load` for a key that is not in it,
    and `dirty`, to which a key is added when its value changed; the mapping interface does just that.
    A loaded value may be changed in place, if the key is set again (or added to `dirty`) before the handler returns.
    Take `cache` and `dirty` from the state of each call: they are not the same objects every time.
    """

    __slots__ = ("_partition_of", "cache", "dirty", "next_offsets", "notes", "partition")

    def __init__(self, partition: int, partition_of: Callable[[bytes], int]) -> None:
        self.partition = partition
        self.cache: dict[bytes, V] = {}
        self.dirty: set[bytes] = set()
        self.next_offsets: dict[str, int] = {}
        """Per source topic the offset after the last record in this state; to be read only."""
        self.notes: list[Any] = []
        """What a handler adds here the table's `at_commit` makes outputs of, once per commit."""
        self._partition_of = partition_of

    @property
    def state(self) -> Self:
        """Itself."""
        return self

    def owns(self, key: bytes) -> bool:
        """Whether a key's place, by murmur2, is this partition."""
        return self._partition_of(key) == self.partition

    def load(self, key: bytes) -> V | None:
        """The value of a key that is not in `cache`, which then is; None if there is no such key."""
        raise NotImplementedError

    def stored(self, first: bytes, count: int) -> list[tuple[bytes, bytes]]:  # noqa: ARG002 - nothing is stored here
        """So many keys from a key on, in their order, and the bytes of their values, as of the last commit."""
        return []

    def in_memory(self, key: bytes) -> bool:
        """Whether a key has a value here that the stored one may be older than, or was deleted."""
        return key in self.cache or key in self.dirty

    def get(self, key: bytes, default: V | None = None) -> V | None:  # type: ignore[override]  # bytes only
        """The value of a key."""
        value = self.cache.get(key)
        if value is None:
            value = self.load(key)
            if value is None:
                return default
        return value

    def __getitem__(self, key: bytes) -> V:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: V) -> None:
        self.cache[key] = value
        self.dirty.add(key)

    def __delitem__(self, key: bytes) -> None:
        if self.get(key) is None:
            raise KeyError(key)
        self.discard(key)

    def discard(self, key: bytes) -> None:
        """Delete a key, whether it is there or not."""
        self.cache.pop(key, None)
        self.dirty.add(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self.get(key) is not None

    def __iter__(self) -> Iterator[bytes]:
        raise TypeError("the keys of a partition may be millions; iterate over the table's store instead")

    def __len__(self) -> int:
        raise TypeError("the keys of a partition are not counted")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one commit of one unit writes: all that happened between two instants, encoded.

    Attributes:
        entries: changed keys with their new values (None: deleted), then the watermarks.
        keys: the changed keys.
        outputs: to publish.
        next_offsets: per topic the offset after the last record in it.
        moved: those of them that changed since the last commit.
    """

    entries: list[Entry]
    keys: set[bytes]
    outputs: list[Output]
    next_offsets: dict[str, int]
    moved: dict[str, int]


AtCommit = Callable[[State[V], list[Any]], Iterable["Output | None"]]
"""(state, notes since the last commit) to outputs, which are part of the commit; may change the state.

Where it takes long, it is a generator, which also yields None where others may have their turn."""


class EncodingError(Exception):
    """A value of the table cannot be encoded, or is too large."""


class Unit(State[V], Generic[V]):
    """One partition of a table while this worker owns it.

    `closed`: taken away, nothing more is to be processed. `broken`: a handler failed half-way, nothing may be
    committed before the unit is back at its last commit.

    Args:
        table: the table's name, for messages.
        partition: its number.
        store: the local store, as of the last commit.
        codec: of the values.
        partition_of: murmur2 for this table's partition count.
        cache_keys: decoded values that are kept beside the changed ones.
        max_value_bytes: what the changelog takes.
        metrics: of the worker.
        at_commit: makes outputs of the notes of handlers.
    """

    __slots__ = (
        "_at_commit",
        "_cache_keys",
        "_committed",
        "_max_value_bytes",
        "_older",
        "broken",
        "careful_until",
        "closed",
        "codec",
        "in_flight",
        "metrics",
        "output_bytes",
        "outputs",
        "store",
        "table",
    )

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
        """As in `State`; reads the store if the cache has never seen the key, or forgot it."""
        value = self._older.pop(key, None)
        if value is not None:
            self.cache[key] = value
            return value
        # Changed keys never leave the cache: one that is not there was deleted.
        if key in self.dirty or (self.in_flight is not None and key in self.in_flight.keys):
            return None
        self.metrics.cache_misses += 1
        data = self.store.get(key)
        if data is None:
            return None
        value = self.codec.decode(data)
        self.cache[key] = value
        return value

    def stored(self, first: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """As in `State`."""
        return [(key, value) for key, value in self.store.page(first, count) if not key.startswith(RESERVED)]

    def in_memory(self, key: bytes) -> bool:
        """As in `State`."""
        in_flight = self.in_flight
        return (
            super().in_memory(key) or key in self._older or (in_flight is not None and key in in_flight.keys)
        )

    def discard(self, key: bytes) -> None:
        """As in `State`."""
        self._older.pop(key, None)
        super().discard(key)

    def peek(self, key: bytes) -> V | None:
        """The value of a key, without a trace in the cache; a changed value is seen before it is committed."""
        value = self.cache.get(key)
        if value is None:
            value = self._older.get(key)
        if value is not None:
            return value
        if key in self.dirty or (self.in_flight is not None and key in self.in_flight.keys):
            return None
        data = self.store.get(key)
        return None if data is None else self.codec.decode(data)

    @property
    def cached(self) -> int:
        """Decoded values that are held."""
        return len(self.cache) + len(self._older)

    def evict(self) -> None:
        """Forget values that were not used lately, once there are too many; changed ones never.

        The cache has two halves. When the younger is full it becomes the older one, and what was in the older one and
        was not asked for since is forgotten, so that a lookup needs no bookkeeping.
        """
        if len(self.cache) * 2 <= self._cache_keys:
            return
        older = self._older
        kept = {key: older[key] for key in self.dirty if key in older}
        if self.in_flight is not None:
            kept.update((key, older[key]) for key in self.in_flight.keys if key in older)
        for key in kept:
            if key in self.cache:
                kept[key] = self.cache[key]
        self._older = dict(self.cache)
        # The same dictionary goes on, as a handler may hold it while this runs between its records.
        self.cache.clear()
        for key, value in kept.items():
            if key not in self._older:
                self.cache[key] = value
        self.metrics.cache_evictions += 1

    # -- what a handler did

    def advance(self, topic: str, next_offset: int, outputs: list[Output]) -> None:
        """A handler's writes stand, its outputs wait for the commit, and the watermark passes its records."""
        if outputs:
            self.outputs += outputs
            self.output_bytes += sum([output.size for output in outputs])
        self.next_offsets[topic] = next_offset

    def begin_at(self, topic: str, offset: int) -> None:
        """Where reading a topic begins that this state knows nothing of, or whose records were deleted meanwhile."""
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

    # -- commits

    def encode(self, key: bytes, value: V) -> bytes:
        """The bytes of a value.

        Raises:
            EncodingError: there are none, or too many.
        """
        if key.startswith(RESERVED):
            raise EncodingError(f"key {key!r} is reserved for this package")
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
        """Everything since the last snapshot, encoded. The unit goes on after it; the snapshot is in flight.

        Each None is a pause between pieces of work, in which the unit must not change; the last one is the snapshot.

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
            if not number % _ENCODED_TOGETHER:
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
        """A snapshot is committed: the local store and the books follow.

        Raises:
            StoreError: the store cannot take it.
        """
        self.store.write(snapshot.entries, changelog_offset)
        self._committed = snapshot.next_offsets
        self.in_flight = None

    def back_to_last_commit(self, until: dict[str, int]) -> None:
        """Drop everything since the last commit; nothing may be in flight.

        Args:
            until: per topic the offset before which records are to be tried one by one.
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

    # -- careful processing

    def trial(self) -> Trial[V]:
        """A state to try one record on, with copies of the values."""
        return Trial(self)


class Trial(State[V]):
    """A unit's state for one record, made of copies: what a failing handler changes in place is gone with it."""

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
        """The record went well: its writes become the unit's.

        Raises:
            EncodingError: one of them could never be committed; none was kept.
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
