"""The control journal: which rule sets, privacy requests and re-keyed events took effect before which record.

A replay needs it to judge as the live run did, and auditors read it.
"""

from typing import Final, Literal

import msgspec

CONTROL_SCHEMA: Final = "control-applied/1"

ControlKind = Literal["request", "ruleset", "model", "rekeyed"]


class ControlApplied(msgspec.Struct, frozen=True):
    """The value on `control-journal`; the fields in the order of the JSON.

    Attributes:
        partition: the partition of the events.
        offset: the offset of the first record of `raw-events` there that it applies to. It also applies to requests and
            re-keyed events that the partition took between this line and that record.
        kind: what took effect.
        id: the version of the rule set, the id of the request, or the offset in `raw-events-rekeyed` of the last
            re-keyed event that was judged here.
        at: the timestamp of the record before which a rule set took effect, of the request's own record, or of the
            earliest of the re-keyed events; null where there is none.
    """

    schema: str
    partition: int
    offset: int
    kind: ControlKind
    id: str
    at: str | None


def encode_control(partition: int, offset: int, kind: ControlKind, name: str, at: str | None) -> bytes:
    """The published bytes."""
    return msgspec.json.encode(ControlApplied(CONTROL_SCHEMA, partition, offset, kind, name, at))
