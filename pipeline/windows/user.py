"""The state of one user. Its persisted form is in `tables/users.py`."""

from typing import Final, NamedTuple

from pipeline.windows.privacy import NO_RECORD, PrivacyRecord
from pipeline.windows.score import Score
from pipeline.windows.window import Window

IDLE_MS: Final = 30 * 24 * 3_600_000
"""A user without events for 30 days starts anew. Older activity says little about now, and it costs space."""


class LastPlace(NamedTuple):
    """Region and event time (milliseconds since 1970) of the last in-order event whose region has a centroid."""

    region: str
    time: int


class LastEvent(NamedTuple):
    """The fields of the last in-order event that rules read and the window does not hold.

    With them a view can judge the event again. `place_before` is the last place before that event, for travel to it.
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
        """Whether the event has an opt-out or deletion signal."""
        return self.do_not_track or self.gpc or self.deletion_requested


class UserState:
    """The state of one user. It is changed in place, so it must not be shared between partitions.

    Attributes:
        stream_time: the largest event time accepted; None for a user without events.
        window: the events of the last hour.
        last_place: for impossible travel.
        last_record_time: the Kafka timestamp of the judged event that arrived last; negative where there is none.
        privacy: the privacy record.
        last_event: the rest of the last in-order event.
        score: the last score by the anomaly model; None where none holds.
    """

    __slots__ = ("last_event", "last_place", "last_record_time", "privacy", "score", "stream_time", "window")

    def __init__(
        self,
        stream_time: int | None = None,
        window: Window | None = None,
        last_place: LastPlace | None = None,
        last_record_time: int = -1,
        privacy: PrivacyRecord = NO_RECORD,
        last_event: LastEvent | None = None,
        score: Score | None = None,
    ) -> None:
        self.stream_time = stream_time
        self.window = Window() if window is None else window
        self.last_place = last_place
        self.last_record_time = last_record_time
        self.privacy = privacy
        self.last_event = last_event
        self.score = score

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UserState):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in UserState.__slots__)

    __hash__ = None  # type: ignore[assignment]  # a user's state changes

    def erased(self) -> "UserState | None":
        """The state that remains when an idle user is erased: the privacy record, or None where there is none.

        This changes no verdict, because an idle user who comes back starts anew with only the privacy record.
        """
        return None if self.privacy == NO_RECORD else UserState(privacy=self.privacy)

    def idle(self, record_time: int) -> bool:
        """Whether the user had been away for `IDLE_MS` before a record with this timestamp (negative for none)."""
        return record_time - self.last_record_time > IDLE_MS and self.last_record_time >= 0
