"""All that is kept of one user."""

from typing import Final, NamedTuple

from pipeline.windows.privacy import NO_RECORD, PrivacyRecord
from pipeline.windows.window import Window

IDLE_MS: Final = 30 * 24 * 3_600_000
"""A user who was away for 30 days starts anew: what was known then says little, and costs room."""


class LastPlace(NamedTuple):
    """The last in-order event with a centroid: where, and when (event time, milliseconds)."""

    region: str
    time: int


class LastEvent(NamedTuple):
    """What the rules read of the last in-order event and the window does not hold, so that it can be judged again.

    `place_before` is the last place before that event, from which travel to it is measured.
    """

    is_eu: bool
    has_consent: bool
    do_not_track: bool
    deletion_requested: bool
    gpc: bool
    user_age: int | None
    data_shared: str
    plan: str | None
    place_before: LastPlace | None

    @property
    def signals_opt_out(self) -> bool:
        """Whether the event carried an opt-out or deletion signal."""
        return self.do_not_track or self.gpc or self.deletion_requested


class UserState:
    """One user: stream time, window, last place, last event, privacy record.

    `stream_time` is None for a user of whom only privacy requests or nothing is known. `last_record_time` is
    the Kafka timestamp of the last judged event by arrival; negative where there is none.
    """

    __slots__ = ("last_event", "last_place", "last_record_time", "privacy", "stream_time", "window")

    def __init__(
        self,
        stream_time: int | None = None,
        window: Window | None = None,
        last_place: LastPlace | None = None,
        last_record_time: int = -1,
        privacy: PrivacyRecord = NO_RECORD,
        last_event: LastEvent | None = None,
    ) -> None:
        self.stream_time = stream_time
        self.window = Window() if window is None else window
        self.last_place = last_place
        self.last_record_time = last_record_time
        self.privacy = privacy
        self.last_event = last_event

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UserState):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in UserState.__slots__)

    __hash__ = None  # type: ignore[assignment]  # a user's state changes

    def erased(self) -> "UserState | None":
        """What stays of a user who is idle: the privacy record, or nothing at all.

        Whoever comes back is judged as if nothing had been erased: an idle user starts anew with just this.
        """
        return None if self.privacy == NO_RECORD else UserState(privacy=self.privacy)

    def idle(self, record_time: int) -> bool:
        """Whether a record of this time (negative for none) comes after the user was away too long."""
        return record_time - self.last_record_time > IDLE_MS and self.last_record_time >= 0
