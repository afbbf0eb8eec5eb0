"""The partition of a key, as Kafka's default partitioner computes it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from aiokafka.partitioner import murmur2

_POSITIVE = 0x7FFFFFFF
_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)
_MANY = 16
"""Minimum number of equal-length keys for which vectorised hashing pays off."""


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key by murmur2, the default of the Java client."""
    return int(murmur2(key) & _POSITIVE) % partitions


def murmur2_of_equal_length(keys: Sequence[bytes]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """murmur2 of one or more keys of the same length: 32 bits each, in their order.

    The steps are those of aiokafka's function, for all keys at once.
    """
    length = len(keys[0])
    data = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), length)
    whole = length & ~3
    words = np.ascontiguousarray(data[:, :whole]).view("<u4").astype(np.uint32)
    hashes = np.full(len(keys), _SEED ^ length, dtype=np.uint32)
    for number in range(whole // 4):
        mixed = words[:, number] * _M
        mixed ^= mixed >> np.uint32(24)
        mixed *= _M
        hashes *= _M
        hashes ^= mixed
    if length > whole:
        for place in range(length - whole):
            hashes ^= data[:, whole + place].astype(np.uint32) << np.uint32(8 * place)
        hashes *= _M
    hashes ^= hashes >> np.uint32(13)
    hashes *= _M
    hashes ^= hashes >> np.uint32(15)
    return hashes


class Partitioner:
    """`partition_of` with a cache: murmur2 in Python takes microseconds, a lookup a twentieth of one.

    The cache has two halves. When the younger half is full, the older one is dropped, so a hit needs no bookkeeping.

    Args:
        partitions: of the topic.
        size: the largest number of cached keys.
    """

    __slots__ = ("_half", "_older", "_recent", "partitions")

    def __init__(self, partitions: int, size: int = 200_000) -> None:
        if partitions < 1:
            raise ValueError(f"a topic has at least one partition, not {partitions}")
        self.partitions = partitions
        self._half = max(1, size // 2)
        self._recent: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def __call__(self, key: bytes) -> int:
        """The partition of a key."""
        partition = self._recent.get(key)
        if partition is not None:
            return partition
        partition = self._older.get(key)
        if partition is None:
            partition = partition_of(key, self.partitions)
        self._make_room()
        self._recent[key] = partition
        return partition

    def learn(self, keys: Iterable[bytes | None]) -> None:
        """Cache the partitions of keys that will be asked for: hashing many at once costs little per key."""
        recent, older = self._recent, self._older
        by_length: defaultdict[int, list[bytes]] = defaultdict(list)
        for key in keys:
            if key and key not in recent and key not in older:
                by_length[len(key)].append(key)
        for unknown in by_length.values():
            if len(unknown) >= _MANY:
                found = (murmur2_of_equal_length(unknown) & _POSITIVE) % self.partitions
                self._make_room()
                self._recent.update(zip(unknown, found.tolist(), strict=True))

    def _make_room(self) -> None:
        if len(self._recent) >= self._half:
            self._older, self._recent = self._recent, {}

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)
