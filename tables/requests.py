"""The wire form of a user's privacy requests. Version 1 is MessagePack."""

from typing import Final

import msgspec

from pipeline.events.foreign import UnreadableError, packed_reader
from pipeline.windows.requests import RequestHistory
from tables.wire import REQUESTS, WireError

VERSION: Final = 1
_HEAD: Final = bytes((REQUESTS, VERSION))

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = packed_reader(RequestHistory)


def encode_requests(history: RequestHistory) -> bytes:
    """The bytes of a user's requests."""
    return _HEAD + _encode(history)


def decode_requests(value: bytes) -> RequestHistory:
    """What `encode_requests` made into bytes.

    Raises:
        WireError: they are of a newer version, or something else.
    """
    if not value.startswith(_HEAD):
        raise WireError("request", value)
    try:
        return _decode(value[2:])
    except UnreadableError as error:
        raise WireError("request", value) from error
