"""The wire form of what is kept of a partition: its counts and partition times. Version 1 is MessagePack."""

from typing import Final

import msgspec

from pipeline.evaluation.batch import PartitionState
from tables.wire import PARTITION, WireError

VERSION: Final = 1
_HEAD: Final = bytes((PARTITION, VERSION))


class _Partition(msgspec.Struct, array_like=True, frozen=True):
    counts: dict[str, int]
    times: dict[str, int]


_encode: Final = msgspec.msgpack.Encoder(order="deterministic").encode
_decode: Final = msgspec.msgpack.Decoder(_Partition).decode


def encode_partition(state: PartitionState) -> bytes:
    """The bytes of a partition's state."""
    return _HEAD + _encode(_Partition(state.counts, state.times))


def decode_partition(value: bytes) -> PartitionState:
    """The state of bytes that `encode_partition` made.

    Raises:
        WireError: they are of a newer version, or not a partition's.
    """
    if not value.startswith(_HEAD):
        raise WireError("partition", value)
    try:
        state = _decode(value[2:])
    except msgspec.DecodeError as error:
        raise WireError("partition", value) from error
    return PartitionState(state.counts, state.times)
