"""The wire form of the rule set in force in a partition. Version 1 is MessagePack."""

from typing import Final

import msgspec

from pipeline.evaluation.rule_book import InForce
from pipeline.events.foreign import UnreadableError, packed_reader
from tables.wire import RULES, WireError

VERSION: Final = 1
_HEAD: Final = bytes((RULES, VERSION))

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = packed_reader(InForce)


def encode_rules(in_force: InForce) -> bytes:
    """The bytes of a rule set in force."""
    return _HEAD + _encode(in_force)


def decode_rules(value: bytes) -> InForce:
    """What `encode_rules` made into bytes.

    Raises:
        WireError: they are of a newer version, or something else.
    """
    if not value.startswith(_HEAD):
        raise WireError("rule set", value)
    try:
        return _decode(value[2:])
    except UnreadableError as error:
        raise WireError("rule set", value) from error
