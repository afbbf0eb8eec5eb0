"""The partition of somebody's records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.delivery.partitioner import partition_of

if TYPE_CHECKING:
    from pipeline.lab.generator.casting import Activation


def place(who: Activation, partitions: int) -> int:
    """The partition of somebody's records; computed once for each of their evenings."""
    if who.partition < 0:
        who.partition = partition_of(who.key, partitions)
    return who.partition
