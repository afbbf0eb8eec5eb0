"""The table of the title agent: figures of titles, devices, regions, plans and rules.

Its name and the form of its keys are persisted identity. A key is

* `s`, a dimension, a colon and an id: a subject's figures;
* `p` alone: what is kept of the partition; `r` alone: the rule set in force;
* `x`, an hour, a point and a number: subjects that were seen in it.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from pipeline.evaluation.rule_book import InForce
from pipeline.events.foreign import UnreadableError, packed_reader
from pipeline.titles.figures import Figures
from pipeline.titles.rows import NUMBERS, ROW_BYTES
from pipeline.titles.state import Seen, TitlesPartition, TitlesValue
from tables.rules import decode_rules, encode_rules
from tables.wire import RULES, WireError

TABLE_NAME: Final = "titles-v1"
VERSION: Final = 1
_HEADS: Final[dict[type, bytes]] = {
    Figures: bytes((0x46, VERSION)),
    TitlesPartition: bytes((0x54, VERSION)),
    Seen: bytes((0x58, VERSION)),
}
"""F, T, X: what kind of record it is; then the version of its form."""

_encode: Final = msgspec.msgpack.Encoder().encode
_DECODERS: Final[dict[bytes, Callable[[bytes], TitlesValue]]] = {
    head: packed_reader(kind) for kind, head in _HEADS.items()
}


class TitlesCodec:
    """The wire forms of the table's values: a kind, a version, MessagePack."""

    def encode(self, value: TitlesValue) -> bytes:
        """The bytes of a value; the same for the same state."""
        if isinstance(value, InForce):
            return encode_rules(value)
        return _HEADS[type(value)] + _encode(value)

    def decode(self, value: bytes) -> TitlesValue:
        """The value of bytes.

        Raises:
            WireError: they are not of a version that this program reads.
        """
        if value[:1] == bytes((RULES,)):
            return decode_rules(value)
        decode = _DECODERS.get(value[:2])
        if decode is None:
            raise WireError("titles", value)
        try:
            found = decode(value[2:])
        except UnreadableError as error:
            raise WireError("titles", value) from error
        if isinstance(found, Figures) and (len(found.past) != NUMBERS or len(found.rows) % ROW_BYTES):
            raise WireError("titles", value)
        return found
