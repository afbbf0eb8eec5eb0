"""What took effect before which record: rule sets and privacy requests, for a replay and for audits."""

from typing import Final, Literal

import msgspec

CONTROL_SCHEMA: Final = "control-applied/1"

ControlKind = Literal["request", "ruleset", "model"]


class ControlApplied(msgspec.Struct, frozen=True):
    """The value on `control-journal`; the fields in the order of the JSON.

    Attributes:
        partition: of the events.
        offset: of the first record of `raw-events` there that it applies to; requests and re-keyed events that come
            before that record and after this line are under it as well.
        kind: what took effect.
        id: the version of a rule set, the id of a request.
        at: timestamp of the source record before which a rule set took effect, or of the request's own record; null
            where it has none. No clock: it tells when that was, and decides nothing.
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
