"""Which partition a key belongs to, as every Kafka client of the Java line computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.partitioner import murmur2

if TYPE_CHECKING:
    from pipeline.lab.generator.casting import Activation


def partition_of(key: bytes, partitions: int) -> int:
    """Kafka's default placement: murmur2 of the key, without its sign, modulo the partition count."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def place(who: Activation, partitions: int) -> int:
    """The partition of somebody's records; computed once for each of their evenings."""
    if who.partition < 0:
        who.partition = partition_of(who.key, partitions)
    return who.partition
