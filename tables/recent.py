"""The wire form of a partition's last judged events. Version 1 is MessagePack."""

from typing import Final

import msgspec

from pipeline.evaluation.recent import Recent
from pipeline.events.foreign import UnreadableError, packed_reader
from tables.wire import RECENT, WireError

VERSION: Final = 1
_HEAD: Final = bytes((RECENT, VERSION))

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = packed_reader(Recent)


def encode_recent(recent: Recent) -> bytes:
    """The bytes of the last judged events."""
    return _HEAD + _encode(recent)


def decode_recent(value: bytes) -> Recent:
    """What `encode_recent` made into bytes.

    Raises:
        WireError: they are of a newer version, or something else.
    """
    if not value.startswith(_HEAD):
        raise WireError("recent results", value)
    try:
        return _decode(value[2:])
    except UnreadableError as error:
        raise WireError("recent results", value) from error
