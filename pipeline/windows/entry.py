"""One event in a window, and what its kind means for streams and log-ins."""

from typing import Final, NamedTuple

from pipeline.events.kinds import ACCOUNT, OTHER, PLAYBACK

# The role of an entry for streams and log-ins.
NEUTRAL: Final = 0
PLAYS: Final = 1
RELEASES: Final = 2
FAILS_LOGIN: Final = 3
STARTS: Final = 4
"""A PLAY: the device plays, and it started with this event."""
START_FAILS: Final = 5
"""A PLAY with an error code: by its type the device plays, and the start failed."""
FAILS: Final = 6
"""An ERROR: the device neither plays nor releases."""

_ROLES_BY_TYPE: Final = {
    "PLAY": STARTS,
    "RESUME": PLAYS,
    "HEARTBEAT": PLAYS,
    "SEEK": PLAYS,
    "BUFFERING": PLAYS,
    "PAUSE": RELEASES,
    "STOP": RELEASES,
    "LOGOUT": RELEASES,
    "ERROR": FAILS,
    "LOGIN_FAILED": FAILS_LOGIN,
    "TOKEN_REFRESH_FAILED": FAILS_LOGIN,
}

TYPES: Final = (*sorted(PLAYBACK), *sorted(ACCOUNT), OTHER)
"""The event types in the order of their kinds. The order is part of the persisted form."""
KINDS: Final = {event_type: 2 * number for number, event_type in enumerate(TYPES)}
"""The kind of an event without an error code, by its type. With an error code it is the next larger number."""
ROLES: Final = tuple(
    START_FAILS if event_type == "PLAY" and failed else _ROLES_BY_TYPE.get(event_type, NEUTRAL)
    for event_type in TYPES
    for failed in (False, True)
)
"""The role by the kind."""

PLAYING: Final = frozenset({PLAYS, STARTS, START_FAILS})
"""The roles after which a device plays."""


class Entry(NamedTuple):
    """One event in the window.

    Attributes:
        time: event time, in milliseconds since 1970.
        identity: 64-bit hash of the event's id.
        content: 64-bit hash of the event's normal form.
        region: in normal form.
        network: IPv4 address or IPv6 /64.
        device: device id.
        kind: event type and whether there is an error code, see `KINDS`; one byte in persisted forms.
        title: 32-bit hash of the content id; 0 where there is none.
    """

    time: int
    identity: int
    content: int
    region: str
    network: str
    device: str
    kind: int
    title: int = 0

    @property
    def role(self) -> int:
        """The role for streams and log-ins."""
        return ROLES[self.kind]
