"""The wire form of what is kept of a partition: its counts, partition times, and the last chunk of roll-ups.

Version 2 is MessagePack. Version 1 had no chunks, and is read as one before the first.
"""

from typing import Final

import msgspec

from pipeline.evaluation.batch import PartitionState
from pipeline.events.foreign import UnreadableError, packed_reader
from tables.wire import PARTITION, WireError

VERSION: Final = 2
_HEAD: Final = bytes((PARTITION, VERSION))
_READABLE: Final = (_HEAD, bytes((PARTITION, 1)))


class _Partition(msgspec.Struct, array_like=True, frozen=True):
    counts: dict[str, int]
    times: dict[str, int]
    sequence: int = 0


_encode: Final = msgspec.msgpack.Encoder(order="deterministic").encode
_decode: Final = packed_reader(_Partition)


def encode_partition(state: PartitionState) -> bytes:
    """The bytes of a partition's state."""
    return _HEAD + _encode(_Partition(state.counts, state.times, state.sequence))


def decode_partition(value: bytes) -> PartitionState:
    """The state of bytes that `encode_partition` made, of this or an older version.

    Raises:
        WireError: they are of a newer version, or not a partition's.
    """
    if not value.startswith(_READABLE):
        raise WireError("partition", value)
    try:
        state = _decode(value[2:])
    except UnreadableError as error:
        raise WireError("partition", value) from error
    return PartitionState(state.counts, state.times, state.sequence)
