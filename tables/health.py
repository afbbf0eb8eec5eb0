"""The table of the health agent: figures of titles, devices, regions, plans and rules; minutes of titles; and the rest.

Its name and the form of its keys are persisted identity. A key is

* `s`, a dimension, a colon and an id: a subject's figures;
* `l`, a number, a point, a dimension, a colon and an id: a segment of its rows;
* `m`, a minute, a point, `content:` and an id: that minute of a title;
* `p` alone: what is kept of the partition; `r` alone: the rule set in force;
* `c`, a unit, a point and a number: a part of the unit's last chunk;
* `x`, an hour, a point and a number: subjects that were seen in it.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from pipeline.evaluation.device_health import DeviceHealth
from pipeline.evaluation.health_state import HealthPartition, HealthValue, Part, Seen, Segment
from pipeline.evaluation.rule_book import InForce
from pipeline.evaluation.subject_health import SubjectHealth, TitleMinute
from pipeline.events.foreign import UnreadableError, packed_reader
from tables.rules import decode_rules, encode_rules
from tables.wire import RULES, WireError

TABLE_NAME: Final = "health-v1"
VERSION: Final = 1
_HEADS: Final[dict[type, bytes]] = {
    SubjectHealth: bytes((0x54, VERSION)),
    DeviceHealth: bytes((0x44, VERSION)),
    TitleMinute: bytes((0x4D, VERSION)),
    HealthPartition: bytes((0x48, VERSION)),
    Seen: bytes((0x58, VERSION)),
    Part: bytes((0x43, VERSION)),
    Segment: bytes((0x4C, VERSION)),
}
"""T, D, M, H, X, C, L: what kind of record it is; then the version of its form."""

_encode: Final = msgspec.msgpack.Encoder().encode
_DECODERS: Final[dict[bytes, Callable[[bytes], HealthValue]]] = {
    head: packed_reader(kind) for kind, head in _HEADS.items()
}


class HealthCodec:
    """The wire forms of the table's values: a kind, a version, MessagePack."""

    def encode(self, value: HealthValue) -> bytes:
        """The bytes of a value; the same for the same state."""
        if isinstance(value, InForce):
            return encode_rules(value)
        return _HEADS[type(value)] + _encode(value)

    def decode(self, value: bytes) -> HealthValue:
        """The value of bytes.

        Raises:
            WireError: they are not of a version that this program reads.
        """
        if value[:1] == bytes((RULES,)):
            return decode_rules(value)
        decode = _DECODERS.get(value[:2])
        if decode is None:
            raise WireError("health", value)
        try:
            return decode(value[2:])
        except UnreadableError as error:
            raise WireError("health", value) from error
