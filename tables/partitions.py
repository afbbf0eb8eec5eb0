"""The wire form of what is kept of a partition: its counts, partition times, and the last chunk of roll-ups.

Version 2 is MessagePack. Version 1 was never released, and is not read.
"""

from typing import Final

import msgspec

from pipeline.evaluation.batch import PartitionState
from pipeline.events.foreign import UnreadableError, packed_reader
from tables.wire import PARTITION, WireError

VERSION: Final = 2
_HEAD: Final = bytes((PARTITION, VERSION))


class _Partition(msgspec.Struct, array_like=True, frozen=True):
    counts: dict[str, int]
    times: dict[str, int]
    sequence: int


_encode: Final = msgspec.msgpack.Encoder(order="deterministic").encode
_decode: Final = packed_reader(_Partition)


def encode_partition(state: PartitionState) -> bytes:
    """The bytes of a partition's state."""
    return _HEAD + _encode(_Partition(state.counts, state.times, state.sequence))


def decode_partition(value: bytes) -> PartitionState:
    """The state of bytes that `encode_partition` made.

    Raises:
        WireError: they are of another version, or not a partition's.
    """
    if not value.startswith(_HEAD):
        raise WireError("partition", value)
    try:
        state = _decode(value[2:])
    except UnreadableError as error:
        raise WireError("partition", value) from error
    return PartitionState(state.counts, state.times, state.sequence)
